//go:build lab && linux

package lab

import (
	"os/exec"
	"syscall"
)

// Process is a command that runs in a host, in a process group of its own.
type Process struct {
	cmd    *exec.Cmd
	output lockedBuffer
	done   chan struct{}
}

// Spawn starts a command. It is killed when the test ends.
func (h *Host) Spawn(argv ...string) *Process {
	h.t.Helper()
	p := &Process{cmd: h.Command(argv...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		h.t.Fatalf("host %s: %v: %v", h.Name, argv, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	h.t.Cleanup(func() { p.Kill(); p.Wait() })
	return p
}

// Output returns what the command has written so far, to both streams.
func (p *Process) Output() string { return p.output.String() }

// Kill ends the command's process group at once.
func (p *Process) Kill() {
	select {
	case <-p.done: // its pid may belong to somebody else by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// Wait returns the exit status, -1 after a signal.
func (p *Process) Wait() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}
