//go:build unix

package cli

import (
	"os"
	"syscall"
)

// ofAnotherUser reports whether a directory belongs to another user than this
// process'.
func ofAnotherUser(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false // the build tells what is wrong
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Getuid()
}
