//go:build unix

package exec

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setTime gives a file, a directory or a link its time of modification.
func setTime(p string, at time.Time) error {
	t, err := unix.TimeToTimespec(at)
	if err != nil {
		return &os.PathError{Op: "set time", Path: p, Err: err}
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "set time", Path: p, Err: err}
	}
	return nil
}

// create makes a file that is not there yet. The poller, which os.OpenFile asks
// of every file in five system calls, has nothing to do with those of a disk.
func create(p string, mode fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(p, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), p), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &os.PathError{Op: "create", Path: p, Err: err}
		}
	}
}

func mine(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// room reports whether the disk has what the node needs to go on.
func (s *scratchDirs) room() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(s.path, &st); err != nil {
		return true // another call says what is wrong
	}
	return uint64(st.Bavail)*uint64(st.Bsize) >= reserveBytes //nolint:unconvert // the types differ by system
}
