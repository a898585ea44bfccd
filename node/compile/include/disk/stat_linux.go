package disk

import (
	"errors"
	"syscall"

	"github.com/buildnet/buildnet/node/compile/include"
)

// statOf is called for each header of a build: os.Lstat takes half as long
// again.
func statOf(p string, stat func(string, *syscall.Stat_t) error) (include.Kind, include.Stamp) {
	var st syscall.Stat_t
	err := stat(p, &st)
	for errors.Is(err, syscall.EINTR) {
		err = stat(p, &st)
	}
	if err != nil {
		return include.None, include.Stamp{}
	}
	return kinds[st.Mode&syscall.S_IFMT], include.Stamp{
		Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), //nolint:unconvert // it is 32 bits on some architectures
	}
}

var kinds = map[uint32]include.Kind{syscall.S_IFREG: include.File, syscall.S_IFDIR: include.Dir, syscall.S_IFLNK: include.Link}

func lstat(p string) (include.Kind, include.Stamp) { return statOf(p, syscall.Lstat) }
func stat(p string) (include.Kind, include.Stamp)  { return statOf(p, syscall.Stat) }
