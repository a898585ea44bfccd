package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/ninja"
)

// ninjaTree is a directory with a build.ninja: two compiles and a link.
func ninjaTree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.c": "a\n", "b.c": "b\n",
		"build.ninja": "rule cc\n  command = cat $in > $out && echo compiled $out\nrule link\n  command = cat $in > $out\n" +
			"build a.o: cc a.c\nbuild b.o: cc b.c\nbuild all: link a.o b.o\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// onPeer runs compiles as if on another machine, and has links run by the client.
func onPeer(ctx context.Context, c api.Command) (api.CommandResult, error) {
	if c.Name == "all" {
		return api.CommandResult{Local: []string{"links are not looked into"}}, nil
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.Shell)
	cmd.Dir = c.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return api.CommandResult{}, err
	}
	return api.CommandResult{How: event.Executed, Peer: "peer-two", RunMS: 1500, Output: out}, nil
}

// asked are what the node was asked for, of one type.
func asked[T any](m *machine) (all []T) {
	for _, q := range m.node.Asked() {
		if one, ok := q.(T); ok {
			all = append(all, one)
		}
	}
	return all
}

func TestCommandsOfAManifestGoToTheNode(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = onPeer
	m.up()
	r := m.run("build", "-C", dir, "--profile", "speed", "-j", "7")
	r.want(t, 0, "compiled a.o\n", "")
	if !strings.Contains(r.out, "[3/3] cat a.o b.o > all\n") || r.talked != "" {
		t.Errorf("says %s and %s", r.out, r.talked)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "all")); err != nil || string(text) != "a\nb\n" {
		t.Errorf("made %q, %v", text, err)
	}
	begun := asked[api.InvocationRequest](m)
	if len(begun) != 1 || begun[0].Client != "ninja" || begun[0].Root != dir || begun[0].Jobs != 7 || begun[0].Profile != "speed" || !slices.Equal(begun[0].Env, []string{"A=1", "B=x=y"}) {
		t.Errorf("begun %+v", begun)
	}
	for _, c := range asked[api.Command](m) {
		if c.Dir != dir || c.Shell == "" || c.Why == "" || len(c.Outputs) != 1 || c.Name != "all" && c.Rank == 0 {
			t.Errorf("a command is %+v", c)
		}
	}
	if ends := asked[api.InvocationEnd](m); !slices.Equal(ends, []api.InvocationEnd{{OK: true}}) {
		t.Errorf("ends %+v", ends)
	}
	before := len(m.node.Asked())
	if again := m.run("build", "-C", dir); again.out != "ninja: Entering directory `"+dir+"'\nninja: no work to do.\n" || len(m.node.Asked()) != before {
		t.Errorf("with nothing to do: %s, asked %v", again.out, m.node.Asked()[before:])
	}
}

