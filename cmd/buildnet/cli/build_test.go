package cli_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
)

// script is a build that emits these events.
func script(events ...event.Event) func(context.Context, api.BuildRequest, func(event.Event)) error {
	return func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		for _, e := range events {
			emit(e)
		}
		return nil
	}
}

// failing is a build with everything in it that is shown.
var failing = []event.Event{
	event.BuildQueued{Build: "b", Behind: "a"},
	event.BuildStarted{Build: "b", Root: "/p", Steps: 4, Members: 2, Names: map[string]string{"peer-one": "hostA", "peer-two": "hostB"}},
	event.LeaderElected{Build: "b", Leader: "peer-one", Epoch: 1},
	event.HookStarted{Build: "b", Package: "p", Hook: "pre_build"},
	event.HookFinished{Build: "b", Package: "p", Hook: "pre_build", Output: "hooked\n"},
	event.StepStarted{Build: "b", Step: "p:one", Peer: "peer-one"},
	event.StepFinished{Build: "b", Step: "p:one", Peer: "peer-one", Status: event.Executed, RunMS: 1500, Done: 1, Steps: 4},
	event.StepOutput{Build: "b", Step: "p:one", Output: "warning: odd\n"},
	event.StepFinished{Build: "b", Step: "p:two", Peer: "peer-two", Status: event.CachedMesh, Done: 2, Steps: 4},
	event.LeaderElected{Build: "b", Leader: "peer-two", Epoch: 2},
	event.Notice{Build: "b", Level: event.Warning, Text: "x.c changed during the build"},
	event.StepStarted{Build: "b", Step: "p:three", Peer: "peer-two"},
	event.StepFinished{Build: "b", Step: "p:three", Peer: "peer-two", Status: event.Failed, Done: 3, Steps: 4, Failure: &event.Failure{
		Command: []string{"cc", "-c", "it's.c"}, Dir: "p", ExitCode: 1, Output: "it's.c:1: error\nit's.c:2: error\n",
	}},
	event.BuildFinished{
		Build: "b", Tier: event.Incremental, Steps: 4, Executed: 1, CachedMesh: 1, Failed: 1, NotRun: 1, RunLocal: 1, RunRemote: 1,
		ByPeer: map[string]int{"peer-one": 1, "peer-two": 1}, WallMS: 2340, BytesIn: 2048, BytesOut: 1024, SavedMS: 900,
		LocalReasons: map[string]int{"no other machine was free": 1}, Foreign: []string{"dist/mine"},
	},
}

func TestFailedStepIsToldInFull(t *testing.T) {
	for name, screen := range map[string]cli.Screen{"Lines": cli.Lines, "Terminal": cli.Terminal} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.screen = screen
			m.node.OnBuild = script(failing...)
			m.up()
			r := m.run("build", "-C", m.project)
			for _, text := range []string{
				"waiting for build a", "hooked", "p:one printed", "warning: odd", "hostB leads from now on (epoch 2)", "x.c changed during the build",
				"FAILED: p:three on hostB: exit 1", `in p: cc -c 'it'\''s.c'`, "it's.c:2: error", "buildnet builds show b",
			} {
				if !strings.Contains(r.talked, text) {
					t.Errorf("stderr lacks %q", text)
				}
			}
			want := `FAILED: incremental, 4 steps: 1 executed, 1 cached in the mesh, 1 failed, 1 not run, in 2.34s, saved 0.90s of running
1 ran here (no other machine was free), 1 ran on others (of all: hostA 1, hostB 1), 2.0 KiB in, 1.0 KiB out
kept in output directories, though no build made them: dist/mine
`
			if r.status != 1 || r.out != want {
				t.Errorf("status %d, stdout:\n%s", r.status, r.out)
			}
			if t.Failed() {
				t.Log(r.talked)
			}
		})
	}
}

