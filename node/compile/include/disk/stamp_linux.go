package disk

import (
	"os"
	"syscall"

	"github.com/buildnet/buildnet/node/compile/include"
)

func stampOf(info os.FileInfo) include.Stamp {
	s := include.Stamp{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Dev, s.Ino, s.CTime = uint64(st.Dev), st.Ino, st.Ctim.Nano() //nolint:unconvert // it is 32 bits on some architectures
	}
	return s
}
