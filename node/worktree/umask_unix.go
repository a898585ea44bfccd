//go:build unix

package worktree

import (
	"io/fs"
	"syscall"
)

// ownUmask is that of this process, which nothing in it changes. It can be asked
// only by setting it: here, where no other goroutine makes files yet. A directory
// may have its own say in permissions, by an access control list: so nothing is
// changed where the umask that is wanted is this one.
var ownUmask = func() fs.FileMode {
	old := syscall.Umask(0o077)
	syscall.Umask(old)
	return fs.FileMode(old)
}()
