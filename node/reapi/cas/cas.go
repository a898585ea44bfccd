// Package cas serves blobs to clients of the Remote Execution API: its
// ContentAddressableStorage and google.bytestream.ByteStream. What is here, or
// with a member of the mesh, is there for them; what they upload is hashed on the
// way in and kept nowhere but in the store. Start reading at Service; uploads are
// in upload.go, chunks of blobs in split.go and splice.go.
package cas

import (
	"context"
	"errors"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
)

// Mesh is where blobs are that are not here. Both methods take the digests of
// either function and may be called concurrently.
type Mesh interface {
	// Known says for each of ds, in order, whether some other member can give
	// its blob.
	Known(ctx context.Context, ds []digest.Digest) ([]bool, error)
	// Fetch brings those of ds into the store of this node that somebody has. It
	// returns store.ErrNotFound if that is not all.
	Fetch(ctx context.Context, ds []digest.Digest) error
}

// Options may be zero.
type Options struct {
	// Mesh is nil where there is no other member.
	Mesh Mesh
	// Keep extends the leases of blobs that a client has been told are there or
	// has given us: they may be collected only when that has expired. Some may
	// not have come here yet. It is called concurrently; nil keeps nothing.
	Keep func(ds []digest.Digest)
	// Lists remembers the chunks of blobs; nil cuts them anew each time.
	Lists *chunks.Lists
	// Remake makes blobs again that are lost, as far as it is known how, and returns
	// which are here then. It may take as long as what made them; nil makes none.
	Remake func(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error)
}

// Service implements repb.ContentAddressableStorageServer and
// bspb.ByteStreamServer.
type Service struct {
	repb.UnimplementedContentAddressableStorageServer
	bspb.UnimplementedByteStreamServer

	blobs   store.Blobs
	mesh    Mesh
	keep    func([]digest.Digest)
	remake  func(context.Context, []digest.Digest) ([]digest.Digest, error)
	uploads *uploads
	lists   *chunks.Lists
	cutting chan struct{} // has those that are split or spliced
}

// New returns the services on blobs, which answers to the names of every hash
// function that clients may use.
func New(blobs store.Blobs, o Options) *Service {
	s := &Service{
		blobs: blobs, mesh: o.Mesh, keep: o.Keep, remake: o.Remake, uploads: newUploads(blobs),
		lists: o.Lists, cutting: make(chan struct{}, maxCutting),
	}
	if s.keep == nil {
		s.keep = func([]digest.Digest) {}
	}
	if s.remake == nil {
		s.remake = func(context.Context, []digest.Digest) ([]digest.Digest, error) { return nil, nil }
	}
	return s
}

// Run keeps uploads that were cut off, for their clients to go on with, until
// ctx ends. When it returns nothing is written any more.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.uploads.close()
	return nil
}

// present says for each of ds whether its blob is here or in the mesh, and
// keeps those that are. What an action made and is lost is made again first: the
// client may have no copy of it.
func (s *Service) present(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	there, err := s.known(ctx, ds)
	if err == nil && slices.Contains(there, false) {
		var remade []digest.Digest
		if remade, err = s.remake(ctx, chosen(ds, there, false)); err == nil && len(remade) > 0 {
			there, err = s.known(ctx, ds)
		}
	}
	if err != nil {
		return nil, err
	}
	kept := chosen(ds, there, true)
	s.keep(kept)
	// What went before it was kept is seen now.
	still, err := s.known(ctx, kept)
	if err != nil {
		return nil, err
	}
	answer(there, true, still)
	return there, nil
}

func (s *Service) known(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	there, err := s.blobs.Has(ctx, ds)
	if err != nil || s.mesh == nil || !slices.Contains(there, false) {
		return there, err
	}
	elsewhere, err := s.mesh.Known(ctx, chosen(ds, there, false))
	if err != nil {
		return nil, err
	}
	answer(there, false, elsewhere)
	return there, nil
}

// answer replaces those of there that are what, in order.
func answer(there []bool, what bool, by []bool) {
	for i := range there {
		if there[i] == what {
			there[i], by = by[0], by[1:]
		}
	}
}

// chosen returns those of ds for which there is want.
func chosen(ds []digest.Digest, there []bool, want bool) []digest.Digest {
	some := make([]digest.Digest, 0, len(ds))
	for i, d := range ds {
		if there[i] == want {
			some = append(some, d)
		}
	}
	return some
}

// bring fetches those of ds that are not here, and makes again what nobody has. What
// cannot be made stays missing.
func (s *Service) bring(ctx context.Context, ds []digest.Digest) error {
	here, err := s.blobs.Has(ctx, ds)
	if err != nil || !slices.Contains(here, false) {
		return err
	}
	lost := chosen(ds, here, false)
	if s.mesh != nil {
		err := s.mesh.Fetch(ctx, lost)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if here, err = s.blobs.Has(ctx, lost); err != nil {
			return err
		}
		lost = chosen(lost, here, false)
	}
	_, err = s.remake(ctx, lost)
	return err
}

// open opens a blob that is here or in the mesh.
func (s *Service) open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	r, err := s.blobs.Open(ctx, d)
	if !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if err := s.bring(ctx, []digest.Digest{d}); err != nil {
		return nil, err
	}
	return s.blobs.Open(ctx, d)
}
