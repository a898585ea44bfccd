package worktree

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxDirectoryBytes bounds a REAPI Directory message: some 100,000 names.
	maxDirectoryBytes = 16 << 20
	// maxDepth bounds how deep the directories of an output lie.
	maxDepth = 256
)

// expansion is what outputs put where: each file and link, and the directories
// that are there for their own sake.
type expansion struct {
	items map[string]identity
	dirs  map[string]struct{}
}

// paths returns the paths of files and links, sorted.
func (e *expansion) paths() []string { return slices.Sorted(maps.Keys(e.items)) }

// expand resolves the outputs that are directories. What they hold was made by
// some peer, so nothing in it is believed.
func (t *Tree) expand(ctx context.Context, outs []action.Output) (*expansion, error) {
	e := &expansion{items: map[string]identity{}, dirs: map[string]struct{}{}}
	for _, o := range outs {
		if err := checkOutputPath(o.Path); err != nil {
			return nil, err
		}
		if o.Kind != action.Directory {
			e.items[o.Path] = identityOf(o)
			continue
		}
		if err := t.expandDir(ctx, e, o.Path, o.Digest, 0); err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Path, err)
		}
	}
	for p := range e.items {
		if _, ok := e.dirs[p]; ok {
			return nil, fmt.Errorf("output %s is both a file and a directory: %w", p, action.ErrInvalid)
		}
	}
	return e, nil
}

func checkOutputPath(p string) error {
	if !action.CleanPath(p) || p == "" || p == "." || hiddenPath(p) {
		return fmt.Errorf("output %q: %w path", p, action.ErrInvalid)
	}
	return nil
}

func (t *Tree) expandDir(ctx context.Context, e *expansion, at string, d digest.Digest, depth int) error {
	if depth > maxDepth || len(e.items)+len(e.dirs) > maxEntries {
		return fmt.Errorf("%w: too many or too deep directories", action.ErrInvalid)
	}
	e.dirs[at] = struct{}{}
	dir, err := t.directory(ctx, d)
	if err != nil {
		return err
	}
	for _, f := range dir.Files {
		fd, err := action.DigestOf(f.Digest)
		if err != nil {
			return err
		}
		if err := e.put(at, f.Name, identity{kind: Regular, executable: f.IsExecutable, digest: fd}); err != nil {
			return err
		}
	}
	for _, l := range dir.Symlinks {
		if err := e.put(at, l.Name, identity{kind: Symlink, target: l.Target}); err != nil {
			return err
		}
	}
	for _, sub := range dir.Directories {
		sd, err := action.DigestOf(sub.Digest)
		if err != nil {
			return err
		}
		if err := checkName(at, sub.Name); err != nil {
			return err
		}
		if err := t.expandDir(ctx, e, join(at, sub.Name), sd, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (e *expansion) put(at, name string, id identity) error {
	if err := checkName(at, name); err != nil {
		return err
	}
	if id.kind == Symlink && (id.target == "" || strings.ContainsRune(id.target, 0)) {
		return fmt.Errorf("%w link %s", action.ErrInvalid, join(at, name))
	}
	e.items[join(at, name)] = id
	return nil
}

func checkName(at, name string) error {
	if strings.Contains(name, "/") || isTemp(name) {
		return fmt.Errorf("%w name %q in %s", action.ErrInvalid, name, at)
	}
	return checkOutputPath(join(at, name))
}

func (t *Tree) directory(ctx context.Context, d digest.Digest) (*repb.Directory, error) {
	content, err := store.ReadAll(ctx, t.blobs, d, maxDirectoryBytes)
	if err != nil {
		return nil, err
	}
	dir := &repb.Directory{}
	if err := proto.Unmarshal(content, dir); err != nil {
		return nil, fmt.Errorf("directory %v: %w: %w", d, action.ErrInvalid, err)
	}
	return dir, nil
}
