package build

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// twoPackages is a library of two objects and a program that uses it.
func twoPackages() map[string]string {
	return map[string]string{
		".buildnet/config.yaml": `version: 1
packages:
  - name: lib
    path: lib
    steps:
      - foreach: "*.c"
        run: ["cc", "-c", "{in}", "-o", "{stem}.o"]
        outputs: ["{stem}.o"]
      - run: ["ar", "rcsD", "lib.a", "{outputs:*.o}"]
        outputs: ["lib.a"]
  - name: app
    path: app
    dependencies: [lib]
    sources: ["main.c"]
    build_cmd: "make"
    pass_env: [FLAVOUR]
    outputs: ["app"]
`,
		"lib/a.c":    "a",
		"lib/b.c":    "b",
		"app/main.c": "main",
	}
}

func TestTiers(t *testing.T) {
	w := newWorld(t, twoPackages())
	f, ran := w.good(Request{})
	if f.Tier != event.Full || ran != "lib:a.o lib:b.o lib:lib.a app" {
		t.Fatalf("first build: %s, ran %q", f.Tier, ran)
	}
	made := w.read("app/app")
	if f, ran := w.good(Request{}); f.Tier != event.InstantSkip || f.Skipped != 4 || ran != "" {
		t.Errorf("nothing changed: %+v, ran %q", f, ran)
	}
	w.write(map[string]string{"app/app": "edited", "lib/a.c": "a2"})
	f, ran = w.good(Request{})
	if f.Tier != event.Incremental || ran != "lib:a.o lib:lib.a app" || f.Skipped != 1 {
		t.Errorf("a source changed: %+v, ran %q", f, ran)
	}
	w.write(map[string]string{"lib/a.c": "a"})
	f, ran = w.good(Request{})
	if f.Tier != event.Restore || ran != "" || f.CachedLocal != 3 || f.Skipped != 1 || w.read("app/app") != made {
		t.Errorf("as it was: %+v, ran %q, %q", f, ran, w.read("app/app"))
	}
	if f, ran := w.good(Request{Modes: steal.Modes{Force: true}}); f.Executed != 4 || ran == "" {
		t.Errorf("forced: %+v", f)
	}
}

