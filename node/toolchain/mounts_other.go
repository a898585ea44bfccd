//go:build !linux

package toolchain

// mounts is empty where no table can be read.
func mounts() string { return "" }

func mountsRead() (string, uint64) { return "", 0 }
