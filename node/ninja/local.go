package ninja

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// graceTime is what an interrupted command has to end by itself.
	graceTime = 5 * time.Second
	// drainTime is for reading what a command has written before it was ended. It
	// counts only if something has left the process group and holds the pipe.
	drainTime = 100 * time.Millisecond
)

// Local runs commands on this machine, in Dir.
type Local struct {
	Dir string
	// Env is the environment as os.Environ has it; nil means this process's.
	Env []string
	// Stdin, Stdout and Stderr are for console jobs.
	Stdin          *os.File
	Stdout, Stderr *os.File

	// grace is graceTime, unless a test has less patience.
	grace time.Duration
}

// Run implements Runner. Every job but those of the console has a process group
// of its own, so that Ctrl-C reaches it through us alone.
func (l Local) Run(ctx context.Context, job Job) Result {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", job.Command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = l.Dir, l.Env, cmp.Or(l.grace, graceTime)
	if job.Console() {
		return l.console(ctx, cmd)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return Result{Output: withReason(nil, err)}
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	ownGroup(cmd, func() syscall.Signal { return signalOf(ctx) })
	err = cmd.Start()
	w.Close()
	if err != nil {
		return Result{Status: statusOf(ctx, err), Output: withReason(nil, err), ExitCode: exitCode(err)}
	}
	live.add(cmd.Process.Pid, true)
	defer live.remove(cmd.Process.Pid)
	read := make(chan []byte, 1)
	go func() {
		output, _ := io.ReadAll(r) // what comes before a fault is the output
		read <- output
	}()
	err = cmd.Wait()
	// A command lasts as long as anything that it has started can write.
	var output []byte
	select {
	case output = <-read:
		if ctx.Err() != nil {
			killGroup(cmd.Process.Pid) // what it has started may write elsewhere
		}
	case <-ctx.Done():
		killGroup(cmd.Process.Pid)
		_ = r.SetReadDeadline(time.Now().Add(drainTime))
		output = <-read
	}
	cpu, rss := used(cmd.ProcessState)
	return Result{Status: statusOf(ctx, err), Output: output, ExitCode: exitCode(err), CPU: cpu, MaxRSS: rss}
}

// console runs a job that has the terminal. A Ctrl-C there has reached it as well
// as us.
func (l Local) console(ctx context.Context, cmd *exec.Cmd) Result {
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
	patience := cmd.WaitDelay
	cmd.Cancel, cmd.WaitDelay = func() error { return nil }, 0
	err := cmd.Start()
	if err == nil {
		err = waitFor(ctx, cmd, patience)
	}
	return Result{Status: statusOf(ctx, err), Output: withReason(nil, err), ExitCode: exitCode(err)}
}

// waitFor waits for a console job, at most for patience once ctx is done.
func waitFor(ctx context.Context, cmd *exec.Cmd, patience time.Duration) error {
	pid := cmd.Process.Pid
	live.add(pid, false)
	defer live.remove(pid)
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			killTree(pid)
		}
	})
	err := cmd.Wait()
	close(ended)
	watch.Wait()
	return err
}

// withReason says why a command could not be started at all.
func withReason(output []byte, err error) []byte {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.Canceled) {
		return output
	}
	return fmt.Appendf(output, "%v\n", err)
}

// exitCode is -1 for a command that did not exit.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

func statusOf(ctx context.Context, err error) Status {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Interrupted
	case err == nil:
		return Succeeded
	case errors.As(err, &exit) && byUser(exit):
		return Interrupted
	default:
		return Failed
	}
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
