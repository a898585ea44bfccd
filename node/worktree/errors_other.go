//go:build !unix

package worktree

// notDirectory is always false: here such a path does not exist.
func notDirectory(error) bool { return false }
