//go:build unix && !linux

package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// keepInherited keeps what whoever started the node let it inherit from the
// commands. What the node opens itself is closed on exec anyway.
var keepInherited = sync.OnceFunc(func() {
	for fd := 3; fd < maxInherited; fd++ {
		syscall.CloseOnExec(fd)
	}
})

// maxInherited bounds the descriptors that are looked at; shells use low ones.
const maxInherited = 4096

// run starts an ordinary process in a process group of its own: this system
// has no namespaces.
func (e *Executor) run(ctx context.Context, l launch, started func()) (outcome, error) {
	if l.level == action.Full {
		return outcome{}, errors.New("this operating system has no namespaces")
	}
	keepInherited()
	bounded, cancel := context.WithTimeout(ctx, l.job.timeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, l.job.argv[0], l.job.argv[1:]...)
	cmd.Dir = filepath.Join(l.dir.work.path, l.job.dir)
	cmd.Env = relocated(l.job.env, l.dir)
	out := l.sink(0)
	cmd.Stdout, cmd.Stderr = out, out
	if l.job.apart {
		cmd.Stderr = l.sink(1)
	}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if l.dir.owner >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(l.dir.owner), Gid: uint32(l.dir.owner)}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return outcome{code: codeNotFound, cause: action.NotStarted, message: err.Error()}, nil
	}
	started()
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return outcome{}, err
	}
	state := cmd.ProcessState
	o := outcome{code: state.ExitCode(), cpu: state.UserTime() + state.SystemTime(), maxRSS: peakOf(state)}
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		o.cause = action.Killed
		o.code, o.message = codeSignal+int(w.Signal()), fmt.Sprintf("killed by signal %d (%v)", w.Signal(), w.Signal())
	}
	if bounded.Err() != nil {
		o.cause = action.TimedOut
		o.message = fmt.Sprintf("killed after its time limit of %v", l.job.timeout)
	}
	return o, ctx.Err()
}

// peakOf returns the resident set of the largest process, in bytes.
func peakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss
	}
	return usage.Maxrss << 10 // elsewhere it is in KiB
}
