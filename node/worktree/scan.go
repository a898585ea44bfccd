package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// maxEntries bounds the files of a tree: some 500 bytes of memory each.
const maxEntries = 4_000_000

// File is a regular file or a symbolic link of a tree.
type File struct {
	Path string
	// Link is where a symbolic link points, "" for a regular file.
	Link string
}

// listing is what lies in a tree. It does not change once made.
type listing struct {
	paths []string // of files and links, sorted
	stats map[string]Stat
	dirs  []string // sorted, "" first
	// linked are the files that have further names.
	linked []string
	// set names the file set: paths, kinds and targets.
	set digest.Digest
	// ignored is what no step can have.
	ignored []string
}

// Snapshot is the tree at the moment of a Scan, and what was ingested of it.
type Snapshot struct {
	listing *listing

	mu       sync.Mutex
	ingested map[string]identity
}

// Files returns the files and links of the tree, sorted by path: all but those
// below .git and .buildnet.
func (s *Snapshot) Files() []File {
	files := make([]File, len(s.listing.paths))
	for i, p := range s.listing.paths {
		files[i] = File{Path: p, Link: s.listing.stats[p].Target}
	}
	return files
}

// Ignored returns what no step can have as an input, sorted: names with
// characters such as a newline or that are not UTF-8, which are then quoted,
// and directories that the user may not read.
func (s *Snapshot) Ignored() []string { return slices.Clone(s.listing.ignored) }

func (s *Snapshot) remember(path string, id identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ingested[path] = id
}

func (s *Snapshot) recall(path string) (identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ingested[path]
	return id, ok
}

// Scan looks at every file of the tree, or at none if the watch says that
// nothing changed since it last looked.
func (t *Tree) Scan(ctx context.Context) (*Snapshot, error) {
	l, err := t.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", t.Root(), err)
	}
	clear(t.removed)
	return &Snapshot{listing: l, ingested: map[string]identity{}}, nil
}

// look returns the present listing and has the watch begin from it.
func (t *Tree) look(ctx context.Context) (*listing, error) {
	w := t.watcher.begin(ctx, t.Root())
	l, err := t.listed(ctx, w)
	if err == nil {
		w.settle(l)
	}
	return l, err
}

// walk lists the whole tree, level by level. arm is called for each directory
// before it is listed: what happens in it later is then seen by the watch.
func (t *Tree) walk(ctx context.Context, arm func(dir string)) (*listing, error) {
	l := &listing{stats: map[string]Stat{}}
	level := []string{""}
	for len(level) > 0 {
		lists, closed, err := t.listAll(ctx, level, arm)
		if err != nil {
			return nil, err
		}
		l.ignored = append(l.ignored, closed...)
		var next []string
		for i, dir := range level {
			next = append(next, l.add(dir, lists[i])...)
		}
		if len(l.stats) > maxEntries {
			return nil, fmt.Errorf("more than %d files: is this the root of a project?", maxEntries)
		}
		l.dirs = append(l.dirs, level...)
		level = next
	}
	slices.Sort(l.dirs)
	slices.Sort(l.paths)
	slices.Sort(l.ignored)
	l.set = l.fileSet()
	return l, nil
}

// listAll lists directories at once, and says which the user may not read. One
// that is gone by now is empty.
func (t *Tree) listAll(ctx context.Context, dirs []string, arm func(dir string)) (lists [][]Entry, closed []string, err error) {
	lists = make([][]Entry, len(dirs))
	denied := make([]bool, len(dirs))
	err = t.each(ctx, len(dirs), func(ctx context.Context, i int) (err error) {
		arm(dirs[i])
		lists[i], err = t.files.List(ctx, dirs[i])
		denied[i] = errors.Is(err, fs.ErrPermission)
		if dirs[i] != "" && (missing(err) || denied[i]) {
			return nil
		}
		return err
	})
	for i, dir := range dirs {
		if denied[i] {
			closed = append(closed, dir)
		}
	}
	return lists, closed, err
}

// add takes the entries of a directory and returns the directories among them.
func (l *listing) add(dir string, entries []Entry) []string {
	var dirs []string
	for _, e := range entries {
		p := join(dir, e.Name)
		switch {
		case hidden(e.Name):
		case !action.CleanPath(p):
			l.ignored = append(l.ignored, p)
		case e.Kind == Directory:
			dirs = append(dirs, p)
		case e.Kind == Regular || e.Kind == Symlink:
			l.paths = append(l.paths, p)
			l.stats[p] = e.Stat
			if e.Links > 1 && e.Kind == Regular {
				l.linked = append(l.linked, p)
			}
		}
	}
	return dirs
}

func (l *listing) fileSet() digest.Digest {
	h := digest.NewHasher(digest.BLAKE3)
	var b []byte
	for _, p := range l.paths {
		s := l.stats[p]
		b = appendString(append(appendString(b[:0], p), byte(s.Kind)), s.Target)
		_, _ = h.Write(b)
	}
	return h.Sum()
}

// each calls f for 0 to n-1, some at a time, until one fails.
func (t *Tree) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, groupCtx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, t.parallel) {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n && groupCtx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(groupCtx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || dir == "" || strings.HasPrefix(p, dir) && len(p) > len(dir) && p[len(dir)] == '/'
}

// pathSet is a set of files and directories.
type pathSet map[string]struct{}

func newPathSet(paths []string) pathSet {
	s := pathSet{}
	for _, p := range paths {
		s[p] = struct{}{}
	}
	return s
}

// covers reports whether p is in the set or lies below a directory that is.
func (s pathSet) covers(p string) bool {
	for p != "" {
		if _, ok := s[p]; ok {
			return true
		}
		p, _ = split(p)
	}
	_, ok := s[""]
	return ok
}
