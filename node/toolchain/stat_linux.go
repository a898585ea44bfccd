package toolchain

import "syscall"

func statOf(p string) (stat, bool) {
	var st syscall.Stat_t
	if err := syscall.Lstat(p, &st); err != nil {
		return stat{}, false
	}
	return statFrom(&st), true
}

// statOfOpen is statOf for an open file.
func statOfOpen(fd int) (stat, bool) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return stat{}, false
	}
	return statFrom(&st), true
}

func statFrom(st *syscall.Stat_t) stat {
	return stat{
		Mode: st.Mode, Size: st.Size, Dev: uint64(st.Dev), Ino: st.Ino, //nolint:unconvert // it is 32 bits on some architectures
		MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(),
	}
}
