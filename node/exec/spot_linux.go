package exec

import (
	"context"
	"fmt"
	"maps"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// forest reads a tree of inputs as far as it is looked at.
type forest struct {
	blobs store.Blobs
	root  *spot
	count int
}

// spot is a directory of the inputs.
type spot struct {
	// digest is zero for a directory that no input is in: it is there for what
	// the action makes.
	digest digest.Digest
	depth  int
	loaded bool
	files  map[string]*repb.FileNode
	links  map[string]*repb.SymlinkNode
	dirs   map[string]*spot
}

func newForest(blobs store.Blobs, root digest.Digest) *forest {
	return &forest{blobs: blobs, root: &spot{digest: root}}
}

// names returns what the directory holds, sorted.
func (s *spot) names() []string {
	names := make([]string, 0, len(s.files)+len(s.links)+len(s.dirs))
	names = slices.AppendSeq(names, maps.Keys(s.files))
	names = slices.AppendSeq(names, maps.Keys(s.links))
	names = slices.AppendSeq(names, maps.Keys(s.dirs))
	slices.Sort(names)
	return names
}

// leaf reports whether name is a file or a link.
func (s *spot) leaf(name string) bool { return s.files[name] != nil || s.links[name] != nil }

// load reads a directory, which came from a peer.
func (f *forest) load(ctx context.Context, s *spot) error {
	if s.loaded {
		return nil
	}
	s.loaded = true
	if s.depth > maxDepth {
		return fmt.Errorf("%w: directories deeper than %d", ErrMalformed, maxDepth)
	}
	var m repb.Directory
	if !s.digest.IsZero() {
		if err := message(ctx, f.blobs, s.digest, &m); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
	}
	if f.count += len(m.Files) + len(m.Symlinks) + len(m.Directories); f.count > maxInputs {
		return fmt.Errorf("%w: more than %d inputs", ErrMalformed, maxInputs)
	}
	s.files = make(map[string]*repb.FileNode, len(m.Files))
	s.links = make(map[string]*repb.SymlinkNode, len(m.Symlinks))
	s.dirs = make(map[string]*spot, len(m.Directories))
	for _, n := range m.Files {
		if err := s.free(n.GetName()); err != nil {
			return err
		}
		s.files[n.GetName()] = n
	}
	for _, n := range m.Symlinks {
		if err := s.free(n.GetName()); err != nil {
			return err
		}
		s.links[n.GetName()] = n
	}
	for _, n := range m.Directories {
		if err := s.free(n.GetName()); err != nil {
			return err
		}
		d, err := action.DigestOf(n.GetDigest())
		if err != nil {
			return fmt.Errorf("%w: directory %s: %w", ErrMalformed, n.GetName(), err)
		}
		s.dirs[n.GetName()] = &spot{digest: d, depth: s.depth + 1}
	}
	return nil
}

// free reports whether the directory can have an entry of that name yet.
func (s *spot) free(name string) error {
	if _, err := entry("", name); err != nil {
		return err
	}
	if s.leaf(name) || s.dirs[name] != nil {
		return fmt.Errorf("%w: two entries are called %q", ErrMalformed, name)
	}
	return nil
}

// mkdir makes a directory, and those above it, as far as no file or link of the
// inputs is on the way. It reports whether the inputs have it themselves.
func (f *forest) mkdir(ctx context.Context, p string) (has bool, err error) {
	s := f.root
	for name := range elements(p) {
		if err := f.load(ctx, s); err != nil {
			return false, err
		}
		if s.leaf(name) {
			return false, nil
		}
		if s.dirs[name] == nil {
			s.dirs[name] = &spot{depth: s.depth + 1}
		}
		s = s.dirs[name]
	}
	return !s.digest.IsZero(), nil
}

// find returns the directory that holds p, a path from s, or how p is kept from
// being in the tree: by a file or link above it (barred), or by nothing.
func (f *forest) find(ctx context.Context, s *spot, p string) (parent *spot, name string, barred bool, err error) {
	for next := range elements(p) {
		if name != "" {
			switch {
			case s.leaf(name):
				return nil, "", true, nil
			case s.dirs[name] == nil:
				return nil, "", false, nil
			}
			s = s.dirs[name]
		}
		if err := f.load(ctx, s); err != nil {
			return nil, "", false, err
		}
		name = next
	}
	if s.leaf(name) || s.dirs[name] != nil {
		return s, name, false, nil
	}
	return nil, "", false, nil
}
