package intercept_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/intercept"
)

const (
	invocation = "i1"
	// patience is how long a program of a test may take.
	patience = time.Minute
)

// asked is a command as the node hears it.
type asked struct {
	dir      string
	argv     []string
	env      []string
	terminal bool
	umask    string
}

// ok is the answer to a command that succeeded and printed nothing.
const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nexit 0\n"

// local has the shim run the compiler.
const local = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nlocal for a test\n"

// silence is no answer at all, as long as the client waits.
const silence = "silence"

// fakeNode answers commands with whatever its test says.
type fakeNode struct {
	socket string
	// answer is what a command gets, byte by byte. The connection then ends, unless
	// the answer is local, or silence: then it is the client's to end.
	answer func(asked) string

	mu       sync.Mutex
	commands []asked
	released chan struct{} // gets one for each slot that is given back
}

func newFake(t *testing.T, answer func(asked) string) *fakeNode {
	t.Helper()
	// A socket's path is short, and that of a test's directory may not be.
	dir, err := os.MkdirTemp("", "bn-")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeNode{socket: filepath.Join(dir, "s"), answer: answer, released: make(chan struct{}, 1000)}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(t, c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
		_ = os.RemoveAll(dir)
	})
	return f
}

func (f *fakeNode) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		t.Errorf("read a request: %v", err)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/invocations/"+invocation+"/run" || r.ContentLength < 0 {
		t.Errorf("asked for %s %s with %d bytes", r.Method, r.URL, r.ContentLength)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("read a command: %v", err)
		return
	}
	command := parse(t, body)
	f.mu.Lock()
	f.commands = append(f.commands, command)
	f.mu.Unlock()
	answer := f.answer(command)
	if answer != silence {
		_, _ = io.WriteString(c, answer)
	}
	if answer == local || answer == silence {
		_, _ = io.Copy(io.Discard, c)
		f.released <- struct{}{}
	}
}

// parse reads the strings of a command, which have a fixed order.
func parse(t *testing.T, body []byte) (a asked) {
	text, ended := strings.CutSuffix(string(body), "\x00\x00")
	if !ended {
		t.Errorf("a command without an end: %q", body)
	}
	order := []string{"dir", "arg", "env", "terminal", "umask", "stdout"}
	at := 0
	for _, field := range strings.Split(text, "\x00") {
		name, v, _ := strings.Cut(field, "=")
		if i := slices.Index(order, name); i < at {
			t.Errorf("field %q is not in its place", field)
		} else {
			at = i
		}
		switch name {
		case "dir":
			a.dir = v
		case "arg":
			a.argv = append(a.argv, v)
		case "env":
			a.env = append(a.env, v)
		case "umask":
			a.umask = v
		case "terminal":
			a.terminal = true
		}
	}
	return a
}

// heard returns the commands so far.
func (f *fakeNode) heard() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commands)
}

// lines returns the arguments of the commands, sorted.
func (f *fakeNode) lines() []string {
	var all []string
	for _, c := range f.heard() {
		all = append(all, strings.Join(c.argv, " "))
	}
	slices.Sort(all)
	return all
}

// kit makes one for all tests, in the form in which users have it.
var kit = sync.OnceValues(func() (*intercept.Kit, error) {
	return intercept.Open(context.Background(), kitDir, os.Environ())
})

var kitDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bn-kit-")
	if err != nil {
		panic(err)
	}
	kitDir = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func theKit(t *testing.T) *intercept.Kit {
	t.Helper()
	k, err := kit()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// outcome is what came of a program.
type outcome struct {
	stdout, stderr string
	state          *os.ProcessState
}

// run runs a program to its end.
func run(t *testing.T, dir string, env []string, program string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.WaitDelay = time.Second
	var out, said bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, env, &out, &said
	if err := c.Run(); c.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return outcome{out.String(), said.String(), c.ProcessState}
}

// build runs a command as `buildnet build --` does.
func (f *fakeNode) build(t *testing.T, dir string, env []string, argv ...string) outcome {
	t.Helper()
	k := theKit(t)
	program, args := k.Command(argv)
	return run(t, dir, k.Environ(env, intercept.Invocation{Socket: f.socket, ID: invocation, Faults: faults(t, dir)}), program, args[1:]...)
}

// faults is the file of faults of builds in a directory.
func faults(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, ".faults")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	return path
}

// noted returns the faults of builds in a directory.
func noted(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, ".faults"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write makes files, by name and content; a name that ends in * may be executed.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if cut, program := strings.CutSuffix(name, "*"); program {
			name, mode = cut, 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// gcc compiles a program of a test.
func gcc(t *testing.T, dir string, args ...string) {
	t.Helper()
	if o := run(t, dir, os.Environ(), "gcc", args...); !o.state.Success() {
		t.Fatalf("gcc %v: %s", args, o.stderr)
	}
}

// count waits for n slots to be given back.
func (f *fakeNode) count(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-f.released:
		case <-time.After(patience):
			t.Fatal("a slot was not given back")
		}
	}
}
