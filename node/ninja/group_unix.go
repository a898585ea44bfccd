//go:build unix

package ninja

import (
	"os/exec"
	"syscall"
)

// nonBlocking has a pipe opened although nobody writes to it.
const nonBlocking = syscall.O_NONBLOCK

// ownGroup gives a command a process group of its own, which gets the signal when
// the command is to end.
func ownGroup(cmd *exec.Cmd, number func() syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, number()) }
}

// killGroup ends what a command has started and left behind.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// byUser reports a command that was ended as a user does it.
func byUser(exit *exec.ExitError) bool {
	ws, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return false
	}
	switch ws.Signal() {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP:
		return true
	default:
		return false
	}
}
