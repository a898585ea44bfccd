//go:build lab && linux

package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

const (
	// readyTimeout bounds the wait for a node's ready line.
	readyTimeout = 20 * time.Second
	// commandTimeout bounds a command that the test waits for.
	commandTimeout = 2 * time.Minute
)

// binary is the buildnet under test: BUILDNET_BINARY, or built once, in a
// directory like a lab's.
var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("BUILDNET_BINARY"); b != "" {
		return filepath.Abs(b)
	}
	if err := os.Mkdir(dirOf(0), 0o755); err != nil {
		return "", err
	}
	out := filepath.Join(dirOf(0), "buildnet")
	if text, err := run("go", "build", "-o", out, "github.com/buildnet/buildnet/cmd/buildnet"); err != nil {
		return "", fmt.Errorf("build buildnet: %w: %s", err, text)
	}
	return out, nil
})

// Binary returns the path of the buildnet under test.
func Binary(t testing.TB) string {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Ready is the ready line of a node.
type Ready struct {
	Event  string  `json:"event"`
	Peer   string  `json:"peer"`
	Listen string  `json:"listen"`
	API    string  `json:"api"`
	Mesh   string  `json:"mesh"`
	Slots  int     `json:"slots"`
	BPU    float64 `json:"bpu"`
}

// Node is a running `buildnet node up`.
type Node struct {
	Ready
	At   time.Time // of the ready line
	host *Host
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
}

// Up starts a node on the host and waits until it is ready.
func (h *Host) Up(args ...string) *Node {
	h.t.Helper()
	n, err := h.TryUp(args...)
	if err != nil {
		h.t.Fatalf("host %s: node up: %v", h.Name, err)
	}
	return n
}

// TryUp is Up for a node that may not come up.
func (h *Host) TryUp(args ...string) (*Node, error) {
	h.t.Helper()
	cmd := h.Command(append(append(program(h.t), "node", "up", "--json"), args...)...)
	n := &Node{host: h, cmd: cmd, log: &lockedBuffer{}, done: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = n.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string, 1)
	go func() {
		defer close(n.done)
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		lines <- line
		_, _ = io.Copy(n.log, r)
		_ = cmd.Wait()
	}()
	select {
	case line := <-lines:
		n.At = time.Now()
		if err := json.Unmarshal([]byte(line), &n.Ready); err != nil || n.Event != "ready" {
			<-n.done
			return nil, fmt.Errorf("exit status %d, said %q\n%s", cmd.ProcessState.ExitCode(), line, n.log)
		}
		h.t.Cleanup(func() {
			if h.t.Failed() {
				h.t.Logf("log of node %s on %s:\n%s", n.Peer, h.Name, n.log)
			}
		})
		return n, nil
	case <-time.After(readyTimeout):
		h.Kill()
		<-n.done
		return nil, fmt.Errorf("not ready after %v\n%s", readyTimeout, n.log)
	}
}

// Log returns what the node has logged so far.
func (n *Node) Log() string { return n.log.String() }

// Execution is one that a node has logged.
type Execution struct {
	Build, Action string
	Began         time.Time
}

var executed = regexp.MustCompile(`time=(\S+) .*msg=executed build=(\S+) .*action=(\S+) .*run_ms=(\d+)`)

// Executions returns what the node has executed so far for a build, or for all
// if it is empty.
func (n *Node) Executions(build string) (all []Execution) {
	n.host.t.Helper()
	for _, m := range executed.FindAllStringSubmatch(n.Log(), -1) {
		ended, err := time.Parse(time.RFC3339, m[1])
		ms, err2 := strconv.Atoi(m[4])
		if err != nil || err2 != nil {
			n.host.t.Fatalf("host %s logs %q", n.host.Name, m[0])
		}
		if build == "" || build == m[2] {
			all = append(all, Execution{m[2], m[3], ended.Add(-time.Duration(ms) * time.Millisecond)})
		}
	}
	return all
}

// Stop asks the node to drain and end, and waits for that.
func (n *Node) Stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	<-n.done
}

// Pause stops the node's process, Resume lets it go on. Its actions run on.
func (n *Node) Pause() { _ = n.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (n *Node) Resume() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }

// Crash ends the node's process at once, and nothing else on its host.
func (n *Node) Crash() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// Kill ends the node and all that it runs, at once.
func (n *Node) Kill() {
	n.host.Kill()
	<-n.done
}

// Outcome is what a command came to.
type Outcome struct {
	Exit           int
	Stdout, Stderr string
}

// Buildnet runs a command of the binary to its end.
func (h *Host) Buildnet(args ...string) Outcome {
	h.t.Helper()
	return h.run(append(program(h.t), args...)...)
}

