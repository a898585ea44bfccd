package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/ninja"
)

// programEnv makes the test binary the program itself, with fake nodes.
const programEnv = "BUILDNET_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, cli.EndSignals...)
	start := func(c cli.NodeConfig) (cli.Node, error) {
		if c.Join == "bad" {
			return nil, cli.Misused(errors.New("--join: not a token; ask for one with `buildnet mesh invite`"))
		}
		n := newFake(c, &apitest.Node{StatusIs: api.Status{Peer: "p" + c.Join, Mesh: c.Mesh, Slots: c.Slots, PID: os.Getpid()}})
		ctx, cancel := context.WithCancel(context.Background())
		n.node.OnDown = cancel
		n.also = ctx
		return n, nil
	}
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System{
		Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Signals: signals, Exit: os.Exit, Start: start, Executable: os.Args[0],
	}))
}

// held are the homes that fake nodes hold.
var held sync.Map

// fake is a cli.Node with a real API in front of a fake node.
type fake struct {
	config cli.NodeConfig
	node   *apitest.Node
	ready  chan struct{}
	also   context.Context // ends it too
}

func newFake(c cli.NodeConfig, n *apitest.Node) *fake {
	return &fake{config: c, node: n, ready: make(chan struct{}), also: context.Background()}
}

func (f *fake) Ready() <-chan struct{} { return f.ready }

func (f *fake) Run(ctx context.Context) error {
	if _, twice := held.LoadOrStore(f.config.Home, true); twice {
		return fmt.Errorf("%w: process 1 holds it", cli.ErrHomeInUse)
	}
	defer held.Delete(f.config.Home)
	l, err := api.Listen(ctx, api.ListenOptions{Home: f.config.Home})
	if err != nil {
		return err
	}
	close(f.ready)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.also, cancel)()
	return api.New(f.node, l, api.Options{}).Run(ctx)
}

// machine is a user's machine: a home, a project, perhaps a node.
type machine struct {
	t       *testing.T
	home    string
	project string
	node    *apitest.Node
	signals chan os.Signal
	exits   chan int
	screen  cli.Screen
	start   cli.Starter // nil starts node
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, home: t.TempDir(), project: t.TempDir(), node: &apitest.Node{}, signals: make(chan os.Signal, 2), exits: make(chan int, 1)}
	t.Setenv("BUILDNET_HOME", m.home)
	if err := os.MkdirAll(filepath.Join(m.project, ".buildnet"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.project, ".buildnet", "config.yaml"), []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// up serves the node until the test ends.
func (m *machine) up() {
	m.t.Helper()
	f := newFake(cli.NodeConfig{Home: m.home}, m.node)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-f.ready
	m.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Error(err)
		}
	})
}

// ran is what a command did.
type ran struct {
	status      int
	out, talked string
}

func (m *machine) run(args ...string) ran {
	m.t.Helper()
	var out, talk bytes.Buffer
	status := m.runTo(&out, &talk, args...)
	return ran{status: status, out: out.String(), talked: talk.String()}
}

func (m *machine) runTo(out, talk io.Writer, args ...string) int {
	start := m.start
	if start == nil {
		start = func(c cli.NodeConfig) (cli.Node, error) { return newFake(c, m.node), nil }
	}
	return cli.Run(context.Background(), args, cli.System{
		Stdout: out, Stderr: talk, Environ: []string{"A=1", "B=x=y", "=C:=odd"}, Screen: m.screen,
		Signals: m.signals, Exit: func(status int) { m.exits <- status }, Start: start, Executable: os.Args[0],
		Manifest: func(ctx context.Context, o ninja.Options, with ninja.Sharing) int {
			w := ninja.World{Dir: o.Dir, Stdout: out, Stderr: talk, Runner: ninja.Local{Dir: o.Dir}, Sharing: with}
			if with.Silent {
				w.Stdout = io.Discard
			}
			return ninja.Run(ctx, o, w)
		},
	})
}

// want checks the exit status and that the outputs hold these texts.
func (r ran) want(t *testing.T, status int, out, talked string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.out, out) || !strings.Contains(r.talked, talked) {
		t.Errorf("status %d, want %d\nstdout, wants %q:\n%s\nstderr, wants %q:\n%s", r.status, status, out, r.out, talked, r.talked)
	}
}

