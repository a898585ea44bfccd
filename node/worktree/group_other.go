//go:build !unix

package worktree

import "os/exec"

// asGroup leaves cmd as it is: there are no process groups here.
func asGroup(*exec.Cmd) {}
