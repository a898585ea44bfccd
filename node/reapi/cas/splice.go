package cas

import (
	"context"
	"errors"
	"fmt"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/cdc"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
)

// takenChunks is for how many chunks memory is taken at a time, at least.
const takenChunks = 2048

// mapping is what a client says a blob is made of.
type mapping struct {
	blob digest.Digest
	list []digest.Digest
	way  chunks.Way // as the client says
	// room is for how many chunks memory was taken, which held releases.
	room int
	held []func()
}

// drop lets go of what m took.
func (m *mapping) drop() {
	for _, release := range m.held {
		release()
	}
}

// newMapping reads what is said of a blob before its chunks.
func newMapping(v repb.DigestFunction_Value, m *repb.Digest, by repb.ChunkingFunction_Value) (*mapping, error) {
	blob, err := blobOf(v, m)
	if err != nil {
		return nil, err
	}
	way := unsaid
	if cdc.Served(by) {
		way = chunks.Way(by)
	}
	return &mapping{blob: blob, way: way}, nil
}

// add adds chunks. Empty ones carry nothing and are left out, as other servers do:
// there are clients who ask for a blob of such a chunk to learn what is served.
func (m *mapping) add(ms []*repb.Digest) error {
	ds, err := names.Digests(m.blob.Function(), ms)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if d == digest.Of(d.Function(), nil) {
			continue
		}
		if m.list = append(m.list, d); len(m.list) > chunks.Max {
			return fault.Errorf(codes.InvalidArgument, "more than %d chunks", chunks.Max)
		}
	}
	return nil
}

// take waits until there is memory for n more chunks.
func (m *mapping) take(ctx context.Context, n int) error {
	if len(m.list)+n <= m.room {
		return nil
	}
	more := max(n, takenChunks)
	release, err := room.Take(ctx, int64(more)*digestBytes)
	if err == nil {
		m.held = append(m.held, release)
		m.room += more
	}
	return err
}

func (m *mapping) check() error {
	if err := chunks.Check(m.blob, m.list); err != nil {
		return fault.Errorf(codes.InvalidArgument, "%v: %v", m.blob, err)
	}
	return nil
}

// SpliceBlob implements repb.ContentAddressableStorageServer: RegisterChunkMapping for
// clients of before version 2.13.
func (s *Service) SpliceBlob(ctx context.Context, q *repb.SpliceBlobRequest) (*repb.SpliceBlobResponse, error) {
	m, err := newMapping(q.DigestFunction, q.BlobDigest, q.ChunkingFunction)
	if err == nil {
		err = m.add(q.ChunkDigests)
	}
	if err == nil {
		err = s.splice(ctx, m)
	}
	if err != nil {
		return nil, fault.Status(err)
	}
	return &repb.SpliceBlobResponse{BlobDigest: names.Message(m.blob)}, nil
}

// RegisterChunkMapping implements repb.ContentAddressableStorageServer.
func (s *Service) RegisterChunkMapping(stream grpc.ClientStreamingServer[repb.RegisterChunkMappingRequest, repb.RegisterChunkMappingResponse]) error {
	m, err := received(stream)
	if m != nil {
		defer m.drop()
	}
	if err == nil {
		err = s.splice(stream.Context(), m)
	}
	if err != nil {
		return fault.Status(err)
	}
	return stream.SendAndClose(&repb.RegisterChunkMappingResponse{BlobDigest: names.Message(m.blob)})
}

