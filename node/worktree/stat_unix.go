//go:build linux || darwin

package worktree

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags keep a read from blocking on a pipe.
const openFlags = os.O_RDONLY | unix.O_NONBLOCK

// maxTarget bounds a link's target in bytes: PATH_MAX.
const maxTarget = 4096

func statOf(st *unix.Stat_t) Stat {
	s := Stat{
		Size: st.Size, Inode: st.Ino, Links: uint32(st.Nlink),
		ModTime: st.Mtim.Nano(), ChangeTime: st.Ctim.Nano(),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.Kind, s.Executable = Regular, st.Mode&0o100 != 0
	case unix.S_IFDIR:
		s.Kind = Directory
	case unix.S_IFLNK:
		s.Kind = Symlink
	default:
		s.Kind = Other
	}
	return s
}

// statIn returns the stat of name in the open directory.
func statIn(dir *os.File, name string) (Stat, error) {
	s, err := statAt(int(dir.Fd()), name)
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: dir.Name() + "/" + name, Err: err}
	}
	return s, err
}

// statAt is statIn by descriptor. Its errors do not name the file.
func statAt(dir int, name string) (Stat, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Stat{}, err
	}
	s := statOf(&st)
	if s.Kind == Symlink {
		buf := make([]byte, maxTarget)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return Stat{}, err
		}
		s.Target = string(buf[:n])
	}
	return s, nil
}

// statPath returns the stat of an absolute path, without a link's target.
func statPath(p string) (Stat, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(p, &st) }); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: p, Err: err}
	}
	return statOf(&st), nil
}

// statFile returns the stat of an open file.
func statFile(f *os.File) (Stat, error) {
	s, err := statFD(int(f.Fd()))
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return s, err
}

func statFD(fd int) (Stat, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return Stat{}, err
	}
	return statOf(&st), nil
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// alive reports whether a process with this ID runs.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}
