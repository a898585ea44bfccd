//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/event"
)

// command runs the program in an environment in which there are compilers, and no
// make that has these tests run.
func (m *machine) command(environ []string, args ...string) ran {
	m.t.Helper()
	var out, talk bytes.Buffer
	status := cli.Run(context.Background(), args, cli.System{
		Stdout: &out, Stderr: &talk, Environ: append(slices.DeleteFunc(os.Environ(), ofMake), environ...), Signals: m.signals, Exit: func(status int) { m.exits <- status },
		Start: func(c cli.NodeConfig) (cli.Node, error) { return newFake(c, m.node), nil }, Executable: os.Args[0],
	})
	return ran{status: status, out: out.String(), talked: talk.String()}
}

// ofMake reports whether a variable is what a make tells those that it runs.
func ofMake(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMOUT", "MAKE_TERMERR"}, name)
}

// there has a node run each compile somewhere else.
func there(_ context.Context, c api.Command) (api.CommandResult, error) {
	return api.CommandResult{How: event.Executed, Peer: "p", Output: []byte("compiled " + c.Argv[len(c.Argv)-1] + " there\n")}, nil
}

// files makes a project of another program.
func (m *machine) files(files map[string]string) string {
	m.t.Helper()
	dir, err := filepath.EvalSymlinks(m.t.TempDir())
	if err != nil {
		m.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	return dir
}

func (m *machine) commands() (all []api.Command) {
	for _, q := range m.node.Asked() {
		if c, ok := q.(api.Command); ok {
			all = append(all, c)
		}
	}
	return all
}

func TestACommandOfAnotherProgram(t *testing.T) {
	m := newMachine(t)
	m.node.OnCommand = there
	dir := m.files(map[string]string{
		"Makefile": "all: a.o b.o ; @:\n%.o: ; @gcc -c $*.c\nbad: ; exit 3\nkilled: ; @kill -9 $$PPID\nflags: ; @echo \"[$(MAKEFLAGS)] $$CMAKE_BUILD_PARALLEL_LEVEL\"\n",
	})
	for _, running := range []bool{false, true} {
		if running {
			m.up()
		}
		r := m.command(nil, "build", "-C", dir, "--", "make")
		r.want(t, 0, "", "compiled a.c there\n")
		if commands := m.commands(); len(commands) < 2 || commands[0].Dir != dir || len(commands[0].Argv) != 3 {
			t.Errorf("the node heard %+v", commands)
		}
		if r.out != "" {
			t.Errorf("stdout is make's alone, and has %q", r.out)
		}
	}
	m.command(nil, "build", "-C", dir, "--", "make", "bad").want(t, 2, "exit 3\n", "Error 3")
	m.command(nil, "build", "-C", dir, "--", "sh", "-c", "exit 41").want(t, 41, "", "")
	m.command(nil, "build", "-C", dir, "--", "sh", "-c", "kill -TERM $$").want(t, 128+15, "", "")
	m.command(nil, "build", "-C", dir, "--", "nosuch-program").want(t, 127, "", "nosuch-program: No such file")
	m.command(nil, "build", "-C", dir, "--", "make", "flags").want(t, 0, "[ -j8", "")
	m.command(nil, "build", "-C", dir, "-j", "3", "--", "make", "flags").want(t, 0, "[ -j3", "")
	m.command([]string{"MAKEFLAGS=-j5"}, "build", "-C", dir, "--", "make", "flags").want(t, 0, "[ -j5", "")
	m.command(nil, "build", "-C", dir, "--", "make", "-kj2", "flags").want(t, 0, "[k -j2", "")
	m.command(nil, "build", "-C", dir, "--", "sh", "-c", "make flags").want(t, 0, "[] 8", "")
	m.command(nil, "build", "-C", dir, "-j", "6", "--", "sh", "-c", "make flags").want(t, 0, "[ -j6", "")
	m.command(nil, "build", "-C", dir, "--why-local", "--trace", filepath.Join(dir, "trace"), "--", "make").want(t, 0, "no build that had something to do is recorded\n", "compiled a.c there")
	if trace, err := os.ReadFile(filepath.Join(dir, "trace")); err != nil || !strings.Contains(string(trace), "traceEvents") {
		t.Errorf("a trace: %s, %v", trace, err)
	}
	m.command(nil, "build", "--").want(t, 2, "", "a command")
	m.command(nil, "build", "target", "--", "make").want(t, 2, "", "a command")
	r := m.command(nil, "build", "-C", dir, "--json", "--", "make", "flags")
	r.want(t, 0, "", "[ -j8")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"event":"build.started"`) || !strings.HasPrefix(lines[1], `{"event":"build.finished"`) {
		t.Errorf("with --json stdout has %s", r.out)
	}
	m.command(nil, "build", "--json", "--why-local", "--", "make").want(t, 2, "", "--why-local is for people")
	many := append([]string{"build", "-C", dir, "--", "true"}, make([]string, 20_000)...)
	m.command(nil, many...).want(t, 0, "", "")
	m.command(nil, "build", "-j0", "--", "make").want(t, 2, "", "want a positive number")
}

// Where nothing can be intercepted the command runs as it is, and that is said.
func TestACommandRunsWithoutCompilersOrNode(t *testing.T) {
	m := newMachine(t)
	dir := m.files(map[string]string{"tool": "#!/bin/sh\necho it runs; exit 5\n"})
	m.command([]string{"PATH=" + dir}, "build", "-C", dir, "--", "tool").want(t, 5, "it runs\n", "all runs on this machine: no C compiler")
	m.command([]string{"PATH=" + dir}, "build", "-C", dir, "--json", "--", "tool").want(t, 5, `"event":"build.finished","build":"","ok":false`, "it runs\n")
	m.command([]string{"PATH=" + dir}, "build", "-C", dir, "--", "none").want(t, 127, "", "none: there is no such program")
	m.node.Err = api.Errorf(api.Internal, "it is broken")
	m.command(nil, "build", "-C", dir, "--", "./tool").want(t, 5, "it runs\n", "all runs on this machine: it is broken")
	m.node.Err = api.Errorf(api.Invalid, "no such profile")
	m.command(nil, "build", "-C", dir, "--profile", "x", "--", "./tool").want(t, 2, "", "no such profile")
}

// A compile with which the node could not be asked runs here, and is counted.
func TestCompilesThatCouldNotAskAreCounted(t *testing.T) {
	m := newMachine(t)
	dir := m.files(map[string]string{"a.c": "int a;\n"})
	m.node.OnCommand = func(context.Context, api.Command) (api.CommandResult, error) {
		return api.CommandResult{}, api.Errorf(api.Unavailable, "not now")
	}
	m.command(nil, "build", "-C", dir, "--", "sh", "-c", "gcc -c a.c && gcc -S a.c").
		want(t, 0, "", "2 compiles ran here beside that: the node refused a command: status 503\n")
	if _, err := os.Stat(filepath.Join(dir, "a.o")); err != nil {
		t.Error(err)
	}
}

// A node that dies under a build takes the build's compiles with it, which run here
// then; the command ends as it would without, and it is said.
func TestANodeThatDiesUnderACommand(t *testing.T) {
	for _, json := range []bool{false, true} {
		m := newMachine(t)
		dir := m.files(map[string]string{"Makefile": "all: a.o b.o ; @:\n%.o: ; @gcc -c $*.c\n", "a.c": "int a;\n", "b.c": "int b;\n"})
		m.node.Lost = make(chan struct{})
		die := sync.OnceFunc(func() { close(m.node.Lost) })
		m.node.OnCommand = func(context.Context, api.Command) (api.CommandResult, error) {
			die()
			panic(http.ErrAbortHandler)
		}
		args := []string{"build", "-C", dir, "--", "make", "-j40"}
		if json {
			args = slices.Insert(args, 1, "--json")
		}
		r := m.command(nil, args...)
		r.want(t, 0, "", "the node was lost in the middle of the build")
		r.want(t, 0, "", "2 compiles ran here beside that: ")
		if json && !strings.Contains(r.out, `"event":"build.finished","build":"`+apitest.InvocationID+`","ok":true,"error":"`) {
			t.Errorf("the events end with %s", r.out)
		}
		for _, name := range []string{"a.o", "b.o"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestASignalGoesToTheCommand(t *testing.T) {
	m := newMachine(t)
	dir := m.files(nil)
	fifo := filepath.Join(dir, "ready")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // until the command is there
		if err != nil {
			t.Error(err)
			return
		}
		m.signals <- syscall.SIGTERM
		_ = f.Close()
	}()
	done := make(chan ran, 1)
	go func() {
		done <- m.command(nil, "build", "-C", dir, "--", "sh", "-c", "trap 'echo told; exit 9' TERM; read x <ready; while :; do read x <ready; done")
	}()
	select {
	case r := <-done:
		r.want(t, 9, "told\n", "")
	case <-time.After(time.Minute):
		t.Fatal("the command was not told")
	}
}

func TestACompilerInFront(t *testing.T) {
	m := newMachine(t)
	m.node.OnCommand = there
	dir := m.files(map[string]string{"gcc": "#!/bin/sh\necho \"$@\" here; exit 4\n"})
	here := []string{"PATH=" + dir + ":/usr/bin:/bin"}
	m.command(here, "cc", "gcc", "-c", "a.c").want(t, 4, "-c a.c here\n", "") // no node runs, and none is started
	m.command(here, "cc", "no-gcc", "-c", "a.c").want(t, 127, "", "no-gcc: there is no such program")
	m.command(here, "cc").want(t, 2, "", "COMPILER is missing")
	m.up()
	m.command(here, "cc", "gcc", "-O2", "-c", "a.c").want(t, 0, "", "compiled a.c there\n")
	m.command(here, "cc", "gcc", "-v").want(t, 4, "-v here\n", "")
	if commands := m.commands(); len(commands) != 1 || !slices.Equal(commands[0].Argv, []string{filepath.Join(dir, "gcc"), "-O2", "-c", "a.c"}) {
		t.Errorf("the node heard %+v", commands)
	}
	for _, c := range []struct {
		result api.CommandResult
		status int
		out    string
	}{
		{api.CommandResult{Local: []string{"for a test"}, Release: func() {}}, 4, "-c a.c here\n"},
		{api.CommandResult{ExitCode: 7}, 7, ""},
		{api.CommandResult{Signal: 11}, 128 + 11, ""},
	} {
		m.node.OnCommand = func(context.Context, api.Command) (api.CommandResult, error) { return c.result, nil }
		if r := m.command(here, "cc", "gcc", "-c", "a.c"); r.status != c.status || r.out != c.out || r.talked != "" {
			t.Errorf("%+v: %+v", c.result, r)
		}
	}
}

// Below an invocation it becomes the shim, in the same process.
func TestACompilerInFrontBelowACommand(t *testing.T) {
	m := newMachine(t)
	var became []string
	status := cli.Run(context.Background(), []string{"cc", "gcc", "-c", "a b.c"}, cli.System{
		Stdout: os.Stdout, Stderr: os.Stderr, Signals: m.signals,
		Environ: []string{"PATH=/usr/bin:/bin", "BUILDNET_EXEC_KIT=/kit", "BUILDNET_EXEC_SOCKET=/s", "BUILDNET_EXEC_INVOCATION=i"},
		Exec: func(path string, argv, _ []string) error {
			became = append([]string{path}, argv...)
			return nil
		},
	})
	if want := "/kit/buildnet-exec|buildnet-exec|/usr/bin/gcc|gcc|-c|a b.c"; status != 0 || strings.Join(became, "|") != want {
		t.Errorf("status %d, became %q, want %s", status, became, want)
	}
}
