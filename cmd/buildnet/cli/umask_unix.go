//go:build unix

package cli

import (
	"io/fs"
	"syscall"
)

// umask is what commands that this process runs make their files with. It can be
// asked only by setting it, so that what another goroutine makes meanwhile is for
// the user alone.
func umask() *fs.FileMode {
	old := syscall.Umask(0o077)
	syscall.Umask(old)
	mode := fs.FileMode(old)
	return &mode
}
