package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/nodetest"
)

// programEnv makes the test binary the program itself.
const programEnv = "BUILDNET_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// live is a mesh of two processes of the program, and a project.
type live struct {
	t         *testing.T
	homes     [2]string
	project   string
	build     string   // one that was made
	exercised []string // the commands that were run, without buildnet
}

// command runs a command with --json against one of the nodes.
func (l *live) command(node int, out io.Writer, args ...string) (status int, talk string) {
	var t bytes.Buffer
	all := append([]string{"--home", l.homes[node]}, args...)
	status = cli.Run(context.Background(), append(all, "--json"), cli.System{
		Stdout: out, Stderr: &t, Environ: append(os.Environ(), programEnv+"=1"), Start: startNode, Executable: os.Args[0],
	})
	return status, t.String()
}

// run runs a command with --json against one of the nodes and returns what it
// wrote: one JSON value a line.
func (l *live) run(node int, args ...string) []map[string]any {
	l.t.Helper()
	var out bytes.Buffer
	if status, talk := l.command(node, &out, args...); status != 0 {
		l.t.Fatalf("buildnet %s: status %d\n%s%s", strings.Join(args, " "), status, &out, talk)
	}
	var values []map[string]any
	for line := range strings.Lines(out.String()) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			l.t.Fatalf("buildnet %s: %v in %q", strings.Join(args, " "), err, line)
		}
		switch v := v.(type) {
		case map[string]any:
			values = append(values, v)
		case []any:
			for _, one := range v {
				if object, is := one.(map[string]any); is {
					values = append(values, object)
				}
			}
		}
	}
	l.exercised = append(l.exercised, strings.Join(args, " "))
	return values
}

// has checks that a value of an answer has a field that is not empty, and
// returns it as text.
func (l *live) has(values []map[string]any, field string) string {
	l.t.Helper()
	for _, v := range values {
		if found, there := v[field]; there && found != nil && found != "" {
			text, _ := found.(string)
			return text
		}
	}
	l.t.Errorf("after buildnet %s: no %q in %v", l.exercised[len(l.exercised)-1], field, values)
	return ""
}

