package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/node/exec/child"
	"github.com/buildnet/buildnet/sched/action"
)

// killGrace is how long a plain child has to kill what it started before it is
// killed itself.
const killGrace = time.Second

// running is a child at work.
type running struct {
	cmd    *exec.Cmd
	life   *os.File // the pipe whose end ends the child
	report *os.File
	out    []*os.File // what it prints, a pipe for each stream
	plain  bool
}

func (e *Executor) run(ctx context.Context, l launch, started func()) (outcome, error) {
	spec, err := e.spec(l)
	if err != nil {
		return outcome{}, err
	}
	group, err := newMemoryGroup(l.job.memory, filepath.Base(l.dir.path), e.memoryPlace(l.job))
	if err != nil {
		group = nil
		e.opts.Log.Debug("memory limit is for each process, not for all of an action", "error", err)
	}
	defer group.remove()
	r, err := start(spec, len(l.printed))
	if err != nil {
		return outcome{}, fmt.Errorf("start a sandbox: %w", err)
	}
	light := group.add(r.cmd.Process.Pid) && e.opts.Groups.Weighs()
	if l.job.foreign && !light && !e.weighed(r.cmd.Process.Pid) {
		spec.Nice, spec.Idle = lastNiceness, true
	}
	return e.attend(ctx, r, l, attendance{spec: spec, started: started, group: group})
}

// memoryPlace is where the group of a job's memory has to be: that of another
// place would take what runs for others out of its group.
func (e *Executor) memoryPlace(j *job) string {
	if !j.foreign || e.opts.Groups == nil {
		return ""
	}
	return e.opts.Groups.Memory()
}

// weighed puts a child that has not begun yet among what runs for others, and
// reports whether it counts less there.
func (e *Executor) weighed(pid int) bool {
	if e.opts.Groups == nil {
		return false
	}
	if err := e.opts.Groups.Enter(pid); err != nil {
		e.lost.Do(func() { e.opts.Log.Warn("what runs for others has no control group", "error", err) })
		return false
	}
	return e.opts.Groups.Weighs()
}

type attendance struct {
	spec    *child.Spec
	started func()
	group   *memoryGroup
}

// attend sees a child to its end, and returns when nothing of it is left.
func (e *Executor) attend(ctx context.Context, r *running, l launch, a attendance) (outcome, error) {
	bounded, cancel := context.WithTimeout(ctx, l.job.timeout)
	defer cancel()
	var printing sync.WaitGroup
	for i, out := range r.out {
		printing.Go(func() { _, _ = io.Copy(l.sink(i), out) }) // it ends when the last process has
	}
	reports := make(chan []string, 1)
	go func() { reports <- readReports(r.report, a.started) }()
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	// Written here, so that a child which dies early cannot block us.
	_, writeErr := r.life.Write(a.spec.Encode())

	full, err := e.wait(bounded, r, ended)
	lines := <-reports
	r.drain(&printing)
	r.close()
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case full:
		return outcome{}, fmt.Errorf("%w: less than %d MiB free on the disk of %s: make room there", ErrNoSpace, reserveBytes>>20, e.scratch.path)
	}
	o, err := outcomeOf(lines, errors.Join(writeErr, err))
	if err != nil {
		return outcome{}, fmt.Errorf("%w %s", err, l.said())
	}
	if o.cpu == 0 && bounded.Err() != nil {
		o.code = codeSignal + int(syscall.SIGKILL)
	}
	explain(&o, l, bounded.Err() != nil, a.group.exceeded())
	o.maxRSS = max(o.maxRSS, a.group.most()) // all processes, not the largest alone
	return o, nil
}

// wait returns when the child is gone, which it sees to when ctx ends or the
// disk is full.
func (e *Executor) wait(ctx context.Context, r *running, ended <-chan error) (full bool, err error) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return false, err
		case <-ctx.Done():
			return false, r.kill(ended)
		case <-look.C:
			if !e.scratch.room() {
				return true, r.kill(ended)
			}
		}
	}
}

// kill ends all processes of the child. The first process of a pid namespace
// takes the others along; a plain one kills them, when its pipe ends.
func (r *running) kill(ended <-chan error) error {
	if r.plain {
		_ = r.life.Close()
		select {
		case err := <-ended:
			return err
		case <-time.After(killGrace):
		}
	}
	_ = r.cmd.Process.Kill() // it may be gone
	return <-ended
}

func (r *running) close() {
	_ = r.life.Close() // twice after kill
	_ = r.report.Close()
	for _, out := range r.out {
		_ = out.Close()
	}
}

// drain waits for what was printed. Who still holds a pipe of a plain child
// has escaped from it, and is not waited for.
func (r *running) drain(printing *sync.WaitGroup) {
	deadline := time.Now().Add(killGrace)
	for _, out := range r.out {
		_ = out.SetReadDeadline(deadline)
	}
	printing.Wait()
}

