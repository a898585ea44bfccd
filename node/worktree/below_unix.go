//go:build linux || darwin

package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/sched/action"
)

// A build reads and writes thousands of small files, each once. By descriptors
// that is a third of the system calls that os.Root and os.File make for each,
// which look for links and ask whether one can wait for a file.

// dirFlags open a directory, and no link to one.
const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, flags, mode)
		return err
	})
	return fd, err
}

// descend opens a directory of the tree to which no link leads. Its path is
// clean.
func (l *local) descend(dir string) (int, error) {
	first, rest, deeper := strings.Cut(dir, "/")
	if dir == "" {
		first = "."
	}
	at, err := openat(l.top, first, dirFlags, 0)
	for err == nil && deeper {
		var name string
		name, rest, deeper = strings.Cut(rest, "/")
		above := at
		at, err = openat(above, name, dirFlags, 0)
		_ = unix.Close(above)
	}
	return at, err
}

// openBelow opens a regular file to which no link leads; nil says that there is
// none, or that os.Root has to be asked.
func (l *local) openBelow(p string) Source {
	if !action.CleanPath(p) {
		return nil
	}
	parent, name := split(p)
	dir, err := l.descend(parent)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(dir) }()
	// To open what is no file may do something to it.
	if s, err := statAt(dir, name); err != nil || s.Kind != Regular {
		return nil
	}
	fd, err := openat(dir, name, openFlags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := &source{fd: fd, path: p}
	if f.stat, err = statFD(fd); err != nil || f.stat.Kind != Regular {
		_ = unix.Close(fd)
		return nil
	}
	return f
}

// source is a regular file that is being read.
type source struct {
	fd   int
	path string
	stat Stat
}

// Read implements io.Reader.
func (f *source) Read(p []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(f.fd, p)
		return err
	})
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: err}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// Stat implements Source.
func (f *source) Stat() Stat { return f.stat }

// Close implements Source.
func (f *source) Close() (Stat, error) {
	s, err := statFD(f.fd)
	return s, errors.Join(err, unix.Close(f.fd))
}

// Create implements Files.
func (l *local) Create(_ context.Context, p string, mode Mode) (Temp, error) {
	d, name, err := l.dirBelow(p)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", p, err)
	}
	t := &temp{dir: d, name: name, path: p, temp: tempName()}
	t.file, err = openat(d, t.temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		_ = unix.Close(d)
		return nil, fmt.Errorf("write %s: %w", p, err)
	}
	return t, nil
}

// dirBelow is dir by descriptor.
func (l *local) dirBelow(p string) (int, string, error) {
	if err := writable(p); err != nil {
		return -1, "", err
	}
	parent, name := split(p)
	d, err := l.descend(parent)
	if err != nil {
		if why := l.checkWay(parent); why != nil {
			err = why // it says more
		}
		return -1, "", err
	}
	return d, name, nil
}

// temp is a file that is being written.
type temp struct {
	dir, file        int
	name, path, temp string
	done             bool
}

// Write implements io.Writer.
func (t *temp) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		var m int
		err := retry(func() (err error) {
			m, err = unix.Write(t.file, p[n:])
			return err
		})
		if err != nil {
			return n, &fs.PathError{Op: "write", Path: t.path, Err: err}
		}
		n += m
	}
	return len(p), nil
}

// Commit implements Temp.
func (t *temp) Commit() (Stat, error) {
	err := unix.Close(t.file)
	t.file = -1
	if err == nil {
		before := unix.NsecToTimespec(time.Now().Add(-settle).UnixNano())
		err = unix.UtimesNanoAt(t.dir, t.temp, []unix.Timespec{before, before}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = retry(func() error { return unix.Renameat(t.dir, t.temp, t.dir, t.name) })
	}
	if err != nil {
		t.Abort()
		return Stat{}, fmt.Errorf("write %s: %w", t.path, err)
	}
	defer t.close()
	s, err := statAt(t.dir, t.name)
	if err != nil {
		err = fmt.Errorf("write %s: %w", t.path, err)
	}
	return s, err
}

// Abort implements Temp.
func (t *temp) Abort() {
	if t.done {
		return
	}
	if t.file >= 0 {
		_ = unix.Close(t.file)
	}
	_ = unix.Unlinkat(t.dir, t.temp, 0)
	t.close()
}

func (t *temp) close() {
	t.done = true
	_ = unix.Close(t.dir)
}

// topOf returns the descriptor of a tree's root, and what keeps it.
func topOf(r *os.Root) (int, *os.File, error) {
	f, err := r.Open(".")
	if err != nil {
		return -1, nil, err
	}
	return int(f.Fd()), f, nil
}
