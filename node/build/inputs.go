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
}

func newInputRoots(dirs *directories, files map[string]action.Output) *inputRoots {
	return &inputRoots{dirs: dirs, files: files}
}

// of returns the digest of the tree of these sources, which are sorted, and
// keeps its directories in the store.
func (in *inputRoots) of(ctx context.Context, lease store.Lease, sources []string) (digest.Digest, error) {
	extra, within := beyond(sources, in.base)
	if !within || len(extra) > len(sources)/2 {
		if err := in.rebase(ctx, lease, common(in.last, sources)); err != nil {
			return digest.Digest{}, err
		}
		extra, _ = beyond(sources, in.base)
	}
	in.last = sources
	return in.put(ctx, lease, in.root, extra)
}

func (in *inputRoots) rebase(ctx context.Context, lease store.Lease, sources []string) (err error) {
	in.base = sources
	in.root, err = in.put(ctx, lease, digest.Digest{}, sources)
	return err
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