func TestJSONIsTheEventsAsTheyCome(t *testing.T) {
	m := newMachine(t)
	m.node.OnBuild = script(failing...)
	m.up()
	r := m.run("build", "--json", "-C", m.project)
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if r.status != 1 || r.talked != "" || len(lines) != len(failing) {
		t.Fatalf("status %d, %d lines, stderr %q", r.status, len(lines), r.talked)
	}
	for i, e := range failing {
		want, err := event.Encode(e)
		if err != nil || lines[i] != string(want) {
			t.Errorf("line %d is %s, want %s", i, lines[i], want)
		}
	}
}

func TestFaultsOfTheConfigurationAreStatus2(t *testing.T) {
	m := newMachine(t)
	m.node.Err = &api.Error{Kind: api.Invalid, Message: "config.yaml:3: unknown key\nconfig.yaml:5: cycle a -> b -> a"}
	m.up()
	m.run("build", "-C", m.project).want(t, 2, "", "config.yaml:5: cycle")
}

func TestProjectIsFoundFromBelow(t *testing.T) {
	m := newMachine(t)
	deep := filepath.Join(m.project, "src", "deep")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(deep, link); err != nil {
		t.Fatal(err)
	}
	m.up()
	m.run("build", "-C", deep).want(t, 0, "built", "")
	if r := m.node.Asked()[0].(api.BuildRequest); r.Dir != m.project {
		t.Errorf("built %s, want %s", r.Dir, m.project)
	}
	m.run("build", "-C", link).want(t, 2, "", "-C")
}

func TestBuildWithoutANodeIsOneItself(t *testing.T) {
	m := newMachine(t)
	var got cli.NodeConfig
	m.start = func(c cli.NodeConfig) (cli.Node, error) { got = c; return newFake(c, m.node), nil }
	m.run("build", "-C", m.project).want(t, 0, "built", "")
	if got.Home != m.home || got.Lifetime != cli.Ephemeral {
		t.Errorf("started %+v", got)
	}
	if err := client.New(m.home).Probe(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("the node stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(m.home, "node.log")); err != nil {
		t.Errorf("no log: %v", err)
	}
}

// heldBuild is a build that waits until it is let go.
type heldBuild struct {
	begun, proceed chan struct{}
}

func newHeldBuild() heldBuild {
	return heldBuild{begun: make(chan struct{}), proceed: make(chan struct{})}
}

func (h heldBuild) run(ctx context.Context, _ api.BuildRequest, emit func(event.Event)) error {
	emit(event.BuildStarted{Build: "b"})
	close(h.begun)
	select {
	case <-h.proceed:
	case <-ctx.Done():
	}
	emit(event.BuildFinished{Build: "b", OK: ctx.Err() == nil, Cancelled: ctx.Err() != nil})
	return nil
}

func TestFirstInterruptEndsTheBuildAndKeepsItsSummary(t *testing.T) {
	m := newMachine(t)
	h := newHeldBuild()
	m.node.OnBuild = h.run
	m.up()
	go func() { <-h.begun; m.signals <- os.Interrupt }()
	r := m.run("build", "--json", "-C", m.project)
	r.want(t, 130, `"cancelled":true`, "interrupted")
}

func TestInterruptOfABuildThatIsItsOwnNode(t *testing.T) {
	m := newMachine(t)
	h := newHeldBuild()
	m.node.OnBuild = h.run
	go func() { <-h.begun; m.signals <- os.Interrupt }()
	m.run("build", "-C", m.project).want(t, 130, "interrupted", "")
	if _, ok := held.Load(m.home); ok {
		t.Error("the home is still held")
	}
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	m := newMachine(t)
	m.screen = cli.Terminal
	begun, proceed := make(chan struct{}), make(chan struct{})
	m.node.OnBuild = func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		<-proceed // deaf to ctx
		return errors.New("ended late")
	}
	m.up()
	var talk lockedBuffer
	done := make(chan int, 1)
	go func() { done <- m.runTo(&bytes.Buffer{}, &talk, "build", "-C", m.project) }()
	<-begun
	m.signals <- os.Interrupt
	m.signals <- os.Interrupt
	if status := <-m.exits; status != 130 {
		t.Errorf("exit %d", status)
	}
	if !strings.Contains(talk.String(), "\x1b[?25h") {
		t.Error("the cursor stays hidden")
	}
	close(proceed)
	if status := <-done; status != 130 {
		t.Errorf("status %d", status)
	}
}

