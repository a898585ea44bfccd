package invocation_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// project is a C++ project with a header of its own, a warning and a fault.
var project = map[string]string{
	"i/a.h":    "#pragma once\ninline int a() { return 1; }\n",
	"s/a.cc":   "#include <string>\n#include <a.h>\nstd::string f() { return std::to_string(a()); }\n",
	"s/b.c":    "#include <stdio.h>\nint main(void) { printf(\"%s\\n\", __FILE__); return 0; }\n",
	"s/warn.c": "int f(int x) { int unused; return x; }\n",
	"s/bad.c":  "int f(void) { return y; }\n",
	"o/keep":   "",
}

// bench is an invocation of a client on a node.
type bench struct {
	testing.TB
	node *nodetest.Node
	dir  string
	env  []string
	id   string

	mu     sync.Mutex
	events []event.Event
	done   chan error
	cancel context.CancelFunc
}

func newBench(t testing.TB, n *nodetest.Node, files map[string]string) *bench {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(nodetest.Tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{TB: t, node: n, dir: dir, env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}}
}

// begin begins an invocation.
func (b *bench) begin(r api.InvocationRequest) {
	b.Helper()
	if r.Client == "" {
		r.Client = "make"
	}
	r.Root, r.Env = b.dir, b.env
	var ctx context.Context
	ctx, b.cancel = context.WithTimeout(b.Context(), 2*time.Minute)
	b.events, b.done = nil, make(chan error, 1)
	begun := make(chan string, 1)
	go func() {
		b.done <- b.node.Client.Invoke(ctx, r, func(line []byte) error {
			e, err := event.Decode(line)
			if err != nil {
				return err
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.events = append(b.events, e); len(b.events) == 1 {
				begun <- e.(event.BuildStarted).Build
			}
			return nil
		})
	}()
	select {
	case b.id = <-begun:
	case err := <-b.done:
		b.Fatal(err)
	}
}

// end ends the invocation, and returns its summary.
func (b *bench) end() event.BuildFinished {
	b.Helper()
	if err := b.node.Client.EndInvocation(b.Context(), b.id, api.InvocationEnd{OK: true}); err != nil {
		b.Fatal(err)
	}
	return b.ended()
}

func (b *bench) ended() event.BuildFinished {
	b.Helper()
	defer b.cancel()
	if err := <-b.done; err != nil {
		b.Fatal(err)
	}
	f, ok := b.events[len(b.events)-1].(event.BuildFinished)
	if !ok {
		b.Fatalf("the last event is %#v", b.events[len(b.events)-1])
	}
	if sum := f.Executed + f.CachedLocal + f.CachedMesh + f.Skipped + f.Failed + f.NotRun; sum != f.Steps {
		b.Errorf("the counts add up to %d of %d: %+v", sum, f.Steps, f)
	}
	return f
}

func (b *bench) run(command string) api.CommandResult {
	b.Helper()
	r, err := b.node.Client.RunCommand(b.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(command), Why: "it was asked for"})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return r
}

// away is run for what is not for this machine alone.
func (b *bench) away(command string) api.CommandResult {
	b.Helper()
	r := b.run(command)
	if len(r.Local) > 0 {
		r.Release()
		b.Fatalf("%s: only here: %q", command, r.Local)
	}
	return r
}

// plainly runs a command as make does, and returns what it printed and its exit
// code.
func (b *bench) plainly(command string) (said string, code int) {
	b.Helper()
	words := strings.Fields(command)
	cmd := exec.CommandContext(b.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Env = b.dir, b.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		b.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (b *bench) write(p, content string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, p), []byte(content), 0o644); err != nil {
		b.Fatal(err)
	}
}

// taken removes a file and returns what was in it; "" for none.
func (b *bench) taken(p string) string {
	b.Helper()
	p = filepath.Join(b.dir, p)
	content, err := os.ReadFile(p)
	if err != nil {
		return ""
	}
	if err := os.Remove(p); err != nil {
		b.Fatal(err)
	}
	return string(content)
}

// mesh is n nodes of which the first is asked; it skips where nothing can be
// isolated.
func mesh(t testing.TB, size int) []*nodetest.Node {
	t.Helper()
	nodes := nodetest.Mesh(t, size, 2)
	s, err := nodes[0].Client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Isolation != "full" {
		t.Skipf("no sandbox here: %s", s.IsolationMissing)
	}
	return nodes
}