// up starts a node as a process of its own.
func (l *live) up(node int, args ...string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.homes[node], "node.yaml"), []byte("share_reduced: true\nyield: off\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.command(node, &bytes.Buffer{}, "node", "down") }) // where the test ends early
	l.has(l.run(node, append([]string{"node", "up", "--detach", "--slots", "1", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"}, args...)...), "peer")
}

// commands are the program's that do something, as its help lists them.
func commands(t *testing.T, above ...string) (all []string) {
	t.Helper()
	var out bytes.Buffer
	cli.Run(t.Context(), append(slices.Clone(above), "--help"), cli.System{Stdout: &out, Stderr: &out})
	_, list, holds := strings.Cut(out.String(), "\nCommands:\n")
	if !holds {
		return []string{strings.Join(above, " ")}
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, name := range regexp.MustCompile(`(?m)^  ([a-z]+)`).FindAllStringSubmatch(list, -1) {
		all = append(all, commands(t, append(slices.Clone(above), name[1])...)...)
	}
	return all
}

func TestEveryCommandWorksOnALiveMesh(t *testing.T) {
	l := &live{t: t, homes: [2]string{t.TempDir(), t.TempDir()}, project: nodetest.Tree(t, map[string]string{
		".buildnet/config.yaml": "version: 1\npackages:\n  - name: p\n    steps:\n      - {foreach: \"*.txt\", run: \"cp {in} {outputs}\", outputs: [\"out/{stem}\"]}\n",
		"1.txt":                 "one", "2.txt": "two",
	})}
	l.up(0, "--mesh", "live")
	down := func(node int) { l.has(l.run(node, "node", "down"), "peer") }
	l.up(1, "--join", l.has(l.run(0, "mesh", "invite"), "token"))
	l.builds()
	l.compiler()
	l.profiles()
	l.queue()
	l.rest()
	l.resume()
	down(1)
	l.has(l.run(0, "mesh", "revoke", l.other()), "peer")
	l.has(l.run(0, "mesh", "leave"), "mesh")
	down(0)
	for _, command := range commands(t) {
		if !slices.ContainsFunc(l.exercised, func(args string) bool { return args == command || strings.HasPrefix(args, command+" ") }) {
			t.Errorf("buildnet %s is not run against a live mesh", command)
		}
	}
}

// other is the peer of the other node.
func (l *live) other() string {
	l.t.Helper()
	for _, m := range l.run(0, "node", "ls") {
		if m["self"] == false {
			peer, _ := m["peer"].(string)
			return peer
		}
	}
	l.t.Fatal("the first node knows no other")
	return ""
}

// last is the last event of a build.
func (l *live) last(events []map[string]any) map[string]any {
	l.t.Helper()
	if len(events) == 0 || events[len(events)-1]["event"] != "build.finished" || events[len(events)-1]["ok"] != true {
		l.t.Fatalf("after buildnet %s: %v", l.exercised[len(l.exercised)-1], events)
	}
	return events[len(events)-1]
}

func (l *live) builds() {
	l.t.Helper()
	l.build, _ = l.last(l.run(0, "build", "-C", l.project))["build"].(string)
	policy, _ := l.last(l.run(0, "build", "-C", l.project, "--force", "--strategy", "round_robin", "--profile", "speed", "--partition", "package"))["policy"].(map[string]any)
	if policy["profile"] != "speed" || policy["distribution"] != "round_robin" || policy["partition"] != "package" {
		l.t.Errorf("the build went by %v", policy)
	}
	l.has(l.run(0, "builds"), "summary")
	shown := l.run(0, "builds", "show", l.build)
	l.has(shown, "events")
	events, _ := shown[0]["events"].([]any)
	for _, e := range events {
		if step, _ := e.(map[string]any)["step"].(string); step != "" {
			l.has(l.run(0, "explain", "-C", l.project, step), "build")
			break
		}
	}
	l.has(l.run(0, "sim", "replay", l.build, "--seeds", "1"), "steps")
	l.last(l.run(1, "builds", "attach", l.build, "--output-dir", filepath.Join(l.t.TempDir(), "rescued")))
}

// compiler has a process of the program be a compiler.
func (l *live) compiler() {
	l.t.Helper()
	dir := nodetest.Tree(l.t, map[string]string{"a.c": "int a;\n"})
	c := exec.Command(os.Args[0], "--home", l.homes[0], "cc", "gcc", "-c", "a.c")
	c.Dir, c.Env = dir, append(os.Environ(), programEnv+"=1")
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		l.t.Fatalf("buildnet cc: %v, %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.o")); err != nil {
		l.t.Error(err)
	}
	newest := l.run(0, "builds", "show")
	l.has(newest, "events")
	if root, _ := newest[0]["root"].(string); root != dir {
		l.t.Errorf("the newest build is of %s, want %s", root, dir)
	}
	l.exercised = append(l.exercised, "cc gcc -c a.c")
}

// resume kills a node under a build and goes on with that.
func (l *live) resume() {
	l.t.Helper()
	dir := nodetest.Tree(l.t, map[string]string{
		".buildnet/config.yaml": "version: 1\npackages:\n  - name: p\n    steps:\n      - {foreach: \"*.txt\", run: \"sleep 0.6; cp {in} {outputs}\", outputs: [\"out/{stem}\"]}\n",
		"1.txt":                 "one", "2.txt": "two",
	})
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		status, _ := l.command(1, w, "build", "-C", dir, "--local")
		_ = w.Close()
		ended <- status
	}()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), `{"event":"step.finished"`) {
			pid, _ := l.run(1, "node", "status")[0]["pid"].(float64)
			if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil || pid < 2 {
				l.t.Fatalf("kill process %v: %v", pid, err)
			}
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if status := <-ended; status != 3 {
		l.t.Errorf("a build whose node is killed ends with %d", status)
	}
	l.up(1)
	if f := l.last(l.run(1, "build", "-C", dir, "--resume")); f["steps"] != 2. || f["policy"] == nil {
		l.t.Errorf("resumed: %v", f)
	}
}

func (l *live) profiles() {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "night.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nname: night\ncpu_strategy: local_only\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.has(l.run(0, "profile", "create", file), "name")
	l.has(l.run(0, "profile", "show", "night"), "cpu_strategy")
	l.has(l.run(0, "profile", "use", "night"), "used")
	l.has(l.run(0, "profile", "list", "-C", l.project), "from")
	if l.last(l.run(0, "build", "-C", l.project, "--force"))["run_remote"] != 0. {
		l.t.Error("with local_only a step ran on the other node")
	}
	l.run(0, "profile", "use", "--none")
	l.has(l.run(1, "distribute", "--strategy", "locality"), "mesh")
	l.run(1, "distribute", "--none")
}

func (l *live) queue() {
	l.t.Helper()
	if dead := l.run(0, "queue", "dead"); len(dead) > 0 {
		l.t.Errorf("given up: %v", dead)
	}
	l.run(0, "queue", "retry", "--all")
}

func (l *live) rest() {
	l.t.Helper()
	if lent := l.run(1, "node", "set", "--share", "0.5", "--yield", "on"); lent[0]["share"] != 0.5 || lent[0]["yield"] != true {
		l.t.Errorf("lent: %v", lent)
	}
	l.has(l.run(1, "node", "status"), "lent")
	l.has(l.run(0, "cache", "stats"), "max_bytes")
	l.has(l.run(0, "cache", "verify"), "blobs")
	l.has(l.run(0, "cache", "clear"), "bytes")
	l.has(l.run(0, "sim", "list"), "name")
	l.has(l.run(0, "sim", "run", "leader-dies"), "runs")
	l.has(l.run(0, "version"), "version")
}
