package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	cmd    *exec.Cmd // a plain one
	born   pidfd     // any other
	life   *os.File  // the pipe whose end ends the child
	report *os.File
	out    []*os.File // what it prints, a pipe for each stream
}

func (e *Executor) run(ctx context.Context, l launch, started func()) (outcome, error) {
	spec, err := e.spec(l)
	if err != nil {
		return outcome{}, err
	}
	group, err := newMemoryGroup(l.job.memory, l.dir.id, e.memoryPlace(l.job))
	if err != nil {
		group = nil
		e.opts.Log.Debug("memory limit is for each process, not for all of an action", "error", err)
	}
	defer group.remove()
	r, err := e.start(spec, len(l.printed))
	if err != nil {
		return outcome{}, fmt.Errorf("start a sandbox: %w", err)
	}
	word := byte(child.Begin)
	if pid := r.pid(); pid != 0 {
		light := group.add(pid) && e.opts.Groups.Weighs()
		if l.job.foreign && !light && !e.weighed(pid) {
			word = child.BeginLast
		}
	}
	return e.attend(ctx, r, l, attendance{word: word, started: started, group: group})
}

// pid is 0 if there is no child: the report says why.
func (r *running) pid() int {
	if r.cmd != nil {
		return r.cmd.Process.Pid
	}
	return r.born.pid
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
	word    byte // that has the child begin
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
	var lines []string
	ended := make(chan error, 1)
	go func() {
		lines = readReports(r.report, a.started)
		ended <- r.wait()
	}()
	_, _ = r.life.Write([]byte{a.word}) // what it reports says why it is gone, if it is

	full, err := e.wait(bounded, r, ended)
	r.drain(&printing)
	r.close()
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case full:
		return outcome{}, fmt.Errorf("%w: less than %d MiB free on the disk of %s: make room there", ErrNoSpace, reserveBytes>>20, e.scratch.path)
	}
	o, err := outcomeOf(lines, err)
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

// wait returns when nothing of the child is left.
func (r *running) wait() error {
	if r.cmd != nil {
		return r.cmd.Wait()
	}
	r.born.wait()
	return nil
}

// kill ends all processes of the child. The first process of a pid namespace
// takes the others along; a plain one kills them, when its pipe ends.
func (r *running) kill(ended <-chan error) error {
	if r.cmd == nil {
		r.born.kill()
		return <-ended
	}
	_ = r.life.Close()
	select {
	case err := <-ended:
		return err
	case <-time.After(killGrace):
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
	r.born.close()
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
		HostUID: l.dir.owner, Network: child.Loopback, MemoryBytes: l.job.memory, FileBytes: e.opts.OutputBytes,
	}
	if l.job.foreign {
		s.Nice = foreignNiceness
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

// start has a child begin, once more if its nursery died before it heard of that.
func (e *Executor) start(s *child.Spec, streams int) (*running, error) {
	r, err := e.begin(s, streams)
	if errors.Is(err, errUnheard) {
		r, err = e.begin(s, streams)
	}
	return r, err
}

// begin has a child begin, in namespaces if it is to have them, which waits for a
// word. What it prints comes by one pipe, or by one for each of two streams.
func (e *Executor) begin(s *child.Spec, streams int) (*running, error) {
	all, err := newPipes(s, streams)
	if err != nil {
		return nil, err
	}
	r := &running{born: pidfd{fd: -1}, life: all.life.w, report: all.report.r}
	for _, p := range all.printed {
		r.out = append(r.out, p.r)
	}
	if s.Mode == child.Plain {
		r.cmd, err = plain(s, all)
	} else {
		fds := []int{fd(all.life.r), fd(all.report.w), fd(all.printed[0].w), fd(all.printed[streams-1].w)}
		r.born, err = e.nursery.bear(s, r.life, fds, all.closeTheirs)
	}
	all.closeTheirs()
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// fd is the descriptor of a file that stays as it is.
func fd(f *os.File) int { return int(f.Fd()) }

// plain executes this program again as a child.
func plain(s *child.Spec, all pipes) (*exec.Cmd, error) {
	cmd := again("1")
	cmd.Env = append(cmd.Env, "GOGC=off") // it has nothing to collect
	cmd.ExtraFiles = []*os.File{all.life.r, all.report.w}
	cmd.Stdout, cmd.Stderr = all.printed[0].w, all.printed[len(all.printed)-1].w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	starts.RLock()
	err := cmd.Start() // it returns when the child executes
	starts.RUnlock()
	if err != nil {
		return nil, err
	}
	_ = all.life.r.Close()
	_, _ = all.life.w.Write(s.Encode()) // what it reports says why it is gone, if it is
	return cmd, nil
}

type pipe struct{ r, w *os.File }

// pipes are those to a child and from it.
type pipes struct {
	life, report pipe
	printed      []pipe
}

func newPipes(s *child.Spec, streams int) (all pipes, err error) {
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	if all.life.r, all.life.w, err = os.Pipe(); err != nil {
		return all, err
	}
	if all.report.r, all.report.w, err = os.Pipe(); err != nil {
		return all, err
	}
	for range streams {
		var p pipe
		if p.r, p.w, err = os.Pipe(); err != nil {
			return all, err
		}
		all.printed = append(all.printed, p)
		if s.HostUID >= 0 {
			// Programs open /dev/stderr, which is such a pipe.
			if err = p.w.Chown(s.HostUID, s.HostUID); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// closeTheirs closes the child's ends; twice does no harm.
func (all pipes) closeTheirs() {
	_, _ = all.life.r.Close(), all.report.w.Close()
	for _, p := range all.printed {
		_ = p.w.Close()
	}
}

func (all pipes) close() {
	all.closeTheirs()
	_, _ = all.life.w.Close(), all.report.r.Close()
	for _, p := range all.printed {
		_ = p.r.Close()
	}
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
		if ended == nil || errors.As(ended, new(*exec.ExitError)) {
			return outcome{code: codeSignal + int(syscall.SIGKILL), cause: action.Killed, message: "its sandbox was killed"}, nil
		}
		return outcome{}, fmt.Errorf("the sandbox said nothing: %w", ended)
	}
	kind, rest, _ := strings.Cut(lines[len(lines)-1], " ")
	switch kind {
	case child.Done:
		return doneOf(rest)
	case child.NoCommand:
		why, program := errnoOf(rest)
		text := program + ": " + why.Error()
		if why == syscall.ENOENT {
			return outcome{code: codeNotFound, cause: action.NotStarted, message: text + ": it is neither an input nor in a toolchain directory"}, nil
		}
		return outcome{code: codeNotExecutable, cause: action.NotStarted, message: text}, nil
	default:
		why, what := errnoOf(rest)
		return outcome{}, fmt.Errorf("%s: %w", what, why)
	}
}

func errnoOf(rest string) (syscall.Errno, string) {
	number, text, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		n = int(syscall.EINVAL)
	}
	return syscall.Errno(n), text
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