func (e *Executor) spec(l launch) (*child.Spec, error) {
	s := &child.Spec{
		Mode: child.Sandbox, Argv: l.job.argv, Env: l.job.env, Scratch: l.dir.path, Dir: l.job.dir,
		HostUID: l.dir.owner, Network: child.Loopback, MemoryBytes: l.job.memory, FileBytes: e.opts.OutputBytes, Nice: niceness,
	}
	if l.job.network {
		s.Network = child.Host
	}
	if l.level != action.Full {
		s.Mode, s.Env = child.Plain, relocated(l.job.env, l.dir)
		return s, nil
	}
	if os.Geteuid() == 0 {
		s.Mode = child.RootSandbox
	}
	if g := l.ground; g != nil {
		s.Absolute, s.Mounts = true, g.mounts
		s.Binds, s.Needed, s.Hidden = g.binds, g.needed, g.hidden
		return s, nil
	}
	s.Binds, s.Needed = e.binds(l.job)
	var err error
	s.Binds, s.Hidden, err = cover(s.Binds, s.Needed, e.opts.Hidden)
	return s, err
}

// start executes this program again as a child, in namespaces if it is to have
// them. What it prints comes by one pipe, or by one for each of two streams.
func start(s *child.Spec, streams int) (*running, error) {
	all, err := newPipes(2 + streams)
	if err != nil {
		return nil, err
	}
	life, report, printed := all[0], all[1], all[2:]
	if s.HostUID >= 0 {
		// Programs open /dev/stderr, which is such a pipe.
		for _, p := range printed {
			if err := p.w.Chown(s.HostUID, s.HostUID); err != nil {
				all.close()
				return nil, err
			}
		}
	}
	cmd := exec.Command("/proc/self/exe") //nolint:noctx // attend ends it, by way of its pipe
	cmd.Args = []string{"buildnet-action"}
	// The child has nothing to collect and needs no second processor.
	cmd.Env = []string{child.Marker + "=1", "GOGC=off", "GOMAXPROCS=1"}
	cmd.ExtraFiles = []*os.File{life.r, report.w}
	cmd.Stdout, cmd.Stderr = printed[0].w, printed[streams-1].w
	cmd.SysProcAttr = namespaces(s)
	starts.RLock()
	err = cmd.Start() // it returns when the child executes
	starts.RUnlock()
	if err != nil {
		all.close()
		return nil, err
	}
	r := &running{cmd: cmd, life: life.w, report: report.r, plain: s.Mode == child.Plain}
	_, _ = life.r.Close(), report.w.Close()
	for _, p := range printed {
		_ = p.w.Close()
		r.out = append(r.out, p.r)
	}
	return r, nil
}

type pipe struct{ r, w *os.File }

type pipes []pipe

func newPipes(n int) (pipes, error) {
	var all pipes
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, pipe{r, w})
	}
	return all, nil
}

func (all pipes) close() {
	for _, p := range all {
		_, _ = p.r.Close(), p.w.Close()
	}
}

// Capabilities within its own user namespace that the child mounts with.
const (
	capNetAdmin = 12
	capSetPcap  = 8
	capSysAdmin = 21
)

func namespaces(s *child.Spec) *syscall.SysProcAttr {
	if s.Mode == child.Plain {
		return &syscall.SysProcAttr{Setsid: true}
	}
	a := &syscall.SysProcAttr{Setsid: true}
	a.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	if s.Network == child.Loopback {
		a.Cloneflags |= syscall.CLONE_NEWNET
	}
	if s.Mode == child.Sandbox {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: child.UID, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: child.UID, HostID: os.Getegid(), Size: 1}}
		a.AmbientCaps = []uintptr{capNetAdmin, capSetPcap, capSysAdmin}
	}
	return a
}

func readReports(r io.Reader, started func()) []string {
	var lines []string
	in := bufio.NewScanner(r)
	for in.Scan() {
		if in.Text() == child.Started {
			started()
			continue
		}
		lines = append(lines, in.Text())
	}
	return lines
}

// outcomeOf reads a child's last report. A child that made none was killed:
// by us, or by its own command, or for lack of memory.
func outcomeOf(lines []string, ended error) (outcome, error) {
	if len(lines) == 0 {
		var exit *exec.ExitError
		if errors.As(ended, &exit) {
			return outcome{code: codeSignal + int(syscall.SIGKILL), cause: action.Killed, message: "its sandbox was killed"}, nil
		}
		return outcome{}, fmt.Errorf("the sandbox said nothing: %w", ended)
	}
	kind, rest, _ := strings.Cut(lines[len(lines)-1], " ")
	switch kind {
	case child.Done:
		return doneOf(rest)
	case child.NoCommand:
		number, text, _ := strings.Cut(rest, " ")
		if n, _ := strconv.Atoi(number); syscall.Errno(n) == syscall.ENOENT {
			return outcome{code: codeNotFound, cause: action.NotStarted, message: text + ": it is neither an input nor in a toolchain directory"}, nil
		}
		return outcome{code: codeNotExecutable, cause: action.NotStarted, message: text}, nil
	default:
		return outcome{}, errors.New(rest)
	}
}

func doneOf(rest string) (outcome, error) {
	var status int
	var cpu, rss int64
	if _, err := fmt.Sscan(rest, &status, &cpu, &rss); err != nil {
		return outcome{}, fmt.Errorf("report of the sandbox %q: %w", rest, err)
	}
	o := outcome{cpu: time.Duration(cpu), maxRSS: rss}
	w := syscall.WaitStatus(status)
	if o.code = w.ExitStatus(); w.Signaled() {
		o.code, o.cause = codeSignal+int(w.Signal()), action.Killed
		o.message = fmt.Sprintf("killed by signal %d (%v)", w.Signal(), w.Signal())
	}
	return o, nil
}
