//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

// failing has a step that fails loudly, one behind it, and one of its own.
const failing = `version: 1
packages:
  - name: part
    steps:
      - run: "for i in $(seq 3000); do echo line $i of its output; done; echo to stderr >&2; exit 7"
        inputs: [in.txt]
        outputs: [loud.txt]
      - run: "cat loud.txt > behind.txt"
        inputs: [loud.txt]
        outputs: [behind.txt]
      - run: "sleep 1; cat in.txt > other.txt"
        inputs: [in.txt]
        outputs: [other.txt]
`

// TestFailingStep checks what a user is told of a step that fails, on any
// machine.
func TestFailingStep(t *testing.T) {
	l := New(t)
	hosts, _ := Mesh(t, l, 2, 0.6, "--slots", "2")
	dir := filepath.Join(hosts[0].Dir, "failing")
	WriteTree(t, dir, map[string]string{".buildnet/config.yaml": failing, "in.txt": "x\n"})

	o := hosts[0].Buildnet("build", "-C", dir, "part:loud.txt")
	text := o.Stdout + o.Stderr
	if o.Exit != 1 {
		t.Errorf("exit status %d", o.Exit)
	}
	if !regexp.MustCompile(`FAILED: part:loud.txt on h[12]`).MatchString(text) {
		t.Errorf("the step or its peer is not named: %.300s", text)
	}
	for _, want := range []string{"exit 7", "for i in $(seq 3000)", "to stderr"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told: %.300s", want, text)
		}
	}
	wholeOutput(t, text)
	again := regexp.MustCompile(`buildnet (builds show \S+)`).FindStringSubmatch(text)
	if again == nil {
		t.Fatalf("it is not told how to see it again: %.300s", text)
	}
	o = hosts[0].Buildnet(strings.Fields(again[1])...)
	if o.Exit != 0 {
		t.Errorf("%s: exit status %d: %s", again[1], o.Exit, o.Stderr)
	}
	wholeOutput(t, o.Stdout+o.Stderr)

	b := hosts[0].Start(dir, "--keep-going")
	if status := b.Wait(); status != 1 {
		t.Errorf("--keep-going: exit status %d: %s", status, b.Stderr())
	}
	if f := b.Finished(); f.OK || f.Failed != 1 || f.NotRun != 1 || f.Executed != 1 {
		t.Errorf("--keep-going: %+v", f)
	}
	// A failure is nobody's result: it is executed again.
	if b = hosts[1].Start(copyOf(t, dir, hosts[1]), "part:loud.txt"); b.Wait() != 1 || b.Finished().Failed != 1 {
		t.Errorf("on the other host: %+v", b.Finished())
	}
}

func wholeOutput(t *testing.T, text string) {
	t.Helper()
	for i := 1; i <= 3000; i++ {
		if !strings.Contains(text, fmt.Sprintf("line %d of its output\n", i)) {
			t.Errorf("line %d of the step's output is missing", i)
			return
		}
	}
}

// copyOf copies a working tree to another host.
func copyOf(t *testing.T, dir string, h *Host) string {
	t.Helper()
	to := filepath.Join(h.Dir, "copy-of-"+filepath.Base(dir))
	if out, err := run("cp", "-a", dir, to); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// TestMissingOutput checks that a step that does not make what it declares
// fails and says which.
func TestMissingOutput(t *testing.T) {
	h := New(t).Host(0.6)
	h.Up()
	dir := filepath.Join(h.Dir, "missing")
	WriteTree(t, dir, map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: part
    sources: [in.txt]
    build_cmd: "echo made > made.txt"
    outputs: [made.txt, forgotten.txt, also/forgotten.txt]
`, "in.txt": "x\n"})
	b := h.Start(dir)
	if status := b.Wait(); status != 1 {
		t.Errorf("exit status %d: %s", status, b.Stderr())
	}
	told := ""
	b.Until(func(e event.Event) bool {
		f, ok := e.(event.StepFinished)
		if ok && f.Failure != nil {
			told = f.Failure.Message
		}
		return false
	})
	if !strings.Contains(told, "forgotten.txt") || !strings.Contains(told, "also/forgotten.txt") || strings.Contains(told, "made.txt,") {
		t.Errorf("told %q", told)
	}
	if _, err := os.Stat(filepath.Join(dir, "made.txt")); !os.IsNotExist(err) {
		t.Errorf("an output of a step that failed is in the tree: %v", err)
	}
}

// TestBadConfiguration checks that all faults are told at once, and nothing is
// built.
func TestBadConfiguration(t *testing.T) {
	h := New(t).Host(0.6)
	h.Up()
	for name, bad := range map[string]struct {
		config string
		want   []string
	}{
		"many": {`version: 1
packages:
  - name: good
    build_cmd: "echo built > good.txt"
    sources: [in.txt]
    outputs: [good.txt]
    colour: red
  - name: a
    dependencies: [b]
    build_cmd: "true"
    sources: [in.txt]
  - name: b
    dependencies: [c]
    build_cmd: "true"
    sources: [in.txt]
  - name: c
    dependencies: [a]
    build_cmd: "true"
    sources: [in.txt]
`, []string{"colour", "a -> b -> c -> a"}},
		"tree": {`version: 1
packages:
  - name: good
    sources: [in.txt]
    build_cmd: "echo built > good.txt"
    outputs: [good.txt]
  - name: twice
    sources: [in.txt]
    build_cmd: "echo built > good.txt"
    outputs: [good.txt]
  - name: missing
    sources: [absent.txt]
    build_cmd: "true"
  - name: nothing
    sources: ["*.none"]
    build_cmd: "true"
  - name: outside
    sources: [in.txt]
    build_cmd: "true"
    outputs: [../outside.txt]
  - name: leaves
    sources: [away]
    build_cmd: "true"
`, []string{"good.txt", "absent.txt", "*.none", "../outside.txt", "away"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(h.Dir, name)
			WriteTree(t, dir, map[string]string{".buildnet/config.yaml": bad.config, "in.txt": "x\n"})
			if err := os.Symlink("../../elsewhere", filepath.Join(dir, "away")); err != nil {
				t.Fatal(err)
			}
			o := h.Buildnet("build", "-C", dir)
			if o.Exit != 2 {
				t.Errorf("exit status %d: %s", o.Exit, o.Stderr)
			}
			for _, want := range bad.want {
				if !regexp.MustCompile(`config\.yaml:\d+.*` + regexp.QuoteMeta(want)).MatchString(o.Stdout + o.Stderr) {
					t.Errorf("no line tells of %q:\n%s%s", want, o.Stdout, o.Stderr)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "good.txt")); !os.IsNotExist(err) {
				t.Errorf("something was built: %v", err)
			}
		})
	}
}
