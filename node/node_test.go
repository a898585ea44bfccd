package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
)

// startTime bounds the start of a node on a busy machine.
const startTime = 30 * time.Second

// running is a node in this process.
type running struct {
	node   *node.Node
	home   string
	client *client.Client
	stop   func() error
}

func start(t *testing.T, cfg node.Config) *running {
	t.Helper()
	if cfg.Home == "" {
		cfg.Home = filepath.Join(t.TempDir(), "home")
	}
	cfg.Listen, cfg.API, cfg.Log = "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.NewTextHandler(testWriter{t}, nil))
	n, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	r := &running{node: n, home: cfg.Home, client: client.New(cfg.Home)}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	select {
	case <-n.Ready():
	case err := <-ended:
		t.Fatalf("node ended before it was ready: %v", err)
	case <-time.After(startTime):
		t.Fatal("node is not ready")
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

type testWriter struct{ t *testing.T }

// Write implements io.Writer.
func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

func (r *running) build(t *testing.T, req api.BuildRequest) []event.Event {
	t.Helper()
	var events []event.Event
	err := r.client.Build(t.Context(), req, func(line []byte) error {
		e, err := event.Decode(line)
		events = append(events, e)
		return err
	})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return events
}

func summary(t *testing.T, events []event.Event) event.BuildFinished {
	t.Helper()
	f, ok := events[len(events)-1].(event.BuildFinished)
	if !ok {
		t.Fatalf("the last event is %#v", events[len(events)-1])
	}
	if sum := f.Executed + f.CachedLocal + f.CachedMesh + f.Skipped + f.Failed + f.NotRun; sum != f.Steps {
		t.Errorf("the counts add up to %d of %d steps: %+v", sum, f.Steps, f)
	}
	return f
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// hello is a project of five steps: three compiles, a link and a run.
var hello = map[string]string{
	".buildnet/config.yaml": `version: 1
packages:
  - name: hello
    path: .
    steps:
      - foreach: "*.c"
        run: ["cc", "-c", "{in}", "-o", "obj/{stem}.o"]
        inputs: ["*.h"]
        outputs: ["obj/{stem}.o"]
      - run: ["cc", "{outputs:obj/*.o}", "-o", "hello"]
        outputs: ["hello"]
      - run: "./hello > hello.txt"
        inputs: ["hello"]
        outputs: ["hello.txt"]
`,
	"text.h":  "const char *text(void); int number(void);\n",
	"text.c":  "#include \"text.h\"\nconst char *text(void) { return \"hello\"; }\n",
	"count.c": "#include \"text.h\"\nint number(void) { return 7; }\n",
	"main.c":  "#include <stdio.h>\n#include \"text.h\"\nint main(void) { printf(\"%s %d\\n\", text(), number()); return 0; }\n",
}

func TestBuildAloneThenSkipThenRestore(t *testing.T) {
	n := start(t, node.Config{})
	root := writeTree(t, hello)
	f := summary(t, n.build(t, api.BuildRequest{Dir: root}))
	if !f.OK || f.Executed != 5 || f.Tier != event.Full {
		t.Fatalf("first build: %+v", f)
	}
	if got, err := os.ReadFile(filepath.Join(root, "hello.txt")); err != nil || string(got) != "hello 7\n" {
		t.Fatalf("it made %q, %v", got, err)
	}
	if f := summary(t, n.build(t, api.BuildRequest{Dir: root})); f.Tier != event.InstantSkip || f.Skipped != 5 {
		t.Errorf("nothing changed: %+v", f)
	}
	if err := os.Remove(filepath.Join(root, "hello")); err != nil {
		t.Fatal(err)
	}
	if f := summary(t, n.build(t, api.BuildRequest{Dir: root})); f.Tier != event.Restore || f.Executed != 0 || f.CachedLocal != 1 {
		t.Errorf("an output deleted: %+v", f)
	}
	comment := hello["text.c"] + "/* changed */\n"
	if err := os.WriteFile(filepath.Join(root, "text.c"), []byte(comment), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := summary(t, n.build(t, api.BuildRequest{Dir: root})); f.Executed != 1 || f.Tier != event.Incremental {
		t.Errorf("a comment: %+v", f)
	}
}

func TestMeshBuildsAndServesWhatItBuilt(t *testing.T) {
	first := start(t, node.Config{})
	inv, err := first.client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, node.Config{Join: inv.Token})
	third := start(t, node.Config{Join: inv.Token})
	nodes := []*running{first, second, third}
	awaitMembers(t, nodes)
	if f := summary(t, first.build(t, api.BuildRequest{Dir: writeTree(t, hello)})); !f.OK || f.Executed != 5 {
		t.Fatalf("first build: %+v", f)
	}
	for _, n := range nodes[1:] {
		f := summary(t, n.build(t, api.BuildRequest{Dir: writeTree(t, hello)}))
		if !f.OK || f.Executed != 0 {
			t.Errorf("a copy elsewhere: %+v", f)
		}
	}
}

func awaitMembers(t *testing.T, nodes []*running) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, n := range nodes {
		for {
			members, err := n.client.Members(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			alive := 0
			for _, m := range members {
				if m.State == "alive" && m.BPU > 0 && (m.Self || m.RTTMS > 0) {
					alive++
				}
			}
			if alive == len(nodes) {
				break
			}
			<-tick.C
		}
	}
}

func TestSecondNodeOnAHomeIsRefused(t *testing.T) {
	n := start(t, node.Config{})
	again, err := node.New(node.Config{Home: n.home, Listen: "127.0.0.1:0", API: node.NoAPI})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(t.Context()); !errors.Is(err, node.ErrHomeInUse) {
		t.Errorf("Run = %v, want ErrHomeInUse", err)
	}
}
