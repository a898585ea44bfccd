//go:build unix

package worktree

import (
	"os/exec"
	"syscall"
)

// asGroup makes cmd the head of a process group that dies as a whole.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
