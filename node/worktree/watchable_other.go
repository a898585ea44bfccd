//go:build !linux

package worktree

import (
	"errors"
	"os"
)

// canWatch is false: see Watcher.
const canWatch = false

func watchable(string, os.FileInfo) (inode, error) { return inode{}, errors.ErrUnsupported }

func sameInfo(Stat, os.FileInfo) bool { return false }