// received reads a mapping from all requests of a call. What is said of the blob is
// that of the first. The mapping, which may be nil, has to be dropped.
func received(stream grpc.ClientStreamingServer[repb.RegisterChunkMappingRequest, repb.RegisterChunkMappingResponse]) (*mapping, error) {
	q, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, fault.Errorf(codes.InvalidArgument, "a RegisterChunkMapping without a request")
	}
	if err == nil {
		err = said(q.DigestFunction)
	}
	if err != nil {
		return nil, err
	}
	m, err := newMapping(q.DigestFunction, q.BlobDigest, q.ChunkingFunction)
	for err == nil {
		if err = m.take(stream.Context(), len(q.ChunkDigests)); err == nil {
			err = m.add(q.ChunkDigests)
		}
		if err == nil {
			q, err = stream.Recv()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return m, err
}

// splice makes a blob of chunks that are here or in the mesh, unless it is there, and
// remembers of which it is made. Nothing of it is kept unless it is the blob.
func (s *Service) splice(ctx context.Context, m *mapping) error {
	if err := m.check(); err != nil {
		return err
	}
	end, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer end()
	there, err := s.known(ctx, []digest.Digest{m.blob})
	if err != nil {
		return err
	}
	if there[0] {
		if _, err := s.lists.Of(m.blob, m.way); err == nil {
			s.keep(append([]digest.Digest{m.blob}, m.list...))
			return nil
		}
	}
	if err := s.gather(ctx, m); err != nil {
		return err
	}
	if err := s.join(ctx, m, there[0]); err != nil {
		return err
	}
	s.keep([]digest.Digest{m.blob})
	if m.way, err = s.cutBy(ctx, m); err != nil {
		return err
	}
	return s.lists.Put(m.blob, m.way, m.list)
}

// gather brings the chunks here.
func (s *Service) gather(ctx context.Context, m *mapping) error {
	s.keep(m.list)
	if err := s.bring(ctx, m.list); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	here, err := s.blobs.Has(ctx, m.list)
	if err != nil {
		return err
	}
	if absent := chosen(m.list, here, false); len(absent) > 0 {
		return fmt.Errorf("%d chunks of %v, first %v: %w", len(absent), m.blob, absent[0], store.ErrNotFound)
	}
	return nil
}

// join keeps the blob; of one that is there it looks whether the chunks are its.
func (s *Service) join(ctx context.Context, m *mapping, there bool) error {
	r := &joined{ctx: ctx, blobs: s.blobs, left: m.list}
	defer r.Close()
	if !there {
		return s.blobs.Put(ctx, m.blob, r)
	}
	h := digest.NewHasher(m.blob.Function())
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if is := h.Sum(); is != m.blob {
		return fmt.Errorf("the chunks of %v are those of %v: %w", m.blob, is, store.ErrMismatch)
	}
	return nil
}

// cutBy returns what has cut a blob: what the client says if it has done so with the
// parameters that are announced. Others are given the chunks for that.
func (s *Service) cutBy(ctx context.Context, m *mapping) (chunks.Way, error) {
	if m.way == unsaid {
		return unsaid, nil
	}
	r, err := s.open(ctx, m.blob)
	if err != nil {
		return unsaid, err
	}
	defer r.Close()
	cuts := cdc.New(repb.ChunkingFunction_Value(m.way), io.NewSectionReader(r, 0, m.blob.Size()))
	for _, c := range m.list {
		content, err := cuts.ReadNextChunk()
		switch {
		case err != nil:
			return unsaid, err
		case int64(len(content)) != c.Size():
			return unsaid, ctx.Err()
		}
	}
	return m.way, ctx.Err()
}

// joined reads blobs one after the other.
type joined struct {
	ctx   context.Context //nolint:containedctx // of the call that reads
	blobs store.Blobs
	left  []digest.Digest
	now   store.Reader
}

// Read implements io.Reader.
func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.now == nil {
			if len(j.left) == 0 {
				return 0, io.EOF
			}
			if err := j.ctx.Err(); err != nil {
				return 0, err
			}
			var err error
			if j.now, err = j.blobs.Open(j.ctx, j.left[0]); err != nil {
				return 0, err
			}
			j.left = j.left[1:]
		}
		n, err := j.now.Read(p)
		if errors.Is(err, io.EOF) {
			j.Close()
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close lets go of the blob that is read.
func (j *joined) Close() {
	if j.now != nil {
		_ = j.now.Close() // it was only read
		j.now = nil
	}
}