// A member may give this node's cache results that name any file.
func TestCachedResultsBringNothingButOutputs(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{})
	var entries []action.Entry
	if err := w.actions.Each(func(e action.Entry) bool {
		entries = append(entries, e)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		e.Result.Outputs = append(e.Result.Outputs, action.Output{Path: "zzz", Kind: action.File, Digest: e.Result.Outputs[0].Digest})
		evil, err := action.SignEntry(e.Action, e.Result, w.self, func(b []byte) ([]byte, error) { return ed25519.Sign(w.key, b), nil })
		if err == nil {
			err = w.actions.Put(t.Context(), evil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.write(map[string]string{"app/app": "edited"})
	if _, ran := w.good(Request{}); ran != "lib:a.o lib:b.o lib:lib.a app" || !strings.HasPrefix(w.read("zzz"), "[") {
		t.Errorf("ran %q, and made %q", ran, w.read("zzz"))
	}
}

func TestEarlyCutoff(t *testing.T) {
	w := newWorld(t, twoPackages())
	same := w.contents
	w.contents = func(s *action.Step, inputs digest.Digest) string {
		if s.ID == "lib:a.o" {
			return "the same object"
		}
		return same(s, inputs)
	}
	w.good(Request{})
	w.write(map[string]string{"lib/a.c": "a /* comment */"})
	if _, ran := w.good(Request{}); ran != "lib:a.o" {
		t.Errorf("ran %q, want the one compile and nothing after it", ran)
	}
}

func TestWhatElseIsPartOfTheKey(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{Env: map[string]string{"FLAVOUR": "plain"}})
	if _, ran := w.good(Request{Env: map[string]string{"FLAVOUR": "plain", "OTHER": "x"}}); ran != "" {
		t.Errorf("a variable that nothing asks for: ran %q", ran)
	}
	if _, ran := w.good(Request{Env: map[string]string{"FLAVOUR": "salty"}}); ran != "app" {
		t.Errorf("a passed variable: ran %q", ran)
	}
	w.mu.Lock()
	w.chain = "blake3:two"
	w.mu.Unlock()
	if _, ran := w.good(Request{Env: map[string]string{"FLAVOUR": "salty"}}); ran != "lib:a.o lib:b.o lib:lib.a app" {
		t.Errorf("another toolchain: ran %q", ran)
	}
}

func TestSourceAddedAndRemoved(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{})
	w.write(map[string]string{"lib/c.c": "c"})
	if _, ran := w.good(Request{}); ran != "lib:c.o lib:lib.a app" {
		t.Errorf("a source added: ran %q", ran)
	}
	if err := os.Remove(filepath.Join(w.root, "lib/c.c")); err != nil {
		t.Fatal(err)
	}
	if _, ran := w.good(Request{}); ran != "" {
		t.Errorf("back to an earlier state: ran %q", ran)
	}
	if _, err := os.Stat(filepath.Join(w.root, "lib/c.o")); !os.IsNotExist(err) {
		t.Errorf("the output of the removed source is still there: %v", err)
	}
}

func TestSourceThatChangesDuringTheBuild(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.before = func(s *action.Step) {
		if s.ID == "lib:lib.a" {
			w.write(map[string]string{"lib/a.c": "changed meanwhile"})
		}
	}
	events, _, err := w.build(Request{})
	if err != nil || !strings.Contains(notices(events), "lib/a.c changed during the build") {
		t.Fatalf("build = %v, said %q", err, notices(events))
	}
	w.before = func(*action.Step) {}
	if f, ran := w.good(Request{}); f.Tier == event.InstantSkip || ran != "lib:a.o lib:lib.a app" {
		t.Errorf("the next build: %s, ran %q", f.Tier, ran)
	}
}

func TestFailuresAndWhatIsBehindThem(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.fails["lib:a.o"] = true
	events, ran, err := w.build(Request{Modes: steal.Modes{KeepGoing: true}})
	f := w.summary(events)
	if err == nil || f.OK || f.Failed != 1 || f.NotRun != 2 || ran != "lib:a.o lib:b.o" {
		t.Errorf("keep going: %+v, ran %q, %v", f, ran, err)
	}
	if got := w.read("lib/b.o"); !strings.HasPrefix(got, "lib:b.o") {
		t.Errorf("what succeeded is not in the tree: %q", got)
	}
	delete(w.fails, "lib:a.o")
	if f, ran := w.good(Request{}); ran != "lib:a.o lib:lib.a app" || f.Skipped != 1 {
		t.Errorf("mended: %+v, ran %q", f, ran)
	}
}

func TestTargetsAreBuiltWithWhatTheyNeed(t *testing.T) {
	w := newWorld(t, twoPackages())
	if f, ran := w.good(Request{Targets: []string{"lib/lib.a"}}); ran != "lib:a.o lib:b.o lib:lib.a" || f.Steps != 3 {
		t.Errorf("ran %q of %d", ran, f.Steps)
	}
	if _, _, err := w.build(Request{Targets: []string{"lbi"}}); !errors.Is(err, ErrRequest) {
		t.Errorf("an unknown target: %v", err)
	}
}

func TestBadConfigurationBuildsNothing(t *testing.T) {
	w := newWorld(t, map[string]string{".buildnet/config.yaml": "version: 1\npackages: [{name: a, path: ., bulid_cmd: x}]\n"})
	events, ran, err := w.build(Request{})
	if !errors.Is(err, ErrRequest) || ran != "" || len(events) != 0 {
		t.Errorf("build = %v, ran %q, said %v", err, ran, events)
	}
	empty := newWorld(t, nil)
	if _, _, err := empty.build(Request{}); !errors.Is(err, ErrRequest) {
		t.Errorf("without a configuration: %v", err)
	}
}

func TestHooks(t *testing.T) {
	w := newWorld(t, map[string]string{
		".buildnet/config.yaml": `version: 1
packages:
  - name: p
    path: .
    sources: ["*.txt"]
    build_cmd: "make"
    outputs: ["out"]
    env: {WHO: them}
    hooks:
      pre_build: "echo before $WHO; echo generated > made.txt"
      post_build: "echo after $USER_SAYS > after"
`,
		"a.txt": "a",
	})
	events, _, err := w.build(Request{Env: map[string]string{"USER_SAYS": "hello", "PATH": os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	var hooks []string
	for _, e := range events {
		if h, ok := e.(event.HookFinished); ok {
			hooks = append(hooks, h.Hook+": "+h.Output)
		}
	}
	if got := strings.Join(hooks, ""); !strings.Contains(got, "pre_build: before them") || !strings.Contains(got, "post_build") {
		t.Errorf("hooks said %q", got)
	}
	if got := w.read("after"); got != "after hello\n" {
		t.Errorf("post_build made %q", got)
	}
	w.write(map[string]string{".buildnet/config.yaml": strings.ReplaceAll(w.read(".buildnet/config.yaml"), "echo before $WHO", "exit 3")})
	events, ran, err := w.build(Request{Env: map[string]string{"PATH": os.Getenv("PATH")}})
	if !errors.Is(err, errHook) || ran != "" || w.summary(events).OK {
		t.Errorf("a hook that fails: %v, ran %q", err, ran)
	}
	if f := w.summary(events); !strings.HasSuffix(f.Error, "run it by hand in "+w.root+" to see why") {
		t.Errorf("a hook that fails: %q", f.Error)
	}
}

func TestFullStoreEndsTheBuildAndSaysSo(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.contents = func(*action.Step, digest.Digest) string { return strings.Repeat("x", 1<<20) }
	small := memory.New(512 << 10)
	w.store, w.builder.opts.Store, w.builder.trees.blobs = small, small, small
	events, _, err := w.build(Request{})
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("build = %v, want ErrFull", err)
	}
	if f := w.summary(events); f.OK || f.Error == "" {
		t.Errorf("%+v", f)
	}
}

func TestBuildsAreWrittenDown(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{ID: "first"})
	r, err := w.history.Get("first")
	if err != nil {
		t.Fatal(err)
	}
	if r.Root != w.root || !strings.Contains(string(r.Events), `"step":"lib:a.o"`) || !strings.Contains(string(r.Summary), `"executed":4`) {
		t.Errorf("record: %s %s", r.Summary, r.Events)
	}
}

func TestBuildsOfOneTreeQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{running: map[string]string{}, changed: make(chan struct{})}
		leave, err := q.enter(t.Context(), "/tree", "one", func(event.Event) { t.Error("the first one waits") })
		if err != nil {
			t.Fatal(err)
		}
		other, err := q.enter(t.Context(), "/other", "two", func(event.Event) { t.Error("another tree waits") })
		if err != nil {
			t.Fatal(err)
		}
		other()
		entered := make(chan struct{})
		var behind string
		go func() {
			defer close(entered)
			leave, err := q.enter(t.Context(), "/tree", "three", func(e event.Event) { behind = e.(event.BuildQueued).Behind })
			if err != nil {
				t.Error(err)
				return
			}
			leave()
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("two builds of one tree at once")
		default:
		}
		leave()
		<-entered
		if behind != "one" {
			t.Errorf("waited behind %q", behind)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		leave, _ = q.enter(t.Context(), "/tree", "four", func(event.Event) {})
		defer leave()
		if _, err := q.enter(ctx, "/tree", "five", func(event.Event) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while it waits: %v", err)
		}
	})
}