// The node is told of commands that failed here, of which it would know nothing.
func TestFailuresHereAreTold(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = func(context.Context, api.Command) (api.CommandResult, error) {
		return api.CommandResult{Local: []string{"no"}, Step: "a step,\n of ours"}, nil
	}
	m.up()
	if err := os.Remove(filepath.Join(dir, "a.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "a.c"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.run("build", "-C", dir, "-j1").want(t, 1, "Is a directory", "")
	failed := asked[api.CommandFailure](m)
	if len(failed) != 1 || failed[0].Step != "a step,\n of ours" || failed[0].ExitCode != 1 || !strings.Contains(failed[0].Output, "Is a directory") {
		t.Errorf("told %+v", failed)
	}
}

// A command of which a node cannot hear runs here, and the others where they did.
func TestACommandThatIsTooLongForTheNode(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = func(ctx context.Context, c api.Command) (api.CommandResult, error) {
		if c.Local != "" {
			return api.CommandResult{Local: []string{c.Local}}, nil
		}
		return onPeer(ctx, c)
	}
	m.up()
	name := strings.Repeat("x", 200)
	var inputs strings.Builder
	for i := range api.MaxCommand / len(name) {
		fmt.Fprintf(&inputs, " %s%d", name, i)
	}
	file, err := os.OpenFile(filepath.Join(dir, "build.ninja"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(file, "rule count\n  command = echo counted > $out\nbuild many: phony%s\nbuild%s: phony\nbuild long: count | many%s\n", inputs.String(), inputs.String(), inputs.String())
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	r := m.run("build", "-C", dir, "long", "all")
	r.want(t, 0, "compiled a.o\n", "")
	if strings.Contains(r.talked, "runs on this machine") {
		t.Errorf("says %s", r.talked)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "long")); err != nil || string(text) != "counted\n" {
		t.Errorf("made %q, %v", text, err)
	}
}

func TestAManifestAsJSON(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = onPeer
	m.up()
	kinds := func(r ran) (all []string) {
		for line := range strings.Lines(r.out) {
			var e struct{ Event string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %s", err, r.out)
			}
			all = append(all, e.Event)
		}
		return all
	}
	want := []string{"build.started", "build.finished"}
	if got := kinds(m.run("build", "-C", dir, "--json")); !slices.Equal(got, want) { // this fake node tells of no steps
		t.Errorf("events %v", got)
	}
	r := m.run("build", "-C", dir, "--json")
	if got := kinds(r); !slices.Equal(got, want) || !strings.Contains(r.out, `"tier":"instant-skip"`) {
		t.Errorf("with nothing to do: %s", r.out)
	}
}

// TestAManifestWithoutANode covers a node that cannot be started: the build goes
// on here, with events of its own.
func TestAManifestWithoutANode(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.start = func(cli.NodeConfig) (cli.Node, error) { return nil, errors.New("no socket can be made") }
	r := m.run("build", "-C", dir, "--json", "-j1")
	r.want(t, 0, `{"event":"step.output","build":"","step":"a.o","output":"compiled a.o\n"}`, "ninja: warning: all runs on this machine: no socket can be made\n")
	r.want(t, 0, `"run_local":3`, "")
	r.want(t, 0, `"here":["no node"]`, "")
	if err := os.Remove(filepath.Join(dir, "a.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "a.c"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.run("build", "-C", dir, "--why-local").want(t, 1, "FAILED: incremental, 1 step: 1 failed", "")
	m.run("build", "-C", dir, "--why-local").want(t, 1, "1 of 1 step ran here:\na.o  no node\n", "")
	m.run("build", "-C", dir, "--why-local", "--json").want(t, 2, "", "--why-local is for people")
	m.run("build", "-C", dir, "--trace", filepath.Join(dir, "no", "such")).want(t, 2, "", "--trace: open")
	m.run("build", "-C", dir, "-t", "targets", "--json").want(t, 2, "", "leave --json")
}

func TestWhatHasNotBegunIsWithdrawnAfterAFailure(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	manifest := "rule cc\n  command = touch $out\nbuild bad: cc\nbuild waits: cc\nbuild after: cc bad\n"
	if err := os.WriteFile(filepath.Join(dir, "build.ninja"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	m.node.OnCommand = func(ctx context.Context, c api.Command) (api.CommandResult, error) {
		if c.Name == "waits" {
			close(waiting)
			<-ctx.Done()
			return api.CommandResult{}, ctx.Err()
		}
		<-waiting
		return api.CommandResult{How: event.Executed, Peer: "peer-two", ExitCode: 3}, nil
	}
	m.up()
	r := m.run("build", "-C", dir, "-j", "2")
	r.want(t, 1, "[1/3] touch bad\nFAILED: bad \ntouch bad\nninja: build stopped: subcommand failed.\n", "")
	if ends := asked[api.InvocationEnd](m); !slices.Equal(ends, []api.InvocationEnd{{NotRun: 1}}) {
		t.Errorf("ends %+v", ends)
	}
}

func TestAnInterruptOfAManifestIsTold(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = func(ctx context.Context, _ api.Command) (api.CommandResult, error) {
		select {
		case m.signals <- os.Interrupt:
		default:
		}
		<-ctx.Done()
		return api.CommandResult{}, ctx.Err()
	}
	m.up()
	m.run("build", "-C", dir).want(t, 130, "interrupted", "interrupted")
	if ends := asked[api.InvocationEnd](m); len(ends) != 1 || !ends[0].Cancelled || ends[0].NotRun != 3 {
		t.Errorf("ends %+v", ends)
	}
}

// TestNinjaUsesANodeThatRuns covers the program under the name of ninja: it
// starts no node, and says nothing of there being none.
func TestNinjaUsesANodeThatRuns(t *testing.T) {
	m, dir := newMachine(t), ninjaTree(t)
	m.node.OnCommand = onPeer
	build := func() string {
		var out, talk strings.Builder
		w := ninja.World{Dir: dir, Stdout: &out, Stderr: &talk, Runner: ninja.Local{Dir: dir}}
		w.Elsewhere = cli.NodeThatRuns([]string{"A=1"})
		if code := ninja.Run(t.Context(), ninja.Defaults(), w); code != 0 || talk.Len() > 0 {
			t.Errorf("exit %d, says %s", code, &talk)
		}
		return out.String()
	}
	build()
	if len(m.node.Asked()) > 0 {
		t.Errorf("asked %v", m.node.Asked())
	}
	m.up()
	if err := os.Remove(filepath.Join(dir, "a.o")); err != nil {
		t.Fatal(err)
	}
	out := build()
	if ran := asked[api.Command](m); len(ran) != 2 || len(asked[api.InvocationEnd](m)) != 1 || !strings.HasSuffix(out, "[2/2] cat a.o b.o > all\n") {
		t.Errorf("%d commands, says %s", len(ran), out)
	}
}
