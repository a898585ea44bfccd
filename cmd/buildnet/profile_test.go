package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/ninja"
	"github.com/buildnet/buildnet/node/nodetest"
)

// buildnet runs a command against a node and returns its exit status and what
// it wrote.
func buildnet(n *nodetest.Node, args ...string) (status int, out, talk string) {
	var o, e bytes.Buffer
	status = cli.Run(context.Background(), append([]string{"--home", n.Home}, args...), cli.System{Stdout: &o, Stderr: &e, Environ: os.Environ(), Manifest: ninja.ThisProcess().Share})
	return status, o.String(), e.String()
}

// ok is buildnet for what has to succeed; it returns stdout.
func ok(t *testing.T, n *nodetest.Node, args ...string) string {
	t.Helper()
	status, out, talk := buildnet(n, args...)
	if status != 0 {
		t.Fatalf("buildnet %s: status %d\n%s%s", strings.Join(args, " "), status, out, talk)
	}
	return out
}

// answer decodes the one JSON value that a command prints.
func answer[T any](t *testing.T, n *nodetest.Node, args ...string) (v T) {
	t.Helper()
	out := ok(t, n, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("buildnet %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return v
}

// built runs `build --json` and returns the last event.
func built(t *testing.T, n *nodetest.Node, dir string, args ...string) event.BuildFinished {
	t.Helper()
	out := ok(t, n, append([]string{"build", "-C", dir, "--json"}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	e, err := event.Decode([]byte(lines[len(lines)-1]))
	if err != nil {
		t.Fatal(err)
	}
	f, is := e.(event.BuildFinished)
	if !is || f.Policy == nil && f.Tier != event.InstantSkip {
		t.Fatalf("the last event is %#v", e)
	}
	return f
}

// copies is a project of steps that have nothing to do with one another.
func copies(t *testing.T, steps int, config string) string {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": `version: 1
` + config + `packages:
  - name: copies
    steps:
      - foreach: "*.txt"
        run: "sleep 1; cp {in} {outputs}"
        outputs: ["out/{stem}"]
`}
	for i := range steps {
		files[fmt.Sprintf("%d.txt", i)] = strings.Repeat(t.Name()+"\n", i+1)
	}
	return nodetest.Tree(t, files)
}

const night = `version: 1
name: night
description: While nobody looks
weights: {performance: 1, locality: 3}
partition: package
cpu_strategy: efficiency_cores
`

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantPolicy(t *testing.T, f event.BuildFinished, profile, from, distribution string) {
	t.Helper()
	if p := f.Policy; p == nil || p.Profile != profile || p.From != from || p.Distribution != distribution {
		t.Errorf("the build used %+v, want %s of %s, %s", p, profile, from, distribution)
	}
}

// listed is a line of `profile list --json`.
type listed struct {
	Name, Where, From string
	Holds             bool
}

func holding(all []listed) string {
	for _, p := range all {
		if p.Holds {
			return fmt.Sprintf("%s of the %s by %s", p.Name, p.Where, p.From)
		}
	}
	return "none"
}

func TestProfilesOfAMachine(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 1, "")
	dir := copies(t, 1, "")
	list := func() []listed { return answer[[]listed](t, n, "profile", "list", "-C", dir) }
	if all := list(); len(all) != 4 || holding(all) != "standard of the program by standard" {
		t.Errorf("at first: %+v", all)
	}
	wantPolicy(t, built(t, n, dir, "--force"), "standard", "standard", "smart")

	file := writeFile(t, filepath.Join(t.TempDir(), "x.yaml"), night)
	if made := answer[listed](t, n, "profile", "create", file); made.Name != "night" {
		t.Errorf("created %+v", made)
	}
	if out := ok(t, n, "profile", "show", "night"); !strings.Contains(out, "weights: {performance: 1, locality: 3,") {
		t.Errorf("shown as %s", out)
	} else {
		writeFile(t, file, out)
		ok(t, n, "profile", "create", file) // what is shown is a file
	}
	if used := answer[struct{ Used string }](t, n, "profile", "use", "night"); used.Used != "night" {
		t.Errorf("used: %+v", used)
	}
	if all := list(); len(all) != 5 || holding(all) != "night of the machine by node" {
		t.Errorf("in use: %+v", all)
	}
	f := built(t, n, dir, "--force")
	wantPolicy(t, f, "night", "node", "smart")
	if w := f.Policy.Weights; w == nil || w.Locality != 3 {
		t.Errorf("weights %+v", w)
	}
	if out := ok(t, n, "builds", "show"); !strings.Contains(out, "profile night by profile use: weights: performance 1, locality 3, partition: package, cpu_strategy: efficiency_cores") {
		t.Errorf("shown again: %s", out)
	}
	wantPolicy(t, built(t, n, dir, "--force", "--profile", "speed", "--strategy", "round_robin"), "speed", "flag", "round_robin")
	ok(t, n, "profile", "use", "--none")
	if all := list(); holding(all) != "standard of the program by standard" {
		t.Errorf("no more in use: %+v", all)
	}
}

func TestProfilesOfAProject(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 1, "")
	dir := copies(t, 1, "profile: night\n")
	for _, args := range [][]string{
		{"build", "-C", dir}, {"build", "-C", dir, "--profile", "sped"}, {"build", "-C", dir, "--strategy", "fast"}, {"build", "-C", dir, "--partition", "no"},
		{"profile", "list", "-C", dir}, {"profile", "use", "sped"}, {"profile", "use"}, {"profile", "show", "sped"}, {"profile", "create", filepath.Join(dir, "none.yaml")},
		{"distribute", "--strategy", "fast"}, {"distribute", "--none", "--strategy", "smart"},
	} {
		if status, _, talk := buildnet(n, args...); status != 2 || talk == "" {
			t.Errorf("buildnet %s: status %d, %q", strings.Join(args, " "), status, talk)
		}
	}
	if _, out, _ := buildnet(n, "profile", "list", "-C", dir); !strings.Contains(out, "bandwidth_saver") {
		t.Errorf("where the project's profile is missing the others are not listed: %q", out)
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "x.yaml"), night)
	if made := answer[struct{ Path string }](t, n, "profile", "create", file, "--project", "-C", dir); made.Path != filepath.Join(dir, ".buildnet/profiles/night.yaml") {
		t.Errorf("created %+v", made)
	}
	if all := answer[[]listed](t, n, "profile", "list", "-C", dir); holding(all) != "night of the project by project" {
		t.Errorf("%+v", all)
	}
	f := built(t, n, dir)
	wantPolicy(t, f, "night", "project", "smart")
	if rec, err := n.Client.Recording(t.Context(), f.Build); err != nil || rec.Modes.Jobs != 1 || rec.Modes.Policy == nil || rec.Modes.Policy.Partition != "package" {
		t.Errorf("recorded: %+v, %v", rec.Modes, err)
	}
	writeFile(t, filepath.Join(dir, ".buildnet/profiles/night.yaml"), "version: 1\nname: night\nspeed: 3\n")
	if status, _, talk := buildnet(n, "build", "-C", dir, "--force"); status != 2 || !strings.Contains(talk, `night.yaml:3:1: speed: unknown key "speed"`) {
		t.Errorf("a profile with a fault: status %d, %q", status, talk)
	}
	if f := built(t, n, dir, "--profile", "standard"); f.Tier != event.InstantSkip {
		t.Errorf("a profile changes nothing that was built: %+v", f)
	}
}

// meshProfile is the answer of `distribute --json`.
type meshProfile struct {
	Mesh *struct {
		Profile struct{ Name, Distribution string }
		By      string
	}
}

func TestTheMeshHasAProfile(t *testing.T) {
	t.Parallel()
	nodes := nodetest.Mesh(t, 2, 1)
	a, b := nodes[0], nodes[1]
	dir := copies(t, 1, "")
	if got := answer[meshProfile](t, a, "distribute"); got.Mesh != nil {
		t.Errorf("at first: %+v", got.Mesh)
	}
	if got := answer[meshProfile](t, a, "distribute", "--strategy", "locality"); got.Mesh == nil || got.Mesh.Profile.Distribution != "locality" {
		t.Errorf("laid down: %+v", got)
	}
	wantPolicy(t, built(t, b, dir), "standard", "mesh", "locality")
	if out := ok(t, b, "distribute"); !strings.Contains(out, "distribution: locality") || !strings.Contains(out, "set by ") {
		t.Errorf("shown on the other: %s", out)
	}
	token := strings.TrimSpace(ok(t, a, "mesh", "invite"))
	late := nodetest.Start(t, 1, token)
	if all := answer[[]listed](t, late, "profile", "list", "-C", dir); holding(all) != "standard of the mesh by mesh" {
		t.Errorf("who comes late: %+v", all)
	}
	ok(t, b, "distribute", "--profile", "cost_optimized")
	wantPolicy(t, built(t, a, dir, "--force"), "cost_optimized", "mesh", "least_loaded")
	ok(t, a, "profile", "use", "standard")
	wantPolicy(t, built(t, a, dir, "--force"), "standard", "node", "smart")
	ok(t, a, "distribute", "--none")
	if got := answer[meshProfile](t, b, "distribute"); got.Mesh != nil {
		t.Errorf("taken back: %+v", got.Mesh)
	}
}

func TestBandwidthSaverAsksNobody(t *testing.T) {
	t.Parallel()
	n := nodetest.Mesh(t, 2, 1)[0]
	dir := copies(t, 6, "")
	// A busy machine may need longer to name its tools than one build takes.
	shared := false
	for try := 0; try < 3 && !shared; try++ {
		shared = built(t, n, dir, "--force").RunRemote > 0
	}
	if !shared {
		t.Error("standard: nothing ran on the other, three times")
	}
	f := built(t, n, dir, "--force", "--profile", "bandwidth_saver")
	if f.RunRemote != 0 || f.RunLocal != 6 || f.BytesIn != 0 || f.LocalReasons["cpu_strategy of profile bandwidth_saver"] != 6 {
		t.Errorf("bandwidth_saver: %+v", f)
	}
}

// large is a project whose steps make 100 KiB each, of which no two are alike.
func large(t *testing.T, steps int) string {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: large
    steps:
      - foreach: "*.txt"
        run: "sleep 1; seq 4000 | sed \"s/^/$(cat {in}) /\" > {outputs}"
        outputs: ["out/{stem}"]
`}
	for i := range steps {
		files[fmt.Sprintf("%d.txt", i)] = fmt.Sprintf("%d of some text that is long", i)
	}
	return nodetest.Tree(t, files)
}

// results are those that the node's cache has for others.
func results(t *testing.T, n *nodetest.Node) int {
	t.Helper()
	return answer[struct{ Actions int }](t, n, "cache", "stats").Actions
}

// own keeps a profile of one key on a node.
func own(t *testing.T, n *nodetest.Node, name, key string) {
	t.Helper()
	ok(t, n, "profile", "create", writeFile(t, filepath.Join(t.TempDir(), "p.yaml"), "version: 1\nname: "+name+"\n"+key+"\n"))
}

func TestCachePoliciesAndStoragePreferences(t *testing.T) {
	t.Parallel()
	const steps = 4
	nodes := nodetest.Mesh(t, 2, 1)
	a, b := nodes[0], nodes[1]
	dir := large(t, steps)
	for name, key := range map[string]string{"quiet": "cache_policy: minimal", "deaf": "cache_policy: aggressive_local", "thrifty": "storage_preference: cheapest", "near": "storage_preference: local"} {
		own(t, a, name, key)
	}
	emptied := func() {
		ok(t, a, "cache", "clear")
		ok(t, b, "cache", "clear")
	}
	remade := func(args ...string) event.BuildFinished {
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		return built(t, a, dir, args...)
	}

	// minimal: nobody else gets the results, and they are known here.
	if f := remade("--profile", "quiet"); f.Executed != steps || results(t, a)+results(t, b) != 0 {
		t.Errorf("minimal: %d executed, %d and %d results are for others", f.Executed, results(t, a), results(t, b))
	}
	if f := remade("--profile", "quiet"); f.Executed != 0 || f.CachedLocal != steps {
		t.Errorf("minimal, again: %+v", f)
	}
	emptied()

	// standard: the owners have the results; aggressive_local does not ask them.
	if f := remade(); f.Executed != steps || results(t, b) != steps {
		t.Errorf("standard: %d executed, %d results are with the other", f.Executed, results(t, b))
	}
	ok(t, a, "cache", "clear")
	if f := remade("--profile", "deaf"); f.Executed != steps {
		t.Errorf("aggressive_local: %+v", f)
	}
	ok(t, a, "cache", "clear")
	if f := remade(); f.Executed == steps { // an owner that is slow to answer is not waited for
		t.Errorf("standard, known to the other: %+v", f)
	}
	emptied()

	// cheapest: what the other made is not here, but comes back from there.
	f := remade("--profile", "thrifty")
	if f.RunRemote == 0 {
		t.Fatalf("nothing ran on the other: %+v", f)
	}
	if f := remade("--profile", "thrifty"); f.Executed != 0 || f.BytesIn < 100<<10 {
		t.Errorf("cheapest, again: %+v", f)
	}
	emptied()

	// local: all of it is here, and the other has forgotten what it made.
	if f := remade("--profile", "near"); f.RunRemote == 0 {
		t.Fatalf("nothing ran on the other: %+v", f)
	}
	if f := remade("--profile", "near"); f.Executed != 0 || f.BytesIn > 100<<10 {
		t.Errorf("local, again: %+v", f)
	}
}