func TestBuildThatDoesNotEndIsLeftBehind(t *testing.T) {
	m := newMachine(t)
	begun, proceed := make(chan struct{}), make(chan struct{})
	m.node.OnBuild = func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		<-proceed // deaf to ctx
		return nil
	}
	go func() { <-begun; m.signals <- os.Interrupt }()
	r := m.run("build", "-C", m.project)
	r.want(t, 130, "", "interrupted")
	if strings.Contains(r.talked, "others") {
		t.Errorf("its own build is another's: %s", r.talked)
	}
	close(proceed)
	for { // until the node has ended, so that nothing of it outlives the test
		if _, ok := held.Load(m.home); !ok {
			break
		}
	}
}

// lockedBuffer may be written to by several.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestTwoBuildsOfOneHomeShareTheNodeOfTheFirst(t *testing.T) {
	m := newMachine(t)
	first, second := newHeldBuild(), newHeldBuild()
	var n atomic.Int32
	m.node.OnBuild = func(ctx context.Context, r api.BuildRequest, emit func(event.Event)) error {
		if n.Add(1) == 1 {
			return first.run(ctx, r, emit)
		}
		return second.run(ctx, r, emit)
	}
	var starts atomic.Int32
	m.start = func(c cli.NodeConfig) (cli.Node, error) { starts.Add(1); return newFake(c, m.node), nil }
	var talk lockedBuffer
	one, two := make(chan int, 1), make(chan int, 1)
	go func() { one <- m.runTo(&bytes.Buffer{}, &talk, "build", "-C", m.project) }()
	<-first.begun
	go func() { two <- m.runTo(&bytes.Buffer{}, &bytes.Buffer{}, "build", "-C", m.project) }()
	<-second.begun
	close(first.proceed)
	for !strings.Contains(talk.String(), "waiting; another") {
		select {
		case status := <-one:
			t.Fatalf("the first ended with %d under the second: %s", status, talk.String())
		default:
		}
	}
	close(second.proceed)
	if a, b := <-one, <-two; a != 0 || b != 0 || starts.Load() != 1 {
		t.Errorf("statuses %d and %d, %d nodes", a, b, starts.Load())
	}
}

func TestTheLoserOfTheRaceForTheHomeUsesTheWinnersNode(t *testing.T) {
	m := newMachine(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var talk bytes.Buffer
			if status := m.runTo(&bytes.Buffer{}, &talk, "build", "-C", m.project); status != 0 {
				t.Errorf("status %d: %s", status, talk.String())
			}
		})
	}
	wg.Wait()
	if asked := m.node.Asked(); len(asked) != 8 {
		t.Errorf("%d builds ran", len(asked))
	}
}

func TestConnectionThatBreaksIsStatus3(t *testing.T) {
	for name, answer := range map[string]string{
		"Unanswered": "",
		"MidBuild":   "HTTP/1.1 200 OK\r\n\r\n{\"event\":\"build.started\",\"build\":\"b\"}\n{\"event\":\"ste",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			l, err := net.Listen("unix", filepath.Join(m.home, "node.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = conn.Write([]byte(answer))
					conn.Close()
				}
			}()
			m.run("build", "-C", m.project).want(t, 3, "", "the connection to the node broke")
		})
	}
}

func TestNodeOfAnotherUserIsOfferedTheTree(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("giving the socket to another user needs root")
	}
	m := newMachine(t)
	var tree atomic.Bool
	m.node.OnBuild = func(_ context.Context, r api.BuildRequest, emit func(event.Event)) error {
		tree.Store(r.Tree != nil)
		emit(event.BuildFinished{Build: "b", OK: true})
		return nil
	}
	m.up()
	if err := os.Chown(filepath.Join(m.home, "node.sock"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	m.run("build", "-C", m.project).want(t, 0, "built", "")
	if !tree.Load() {
		t.Error("no tree came with the request")
	}
}
