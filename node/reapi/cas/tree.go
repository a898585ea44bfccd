package cas

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxDirectoryBytes bounds one Directory message: some 50,000 entries.
	maxDirectoryBytes = limits.MaxBatchBytes
	// maxTree bounds the directories of one tree: ten times those of the largest
	// node_modules that we have met.
	maxTree = 500_000
	// pageBytes is from how many bytes on a page is sent, pageDirectories how
	// many directories it has at most.
	pageBytes       = 1 << 20
	pageDirectories = 1000
	// stepDirectories is for how many more directories a walk asks for room at once,
	// stepBytes for what it has to know of them.
	stepDirectories = 10_000
	stepBytes       = stepDirectories * 256
)

// GetTree implements repb.ContentAddressableStorageServer. Every directory comes
// once, breadth first. All pages come in one call, each with the token of what
// follows it, so that a call that was cut off can be gone on with.
func (s *Service) GetTree(q *repb.GetTreeRequest, stream grpc.ServerStreamingServer[repb.GetTreeResponse]) error {
	return fault.Status(s.tree(q, stream))
}

func (s *Service) tree(q *repb.GetTreeRequest, stream grpc.ServerStreamingServer[repb.GetTreeResponse]) error {
	ds, err := digests(q.DigestFunction, []*repb.Digest{q.RootDigest})
	if err != nil {
		return err
	}
	if q.PageSize < 0 {
		return fault.Errorf(codes.InvalidArgument, "page_size %d", q.PageSize)
	}
	w := newWalk(s, ds[0])
	defer w.forget()
	if err := w.skip(stream.Context(), q.PageToken); err != nil {
		return err
	}
	most := pageDirectories
	if q.PageSize > 0 {
		most = min(most, int(q.PageSize))
	}
	for {
		page, err := w.page(stream.Context(), most)
		if err != nil {
			return err
		}
		if err := stream.Send(page); err != nil || page.NextPageToken == "" {
			return err
		}
		w.sent()
	}
}

// walk visits the directories of a tree. What follows depends on what has been
// visited alone, which the token of a page holds the hash of.
type walk struct {
	s    *Service
	root digest.Digest
	seen map[digest.Digest]struct{}
	todo []digest.Digest
	done int
	hash hash.Hash // of what was visited

	// known and held give back what is taken for what is known of the tree, and for
	// the directories that go with the next page.
	known, held []func()
}

// sent gives back what a page took.
func (w *walk) sent() {
	for _, release := range w.held {
		release()
	}
	w.held = w.held[:0]
}

func (w *walk) forget() {
	w.sent()
	for _, release := range w.known {
		release()
	}
}

// grow asks for room for more directories than are known.
func (w *walk) grow(ctx context.Context) error {
	for len(w.seen) > stepDirectories*len(w.known)+stepDirectories/10 {
		release, err := room.Take(ctx, stepBytes)
		if err != nil {
			return err
		}
		w.known = append(w.known, release)
	}
	return nil
}

func newWalk(s *Service, root digest.Digest) *walk {
	return &walk{s: s, root: root, seen: map[digest.Digest]struct{}{root: {}}, todo: []digest.Digest{root}, hash: sha256.New()}
}

// token says where the walk is: how many directories it has visited, and which.
func (w *walk) token() string {
	return fmt.Sprintf("%d.%s", w.done, hex.EncodeToString(w.hash.Sum(nil)[:8]))
}

// skip visits what a page with the token has sent already.
func (w *walk) skip(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	var visited int
	if _, err := fmt.Sscanf(token, "%d.", &visited); err != nil || visited < 1 || visited > maxTree {
		return fault.Errorf(codes.InvalidArgument, "page_token %q is none of ours", token)
	}
	for w.done < visited && len(w.todo) > 0 {
		if _, err := w.next(ctx); err != nil {
			return err
		}
		w.sent()
	}
	if w.token() != token {
		return fault.Errorf(codes.InvalidArgument, "page_token %q is not of this tree as it is now; ask for all of it", token)
	}
	return nil
}

// page visits up to most directories.
func (w *walk) page(ctx context.Context, most int) (*repb.GetTreeResponse, error) {
	page := &repb.GetTreeResponse{}
	for size := 0; len(w.todo) > 0 && len(page.Directories) < most && size < pageBytes; {
		dir, err := w.next(ctx)
		if err != nil {
			return nil, err
		}
		if dir != nil {
			page.Directories = append(page.Directories, dir)
			size += proto.Size(dir)
		}
	}
	if len(w.todo) > 0 {
		page.NextPageToken = w.token()
	}
	return page, nil
}

// next visits one directory; nil is one that nobody has, which is left out
// unless it is the root.
func (w *walk) next(ctx context.Context) (*repb.Directory, error) {
	d := w.todo[0]
	w.todo = w.todo[1:]
	w.done++
	if err := w.grow(ctx); err != nil {
		return nil, err
	}
	dir, release, err := w.s.directory(ctx, d)
	w.held = append(w.held, release)
	missing := errors.Is(err, store.ErrNotFound) && d != w.root
	if err != nil && !missing {
		return nil, err
	}
	_, _ = w.hash.Write(d.Binary()) // a hash takes everything
	if missing {
		_, _ = w.hash.Write([]byte{0})
		return nil, nil //nolint:nilnil // as the comment says
	}
	return dir, w.add(d.Function(), dir)
}

func (w *walk) add(fn digest.Function, dir *repb.Directory) error {
	subs := make([]*repb.Digest, len(dir.Directories))
	for i, sub := range dir.Directories {
		subs[i] = sub.Digest
	}
	ds, err := names.Digests(fn, subs)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if _, twice := w.seen[d]; !twice {
			w.seen[d] = struct{}{}
			w.todo = append(w.todo, d)
		}
	}
	if len(w.seen) > maxTree {
		return fault.Errorf(codes.ResourceExhausted, "a tree of more than %d directories", maxTree)
	}
	return nil
}

// directory reads a Directory that is here or in the mesh, and takes what it takes
// until release is called.
func (s *Service) directory(ctx context.Context, d digest.Digest) (dir *repb.Directory, release func(), err error) {
	release = func() {}
	if d.Size() > maxDirectoryBytes {
		return nil, release, fault.Errorf(codes.ResourceExhausted, "directory %v: the limit is %d bytes", d, maxDirectoryBytes)
	}
	if err := s.bring(ctx, []digest.Digest{d}); err != nil {
		return nil, release, err
	}
	reading, err := room.Take(ctx, d.Size())
	if err != nil {
		return nil, release, err
	}
	defer reading()
	content, err := store.ReadAll(ctx, s.blobs, d, maxDirectoryBytes)
	if err != nil {
		return nil, release, err
	}
	dir = &repb.Directory{}
	takes, ok := limits.Decoded(dir.ProtoReflect().Descriptor(), content)
	if !ok {
		return nil, release, fault.Errorf(codes.ResourceExhausted, "directory %v takes more than %d bytes in memory", d, limits.MaxDecodedBytes)
	}
	if release, err = room.Take(ctx, takes); err != nil {
		return nil, func() {}, err
	}
	if err := proto.Unmarshal(content, dir); err != nil {
		return nil, release, fault.Errorf(codes.InvalidArgument, "blob %v is no Directory: %v", d, err)
	}
	return dir, release, nil
}
