package worktree

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

const canWatch = true

// bcachefsMagic is not in package unix yet.
const bcachefsMagic = 0xca451a4e

// zfsMagic belongs to a file system from outside the kernel's tree.
const zfsMagic = 0x2fc12fc1

// watched are the file systems whose every change inotify reports: not those of
// which another machine, or a process behind FUSE, may change files.
var watched = []int64{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
	unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, bcachefsMagic, zfsMagic,
}

// watchable identifies a directory, or says why a watch would miss changes.
func watchable(dir string, root os.FileInfo) (inode, error) {
	var f unix.Statfs_t
	if err := unix.Statfs(dir, &f); err != nil {
		return inode{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if !slices.Contains(watched, int64(f.Type)) { //nolint:unconvert // its type differs between architectures
		return inode{}, fmt.Errorf("a file system of type %#x does not report all changes", f.Type)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return inode{}, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if sys, ok := root.Sys().(*syscall.Stat_t); ok && sys.Dev != st.Dev {
		return inode{}, errors.New("another file system is mounted there")
	}
	return inode{dev: uint64(st.Dev), ino: st.Ino}, nil //nolint:unconvert // its type differs between architectures
}

// sameInfo reports whether info is what the stat was of.
func sameInfo(s Stat, info os.FileInfo) bool {
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Inode == sys.Ino && s.Size == sys.Size && s.ModTime == sys.Mtim.Nano() && s.ChangeTime == sys.Ctim.Nano()
}
