package build

import (
	"context"
	"fmt"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// inputRoots makes the input trees of steps. Steps made by one foreach share
// all of their sources but one: the tree of what two steps in a row share is
// made once, and the next ones are put over it.
type inputRoots struct {
	dirs  *directories
	files map[string]action.Output

	last []string // sources of the step before
	base []string // sources of the tree root
	root digest.Digest

	baseBytes int64 // of base
	seen      map[string]bool
	size      inputSize // of the last tree
}

// inputSize is the bytes of a step's sources, and of those that no step before
// it reads.
type inputSize struct{ all, fresh int64 }

func newInputRoots(dirs *directories, files map[string]action.Output) *inputRoots {
	return &inputRoots{dirs: dirs, files: files, seen: make(map[string]bool, len(files))}
}

// of returns the digest of the tree of these sources, which are sorted, and
// keeps its directories in the store.
func (in *inputRoots) of(ctx context.Context, lease store.Lease, sources []string) (digest.Digest, error) {
	in.size = inputSize{}
	extra, within := beyond(sources, in.base)
	if !within || len(extra) > len(sources)/2 {
		if err := in.rebase(ctx, lease, common(in.last, sources)); err != nil {
			return digest.Digest{}, err
		}
		extra, _ = beyond(sources, in.base)
	}
	in.last = sources
	in.size.all = in.baseBytes + in.weigh(extra)
	return in.put(ctx, lease, in.root, extra)
}

func (in *inputRoots) rebase(ctx context.Context, lease store.Lease, sources []string) (err error) {
	in.base, in.baseBytes = sources, in.weigh(sources)
	in.root, err = in.put(ctx, lease, digest.Digest{}, sources)
	return err
}

// weigh adds up the bytes of sources, and counts those that are new as fresh.
func (in *inputRoots) weigh(sources []string) (bytes int64) {
	for _, path := range sources {
		o := in.files[path]
		size := o.Digest.Size()
		bytes += size
		if !in.seen[path] {
			in.seen[path] = true
			in.size.fresh += size
		}
	}
	return bytes
}

func (in *inputRoots) put(ctx context.Context, lease store.Lease, base digest.Digest, sources []string) (digest.Digest, error) {
	tree := action.NewTree(in.dirs, base)
	for _, path := range sources {
		o, ok := in.files[path]
		if !ok {
			return digest.Digest{}, fmt.Errorf("%s was not read", path)
		}
		if err := tree.Put(ctx, o); err != nil {
			return digest.Digest{}, err
		}
	}
	root, blobs, err := tree.Encode()
	if err != nil {
		return digest.Digest{}, err
	}
	return root, in.dirs.keep(ctx, lease, blobs)
}

// beyond returns what of a is not in b, and whether all of b is in a. Both are
// sorted.
func beyond(a, b []string) (extra []string, within bool) {
	i := 0
	for _, s := range a {
		if i < len(b) && b[i] == s {
			i++
			continue
		}
		extra = append(extra, s)
	}
	return extra, i == len(b)
}

// common returns what is in both a and b, which are sorted.
func common(a, b []string) (both []string) {
	i := 0
	for _, s := range b {
		for i < len(a) && a[i] < s {
			i++
		}
		if i < len(a) && a[i] == s {
			both = append(both, s)
		}
	}
	return both
}