func TestInputTreesAreThoseOfTheSourcesAlone(t *testing.T) {
	w := newWorld(t, nil)
	files := map[string]action.Output{}
	var headers []string
	for _, name := range []string{"a.h", "b.h", "deep/c.h", "deep/d.h"} {
		files[name] = action.Output{Path: name, Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte(name))}
		headers = append(headers, name)
	}
	for _, name := range []string{"x.c", "deep/y.c", "z.c"} {
		files[name] = action.Output{Path: name, Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte(name))}
	}
	shared := newInputRoots(newDirectories(w.store), files)
	for _, sources := range [][]string{
		append(headers[:4:4], "x.c"), {"a.h", "b.h", "deep/c.h", "deep/d.h", "deep/y.c"},
		append(headers[:4:4], "z.c"), headers[:2], {"x.c"}, nil, append(headers[:4:4], "z.c"),
	} {
		alone := newInputRoots(newDirectories(memory.New(1<<20)), files)
		got, err := shared.of(t.Context(), w.store.Lease(), sources)
		if err != nil {
			t.Fatal(err)
		}
		want, err := alone.of(t.Context(), memory.New(1).Lease(), sources)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("sources %v: tree %v, want %v", sources, got, want)
		}
	}
}

func TestFilesThatNoStepCanHaveAreNamed(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.write(map[string]string{"lib/new\nline.c": "x", "lib/back\\slash.c": "x"})
	events, _, err := w.build(Request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := notices(events); !strings.Contains(got, `no step sees "lib/back\\slash.c", "lib/new\nline.c": rename`) {
		t.Errorf("notices %q", got)
	}
}

func TestOutputThatLeftTheConfigurationIsNoSource(t *testing.T) {
	config := `version: 1
packages:
  - name: p
    path: .
    build_cmd: "make"
    outputs: [%s]
`
	both, one := strings.ReplaceAll(config, "%s", "a, c"), strings.ReplaceAll(config, "%s", "a")
	w := newWorld(t, map[string]string{".buildnet/config.yaml": both, "src": "s"})
	w.good(Request{})
	w.write(map[string]string{".buildnet/config.yaml": one})
	w.good(Request{})
	if _, err := os.Stat(filepath.Join(w.root, "c")); !os.IsNotExist(err) {
		t.Errorf("the output that left is still there: %v", err)
	}
	if f, ran := w.good(Request{}); f.Tier != event.InstantSkip || ran != "" {
		t.Errorf("the next build: %s, ran %q", f.Tier, ran)
	}
	named := strings.Replace(one, "build_cmd", "sources: [src, c]\n    build_cmd", 1)
	w.write(map[string]string{".buildnet/config.yaml": both})
	w.good(Request{})
	w.write(map[string]string{".buildnet/config.yaml": named})
	w.good(Request{})
	if got := w.read("c"); !strings.HasPrefix(got, "p of") {
		t.Errorf("what an earlier build made and this one reads is gone: %q", got)
	}
}