func TestFormsOfTheContractAreUnderstood(t *testing.T) {
	m := newMachine(t)
	m.node.Invited = api.Invitation{Token: "secret-token"}
	m.node.Records = []api.BuildRecord{{Build: "b1", Summary: json.RawMessage(`{"ok":true,"tier":"full"}`)}}
	m.up()
	for _, form := range []struct {
		args string
		out  string
	}{
		{"--home " + m.home + " node status", "state"},
		{"node status --json", `"peer":`},
		{"node ls", "NAME"},
		{"node ls --json", "[]"},
		{"mesh invite", "secret-token\n"},
		{"mesh invite --lan", "secret-token\n"},
		{"mesh invite --json", `"token":"secret-token"`},
		{"mesh leave", ""},
		{"mesh leave --json", `"mesh":`},
		{"mesh revoke q --json", `"peer":`},
		{"mesh revoke q", ""},
		{"build -C " + m.project, "built: instant-skip"},
		{"build -C " + m.project + " a b --json --force --local --keep-going -j 3", `{"event":"build.finished"`},
		{"build --json -C" + m.project + " -j3 a", `"ok":true`},
		{"builds", "b1"},
		{"builds --json", `[{"build":"b1"`},
		{"builds show b1", "build b1"},
		{"builds show b1 --json", `{"build":"b1"`},
		{"builds show", "build b1"},
		{"cache stats", "0 blobs"},
		{"cache stats --json", `"max_bytes":`},
		{"cache verify", "0 were damaged"},
		{"cache verify --json", `"corrupt":[]`},
		{"cache clear", "freed"},
		{"cache clear --json", `"bytes":`},
		{"version", "buildnet "},
		{"version --json", `"version":`},
		{"build --help", "Usage:"},
		{"", "Usage:"},
		{"node", "Usage:"},
	} {
		r := m.run(strings.Fields(form.args)...)
		if r.status != 0 || !strings.Contains(r.out, form.out) {
			t.Errorf("buildnet %s: status %d, stdout %q, stderr %q", form.args, r.status, r.out, r.talked)
		}
	}
	if r := m.run("mesh", "invite"); r.out != "secret-token\n" {
		t.Errorf("the token is not alone on stdout: %q", r.out)
	}
	if r := m.run("node", "ls", "--json"); r.out != "[]\n" {
		t.Errorf("an empty list is %q", r.out)
	}
}

func TestFlagsReachTheNode(t *testing.T) {
	m := newMachine(t)
	m.up()
	m.run("build", "-C", m.project, "a", "b", "--force", "--local", "--keep-going", "-j", "3", "--json").want(t, 0, "", "")
	m.run("mesh", "invite", "--lan").want(t, 0, "", "")
	m.run("mesh", "invite").want(t, 0, "", "")
	asked := m.node.Asked()
	r, ok := asked[0].(api.BuildRequest)
	if !ok || r.Dir != m.project || fmt.Sprint(r.Targets) != "[a b]" || !r.Force || !r.Local || !r.KeepGoing || r.Jobs != 3 {
		t.Errorf("the node was asked %+v", asked[0])
	}
	if fmt.Sprint(r.Env) != "map[A:1 B:x=y]" {
		t.Errorf("environment %v", r.Env)
	}
	if asked[1] != (api.InviteRequest{Reach: api.LAN}) || asked[2] != (api.InviteRequest{Reach: api.Everywhere}) {
		t.Errorf("the node was asked %+v", asked[1:])
	}
}

func TestWrongUsageIsStatus2AndSaysWhatToDo(t *testing.T) {
	m := newMachine(t)
	m.up()
	empty := t.TempDir()
	for _, args := range []string{
		"nonsense", "node nonsense", "node up extra", "--nonsense", "build --nonsense", "build -j x", "build -j -1 -C " + m.project, "build -j 0 -C " + m.project, "node up --slots 0",
		"mesh revoke", "mesh revoke a b", "builds b1", "builds show a b", "node up --slots -1", "cache", "build -C " + empty, "build -C /no/such",
		"builds show nothing",
	} {
		r := m.run(strings.Fields(args)...)
		if args == "cache" { // a group alone explains itself
			r.want(t, 0, "Usage:", "")
			continue
		}
		if r.status != 2 || r.out != "" || !strings.HasPrefix(r.talked, "buildnet: ") {
			t.Errorf("buildnet %s: status %d, stdout %q, stderr %q", args, r.status, r.out, r.talked)
		}
	}
	m.run("mesh", "revoke").want(t, 2, "", "see `buildnet mesh revoke --help`")
	m.run("nod").want(t, 2, "", "did you mean node")
}

