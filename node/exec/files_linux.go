package exec

import (
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes to share the blocks of from, where the file system can.
func reflink(to *os.File, from uintptr) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from))
}

// spread has the directories below dir put into different parts of the disk,
// where the file system is one that has parts. ext4 gives no inode to a file for
// five seconds after it was freed, and looks at each such one in a part of the
// disk before it finds another: actions that come and go by the hundred files in
// one part make creating a file ten times as slow. What another file system says
// to this is of no interest.
func spread(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	const topDirectory = 0x20000 // FS_TOPDIR_FL
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil && flags&topDirectory == 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|topDirectory))
	}
}
