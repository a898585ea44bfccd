package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/buildnet/buildnet/sched/action"
)

// settle is how far before its writing a placed file's modification time lies:
// beyond the granularity of the clock that stamps files, see granularity.
const settle = 2 * granularity

// local is the file system of the process, confined to a root.
type local struct {
	path string
	root *os.Root
	// top is the descriptor of the root, where files go by descriptors, and
	// topFile keeps it.
	top     int
	topFile *os.File
}

// Local returns the files below root with the rights of this process.
func Local(root string) (Files, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open tree %s: %w", root, err)
	}
	// One tree has one name, however it was reached.
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		abs = resolved
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open tree: %w", err)
	}
	l := &local{path: abs, root: r}
	if l.top, l.topFile, err = topOf(r); err != nil {
		return nil, fmt.Errorf("open tree: %w", errors.Join(err, r.Close()))
	}
	return l, nil
}

// Root implements Files.
func (l *local) Root() string { return l.path }

// Close implements Files.
func (l *local) Close() error {
	err := l.root.Close()
	if l.topFile != nil {
		err = errors.Join(err, l.topFile.Close())
	}
	return err
}

// native returns p as this system writes it.
func native(p string) string {
	if p == "" {
		return "."
	}
	return filepath.FromSlash(p)
}

// List implements Files.
func (l *local) List(_ context.Context, dir string) ([]Entry, error) {
	d, err := l.plainDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	slices.Sort(names)
	entries := make([]Entry, 0, len(names))
	unsayable := false
	for _, name := range names {
		if !utf8.ValidString(name) {
			entries = append(entries, Entry{Name: quoted(name), Stat: Stat{Kind: Other}})
			unsayable = true
			continue
		}
		s, err := statIn(d, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		if isTemp(name) {
			l.sweep(join(dir, name), s)
			continue
		}
		entries = append(entries, Entry{Name: name, Stat: s})
	}
	if unsayable {
		slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
		entries = slices.CompactFunc(entries, func(a, b Entry) bool { return a.Name == b.Name })
	}
	return entries, nil
}

// quoted returns a name that is not UTF-8 as messages can carry it. Its
// backslashes keep it from being a path of any step.
func quoted(name string) string {
	q := strconv.Quote(name)
	return q[1 : len(q)-1]
}

// sweep removes a temporary file that nobody will rename any more. It may fail:
// then it stays hidden.
func (l *local) sweep(p string, s Stat) {
	if _, name := split(p); abandoned(name, time.Unix(0, s.ModTime), time.Now()) {
		_ = l.root.Remove(native(p))
	}
}

// Stat implements Files.
func (l *local) Stat(_ context.Context, paths []string) ([]Stat, error) {
	stats := make([]Stat, len(paths))
	var dir *os.File
	var at string
	defer func() {
		if dir != nil {
			dir.Close()
		}
	}()
	for i, p := range paths {
		parent, name := split(p)
		if name == "" {
			name = "."
		}
		if dir == nil || parent != at {
			if dir != nil {
				dir.Close()
			}
			var err error
			if dir, err = l.plainDir(parent); missing(err) {
				dir = nil
				continue
			} else if err != nil {
				dir = nil
				return nil, fmt.Errorf("stat %s: %w", p, err)
			}
			at = parent
		}
		s, err := statIn(dir, name)
		if err != nil && !missing(err) {
			return nil, err
		}
		stats[i] = s
	}
	return stats, nil
}

// missing reports whether an error says that there is no such path.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBlocked) || notDirectory(err)
}

// plainDir opens a directory that no symbolic link leads to.
func (l *local) plainDir(dir string) (*os.File, error) {
	if err := l.checkWay(dir); err != nil {
		return nil, err
	}
	return l.root.Open(native(dir))
}

// checkWay returns ErrBlocked if an element of dir is not a directory. os.Root
// keeps every way inside the tree; this keeps it off links within it, through
// which a walk would not find what was written.
func (l *local) checkWay(dir string) error {
	for end := 0; end < len(dir); {
		next := strings.IndexByte(dir[end+1:], '/')
		if next < 0 {
			end = len(dir)
		} else {
			end += 1 + next
		}
		info, err := l.root.Lstat(native(dir[:end]))
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return l.blocked(dir[:end], info.Mode())
		}
	}
	return nil
}

func (l *local) blocked(p string, mode fs.FileMode) error {
	what := "a file"
	if mode&fs.ModeSymlink != 0 {
		what = "a symbolic link"
	}
	return fmt.Errorf("%w: %s is %s where a directory is needed; move it away or change the outputs", ErrBlocked, filepath.Join(l.path, native(p)), what)
}

// writable refuses paths that no build has any business to write.
func writable(p string) error {
	if !action.CleanPath(p) || hiddenPath(p) {
		return fmt.Errorf("path %q is not for builds to write: %w", p, fs.ErrPermission)
	}
	return nil
}

// dir opens the directory of p, in which p is to be written, for names within
// it; the caller closes it.
func (l *local) dir(p string) (*os.Root, string, error) {
	if err := writable(p); err != nil {
		return nil, "", err
	}
	parent, name := split(p)
	if err := l.checkWay(parent); err != nil {
		return nil, "", err
	}
	d, err := l.root.OpenRoot(native(parent))
	return d, name, err
}

// Open implements Files.
func (l *local) Open(_ context.Context, p string) (Source, error) {
	if f := l.openBelow(p); f != nil {
		return f, nil
	}
	if err := l.notLink(p); err != nil {
		return nil, err
	}
	f, err := l.root.OpenFile(native(p), openFlags, 0)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	s, err := statFile(f)
	if err == nil && s.Kind != Regular {
		err = fmt.Errorf("read %s: not a regular file", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &localFile{f: f, stat: s}, nil
}

func (l *local) notLink(p string) error {
	info, err := l.root.Lstat(native(p))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read %s: not a regular file", filepath.Join(l.path, native(p)))
	}
	return nil
}

type localFile struct {
	f    *os.File
	stat Stat
}

// Read implements io.Reader.
func (f *localFile) Read(p []byte) (int, error) { return f.f.Read(p) }

// Stat implements Source.
func (f *localFile) Stat() Stat { return f.stat }

// Close implements Source.
func (f *localFile) Close() (Stat, error) {
	s, err := statFile(f.f)
	return s, errors.Join(err, f.f.Close())
}

// Mkdir implements Files.
func (l *local) Mkdir(_ context.Context, dir string) error {
	if err := writable(dir); err != nil {
		return err
	}
	err := l.checkWay(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.root.MkdirAll(native(dir), 0o777); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// Remove implements Files.
func (l *local) Remove(_ context.Context, p string) error {
	d, name, err := l.dir(p)
	if err != nil {
		return fmt.Errorf("remove %s: %w", p, err)
	}
	defer func() { _ = d.Close() }()
	return d.Remove(name)
}