func (h *Host) run(argv ...string) Outcome {
	h.t.Helper()
	cmd := h.Command(argv...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Start()
	if err == nil {
		late := time.AfterFunc(commandTimeout, func() {
			h.t.Errorf("host %s: %v takes more than %v", h.Name, argv, commandTimeout)
			_ = cmd.Process.Kill()
		})
		err = cmd.Wait()
		late.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("host %s: %v: %v", h.Name, argv, err)
	}
	return Outcome{Exit: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String()}
}

// Build is a running or finished `buildnet build --json`.
type Build struct {
	host *Host
	cmd  *exec.Cmd
	errs lockedBuffer
	done chan struct{}

	mu     sync.Mutex
	events []event.Event
	at     []time.Time // when each of them was read
	seen   *sync.Cond
	over   bool
}

// Start starts a build of dir.
func (h *Host) Start(dir string, args ...string) *Build {
	h.t.Helper()
	return h.Invoke(append([]string{"build", "--json", "-C", dir}, args...)...)
}

// Invoke runs a command that tells of a build.
func (h *Host) Invoke(args ...string) *Build {
	h.t.Helper()
	cmd := h.Command(append(program(h.t), args...)...)
	b := &Build{host: h, cmd: cmd, done: make(chan struct{})}
	b.seen = sync.NewCond(&b.mu)
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stderr = &b.errs
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("host %s: build: %v", h.Name, err)
	}
	go b.read(out)
	return b
}

func (b *Build) read(out io.Reader) {
	defer close(b.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte(`{"event":"error"`)) {
			continue // of the command, which says it on stderr, too
		}
		e, err := event.Decode(lines.Bytes())
		if err != nil {
			b.host.t.Errorf("host %s: %v in %q", b.host.Name, err, lines.Text())
			continue
		}
		b.mu.Lock()
		b.events, b.at = append(b.events, e), append(b.at, time.Now())
		b.seen.Broadcast()
		b.mu.Unlock()
	}
	_ = b.cmd.Wait()
	b.mu.Lock()
	b.over = true
	b.seen.Broadcast()
	b.mu.Unlock()
}

// Until waits for an event that want accepts, or for the build's end, and
// reports whether there was one.
func (b *Build) Until(want func(event.Event) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := 0
	for {
		for ; next < len(b.events); next++ {
			if want(b.events[next]) {
				return true
			}
		}
		if b.over {
			return false
		}
		b.seen.Wait()
	}
}

// Interrupt is a Ctrl-C, Kill a kill -9 of the CLI alone.
func (b *Build) Interrupt() { _ = b.cmd.Process.Signal(os.Interrupt) }

// Kill ends the CLI alone, at once.
func (b *Build) Kill() { _ = b.cmd.Process.Kill() }

// Wait returns the exit status.
func (b *Build) Wait() int {
	<-b.done
	return b.cmd.ProcessState.ExitCode()
}

// Events returns what the build has said so far.
func (b *Build) Events() []event.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]event.Event(nil), b.events...)
}

// Announced returns the actions whose steps the first n events announced as
// finished, and when they did so.
func (b *Build) Announced(n int) map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	actions := map[string]time.Time{}
	for i, e := range b.events[:n] {
		f, ok := e.(event.StepFinished)
		if _, known := actions[f.Digest]; ok && !known {
			actions[f.Digest] = b.at[i]
		}
	}
	return actions
}

// Stderr returns what the CLI said beside its events.
func (b *Build) Stderr() string { return b.errs.String() }

// Finished returns the summary of a build that has ended.
func (b *Build) Finished() event.BuildFinished {
	b.host.t.Helper()
	<-b.done
	events := b.Events()
	if len(events) == 0 {
		b.host.t.Fatalf("host %s: the build said nothing; on stderr: %s", b.host.Name, b.Stderr())
	}
	last, ok := events[len(events)-1].(event.BuildFinished)
	if !ok {
		b.host.t.Fatalf("host %s: the last event is %#v; on stderr: %s", b.host.Name, events[len(events)-1], b.Stderr())
	}
	return last
}

// Build runs a build that is to succeed.
func (h *Host) Build(dir string, args ...string) (*Build, event.BuildFinished) {
	h.t.Helper()
	b := h.Start(dir, args...)
	if status := b.Wait(); status != 0 {
		h.t.Fatalf("host %s: build: exit status %d\n%s\nlast events: %+v", h.Name, status, b.Stderr(), last(b.Events(), 5))
	}
	f := b.Finished()
	if sum := f.Executed + f.CachedLocal + f.CachedMesh + f.Skipped + f.Failed + f.NotRun; sum != f.Steps {
		h.t.Errorf("host %s: the counts add up to %d of %d steps: %+v", h.Name, sum, f.Steps, f)
	}
	return b, f
}

func last(events []event.Event, n int) []event.Event {
	return events[max(0, len(events)-n):]
}

// Member is an element of `buildnet node ls --json`.
type Member struct {
	Peer    string  `json:"peer"`
	Name    string  `json:"name"`
	Addr    string  `json:"addr"`
	State   string  `json:"state"`
	Self    bool    `json:"self"`
	BPU     float64 `json:"bpu"`
	Cores   float64 `json:"cores"`
	OS      string  `json:"os"`
	Arch    string  `json:"arch"`
	RTTMS   float64 `json:"rtt_ms"`
	Version string  `json:"version"`
}

// Members asks the host's node for the members of the mesh.
func (h *Host) Members() []Member {
	h.t.Helper()
	o := h.Buildnet("node", "ls", "--json")
	var ms []Member
	if err := json.Unmarshal([]byte(o.Stdout), &ms); err != nil {
		h.t.Fatalf("host %s: node ls: exit status %d: %v: %s%s", h.Name, o.Exit, err, o.Stdout, o.Stderr)
	}
	return ms
}

// lockedBuffer is a buffer that a command writes and a test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write never fails.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
