//go:build lab && linux

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestNothingChanged edits a tree in all ways between builds.
func TestNothingChanged(t *testing.T) {
	h := New(t).Host(2)
	h.Up()
	dir := filepath.Join(h.Dir, "zstd")
	Project(t, dir)
	obj := func(name string) string { return filepath.Join(dir, "lib", "obj", name) }
	src := func(name string) string { return filepath.Join(dir, "lib", name) }
	h.Build(dir)

	_, f := h.Build(dir)
	if f.Tier != event.InstantSkip || f.Executed != 0 || f.Skipped != f.Steps {
		t.Errorf("nothing changed: %+v", f)
	}

	now := time.Now()
	if err := os.Chtimes(src("pool.c"), now, now); err != nil {
		t.Fatal(err)
	}
	if _, f = h.Build(dir); f.Executed != 0 {
		t.Errorf("touched: %+v", f)
	}

	appendTo(t, src("pool.c"), "/* nothing */\n")
	if _, f = h.Build(dir); f.Executed != 1 {
		t.Errorf("a comment: %+v", f)
	}

	if err := os.WriteFile(src("added.c"), []byte("int buildnet_added(void) { return 1; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Its compile, the archive, the link and the run: the report stays the same.
	if _, f = h.Build(dir); f.Executed < 3 || f.Executed > 4 {
		t.Errorf("a source added: %+v", f)
	}
	if _, err := os.Stat(obj("added.o")); err != nil {
		t.Error(err)
	}
	if err := os.Remove(src("added.c")); err != nil {
		t.Fatal(err)
	}
	if _, f = h.Build(dir); f.Executed != 0 {
		t.Errorf("a source removed, which brings back an earlier state: %+v", f)
	}
	if _, err := os.Stat(obj("added.o")); !os.IsNotExist(err) {
		t.Errorf("the output of the removed source is still there: %v", err)
	}

	before := Outputs(t, dir)
	if err := os.Remove(obj("pool.o")); err != nil {
		t.Fatal(err)
	}
	kept, err := os.Stat(obj("hist.o"))
	if err != nil {
		t.Fatal(err)
	}
	if _, f = h.Build(dir); f.Executed != 0 {
		t.Errorf("an output deleted: %+v", f)
	}
	SameOutputs(t, Outputs(t, dir), before)
	if after, err := os.Stat(obj("hist.o")); err != nil || !after.ModTime().Equal(kept.ModTime()) {
		t.Errorf("an output that nobody touched was written again")
	}

	appendTo(t, obj("pool.o"), "garbage")
	if _, f = h.Build(dir); f.Executed != 0 {
		t.Errorf("an output edited: %+v", f)
	}
	SameOutputs(t, Outputs(t, dir), before)
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPassedEnvironment changes a variable that a step asks for.
func TestPassedEnvironment(t *testing.T) {
	h := New(t).Host(1)
	h.Up()
	dir := filepath.Join(h.Dir, "env")
	WriteTree(t, dir, map[string]string{
		".buildnet/config.yaml": `version: 1
packages:
  - name: env
    path: .
    sources: ["in.txt"]
    build_cmd: "echo $FLAVOUR > out.txt"
    pass_env: [FLAVOUR]
    outputs: ["out.txt"]
`,
		"in.txt": "x\n",
	})
	for _, want := range []struct {
		flavour  string
		executed int
	}{{"plain", 1}, {"plain", 0}, {"salty", 1}, {"plain", 0}} {
		t.Setenv("FLAVOUR", want.flavour)
		_, f := h.Build(dir)
		if f.Executed != want.executed {
			t.Errorf("FLAVOUR=%s: executed %d, want %d", want.flavour, f.Executed, want.executed)
		}
		got, err := os.ReadFile(filepath.Join(dir, "out.txt"))
		if err != nil || strings.TrimSpace(string(got)) != want.flavour {
			t.Errorf("FLAVOUR=%s: made %q, %v", want.flavour, got, err)
		}
	}
}

// TestActionCannotHarmTheStore has an action of a node that is root overwrite
// its input.
func TestActionCannotHarmTheStore(t *testing.T) {
	h := New(t).Host(1)
	h.Up()
	dir := filepath.Join(h.Dir, "harm")
	WriteTree(t, dir, map[string]string{
		".buildnet/config.yaml": `version: 1
packages:
  - name: harm
    path: .
    sources: ["in.txt"]
    build_cmd: "chmod 777 in.txt; echo overwritten > in.txt; cp in.txt out.txt"
    outputs: ["out.txt"]
  - name: reader
    path: .
    sources: ["in.txt"]
    dependencies: [harm]
    build_cmd: "cp in.txt again.txt"
    outputs: ["again.txt"]
`,
		"in.txt": strings.Repeat("as it was\n", 10_000),
	})
	h.Build(dir)
	again, err := os.ReadFile(filepath.Join(dir, "again.txt"))
	if err != nil || !strings.HasPrefix(string(again), "as it was") {
		t.Errorf("the next action read %q, %v", again[:min(20, len(again))], err)
	}
	if o := h.Buildnet("cache", "verify", "--json"); o.Exit != 0 || !strings.Contains(o.Stdout, `"corrupt":[]`) {
		t.Errorf("cache verify: exit status %d: %s%s", o.Exit, o.Stdout, o.Stderr)
	}
}

// TestWithoutNode builds on a host where no node runs, twice at once.
func TestWithoutNode(t *testing.T) {
	l := New(t)
	h, other := l.Host(1), l.Host(1)
	dir := filepath.Join(h.Dir, "zstd")
	Project(t, dir)
	a, b := h.Start(dir, "zstd"), h.Start(dir, "zstd")
	for _, build := range []*Build{a, b} {
		if status := build.Wait(); status != 0 {
			t.Fatalf("exit status %d: %s", status, build.Stderr())
		}
	}
	if n := a.Finished().Executed + b.Finished().Executed; n != a.Finished().Steps {
		t.Errorf("two builds at once executed %d steps, want each of %d once", n, a.Finished().Steps)
	}
	h.Build(dir)

	h.Up()
	other.Up("--join", Invite(t, h, "--lan"))
	Await(t, other, 2, 10*time.Second)
	second := filepath.Join(other.Dir, "zstd")
	Project(t, second)
	if _, f := other.Build(second); f.Executed != 0 {
		t.Errorf("what was built without a node is not served by it: %+v", f)
	}
}
