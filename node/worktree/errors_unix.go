//go:build unix

package worktree

import (
	"errors"
	"syscall"
)

// notDirectory reports whether an element on the way was no directory.
func notDirectory(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
