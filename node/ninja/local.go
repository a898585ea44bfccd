package ninja

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// graceTime is what an interrupted command has to end by itself.
const graceTime = 5 * time.Second

// Local runs commands on this machine, in Dir.
type Local struct {
	Dir string
	// Env is the environment as os.Environ has it; nil means this process's.
	Env []string
	// Stdin, Stdout and Stderr are for console jobs.
	Stdin          *os.File
	Stdout, Stderr *os.File
}

// Run implements Runner. Every job but those of the console has a process group
// of its own, so that Ctrl-C reaches it through us alone.
func (l Local) Run(ctx context.Context, job Job) Result {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", job.Command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = l.Dir, l.Env, graceTime
	if job.Console() {
		// A nil *os.File is no nil io.Writer.
		if l.Stdin != nil {
			cmd.Stdin = l.Stdin
		}
		if l.Stdout != nil {
			cmd.Stdout = l.Stdout
		}
		if l.Stderr != nil {
			cmd.Stderr = l.Stderr
		}
		// The terminal has sent its signal to the job as well as to us.
		cmd.Cancel = func() error { return nil }
	} else {
		cmd.Stdout, cmd.Stderr = &output, &output
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, signalOf(ctx)) }
	}
	err := cmd.Run()
	if ctx.Err() != nil && !job.Console() && cmd.Process != nil {
		// What the command had started and left behind must not write on.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return Result{Status: statusOf(ctx, err), Output: withReason(output.Bytes(), err)}
}

// withReason says why a command could not be started at all.
func withReason(output []byte, err error) []byte {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.Canceled) {
		return output
	}
	return fmt.Appendf(output, "%v\n", err)
}

func statusOf(ctx context.Context, err error) Status {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Interrupted
	case err == nil:
		return Succeeded
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			switch ws.Signal() {
			case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP:
				return Interrupted
			}
		}
	}
	return Failed
}

// Signal is the cause with which a context is cancelled that ends a build: the
// commands get the same signal.
type Signal struct{ Number syscall.Signal }

func (s Signal) Error() string { return s.Number.String() }

func signalOf(ctx context.Context) syscall.Signal {
	var s Signal
	if errors.As(context.Cause(ctx), &s) {
		return s.Number
	}
	return syscall.SIGINT
}