func TestWithoutANode(t *testing.T) {
	m := newMachine(t)
	for _, args := range []string{"node status", "node ls", "node down", "mesh invite", "mesh leave", "mesh revoke x"} {
		m.run(strings.Fields(args)...).want(t, 3, "", "buildnet node up")
	}
	for _, args := range []string{"cache stats", "builds --json"} {
		m.run(strings.Fields(args)...).want(t, 0, "", "")
	}
	if err := client.New(m.home).Probe(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("a node stays: %v", err)
	}
}

func TestErrorsOfTheNodeBecomeStatuses(t *testing.T) {
	m := newMachine(t)
	m.up()
	for kind, status := range map[api.Kind]int{
		api.Invalid: 2, api.Forbidden: 2, api.NotFound: 2, api.Conflict: 2, api.Unavailable: 3, api.Internal: 1,
	} {
		m.node.Err = &api.Error{Kind: kind, Message: "what", Hint: "do this"}
		m.run("mesh", "leave").want(t, status, "", "buildnet: what; do this\n")
	}
}

func TestNodeUpSaysReadyAndEndsInOrder(t *testing.T) {
	m := newMachine(t)
	m.node.StatusIs = api.Status{Peer: "p", Listen: "0.0.0.0:7946", API: "127.0.0.1:9876", Mesh: "m", Slots: 2, BPU: 1.5, IsolationMissing: "no namespaces"}
	r, w := io.Pipe()
	var talk bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- m.runTo(w, &talk, "node", "up", "--json"); w.Close() }()
	line := make([]byte, 1000)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event":"ready","peer":"p","listen":"0.0.0.0:7946","api":"127.0.0.1:9876","reapi":"","mesh":"m","slots":2,"bpu":1.5}` + "\n"
	if string(line[:n]) != want {
		t.Errorf("ready line %s", line[:n])
	}
	m.run("node", "up").want(t, 3, "", "process 1 holds it")
	m.signals <- os.Interrupt
	if status := <-done; status != 0 {
		t.Errorf("ended with %d: %s", status, talk.String())
	}
	if !strings.Contains(talk.String(), "no namespaces") {
		t.Errorf("missing isolation is not told: %s", talk.String())
	}
}

func TestNodeThatCannotStart(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct {
		err    error
		status int
	}{
		{cli.Misused(errors.New("bad token")), 2},
		{cli.Unreachable(errors.New("no member answered")), 3},
		{errors.New("disk on fire"), 1},
	} {
		m.start = func(cli.NodeConfig) (cli.Node, error) { return nil, c.err }
		m.run("node", "up").want(t, c.status, "", c.err.Error())
	}
}

// program runs the test binary as the program.
func program(t *testing.T, home string, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--home", home}, args...)...)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return ran{status: cmd.ProcessState.ExitCode(), out: out.String(), talked: talk.String()}
}

func TestDetachedNodeOutlivesTheCommandThatStartedIt(t *testing.T) {
	home := t.TempDir()
	r := program(t, home, "node", "up", "--detach", "--json", "--mesh", "m", "--slots", "3", "--join", "TOKEN")
	r.want(t, 0, `{"event":"ready","peer":"pTOKEN","listen":"","api":"","reapi":"","mesh":"m","slots":3`, "")
	st, err := client.New(home).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.PID))
	if err == nil && bytes.Contains(cmdline, []byte("TOKEN")) {
		t.Errorf("the token is for all to see: %q", cmdline)
	}
	program(t, home, "node", "down").want(t, 0, "", "has ended")
	if err := client.New(home).Probe(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("after node down: %v", err)
	}
	program(t, home, "node", "down").want(t, 3, "", "buildnet node up")
}

func TestDetachTellsWhyTheNodeDidNotStart(t *testing.T) {
	home := t.TempDir()
	program(t, home, "node", "up", "--detach", "--join", "bad").want(t, 2, "", "buildnet: --join: not a token")
}
