//go:build !linux

package toolchain

import "os"

func statOf(p string) (stat, bool) {
	info, err := os.Lstat(p)
	if err != nil {
		return stat{}, false
	}
	t := info.ModTime().UnixNano()
	return stat{Mode: uint32(info.Mode()), Size: info.Size(), MTime: t, CTime: t}, true
}
