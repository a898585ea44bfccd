package remote_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	nodeexec "github.com/buildnet/buildnet/node/exec"

	"github.com/buildnet/buildnet/node/compile/remote"
)

// graph is files that commands of a graph work on.
var graph = map[string]string{
	"in/a.txt": "a\n", "in/b.txt": "b\n", "gen.sh": "#!/bin/sh\ntr a-z A-Z < \"$1\"\n", "uses.sh": "#!/bin/sh\n. in/settings\necho $X\n", "in/settings": "X=1\n", "w/keep": "",
	"names": "in/a.txt in/b.txt",
}

// declared is a request of a graph.
func (b *bench) declared(command, inputs, outputs string) remote.Request {
	r := b.request(command)
	r.Inputs, r.Outputs = strings.Fields(inputs), strings.Fields(outputs)
	return r
}

// trusting has a desk that trusts the commands of patterns. What is installed is
// not looked at: it takes a minute.
func (b *bench) trusting(patterns ...string) {
	b.Helper()
	b.trusted = patterns
	b.do(os.Chmod(filepath.Join(b.dir, "gen.sh"), 0o755))
	b.do(os.Chmod(filepath.Join(b.dir, "uses.sh"), 0o755))
	b.fresh()
}

// ofGraph prepares a request and runs it in a sandbox.
func (b *bench) ofGraph(e *nodeexec.Executor, r remote.Request) (*remote.Prepared, remote.Outcome) {
	b.Helper()
	p, err := b.desk.Prepare(b.Context(), r)
	b.do(err)
	if len(p.Local) > 0 {
		return p, remote.Outcome{}
	}
	o, err := b.desk.Finish(b.Context(), p, p.Action, b.sandboxed(e, p))
	b.do(err)
	return p, o
}

func TestCommandsOfAGraphRunElsewhereByLeave(t *testing.T) {
	b := newBench(t, graph)
	b.trusting("cat", "sh *gen.sh", "gen.sh", "cp *")
	e := worker(t, b)
	for name, tc := range map[string]struct{ command, inputs, outputs string }{
		"Program":     {"cp in/a.txt w/out", "in/a.txt", "w/out"},
		"Several":     {": && cp in/a.txt w/one && cp in/b.txt w/two", "in/a.txt in/b.txt", "w/one w/two"},
		"Script":      {"./gen.sh in/a.txt > w/out", "gen.sh in/a.txt", "w/out"},
		"Interpreted": {"sh gen.sh in/a.txt >w/out 2>&1", "gen.sh in/a.txt", "w/out"},
		"InDirectory": {"cd in && cp a.txt ../w/out", "in/a.txt", "w/out"},
		"NotThere":    {"cp in/a.txt w/out", "in/a.txt phony", "w/out"},
	} {
		p, o := b.ofGraph(e, b.declared(tc.command, tc.inputs, tc.outputs))
		if len(p.Local) > 0 || o.Suspect != "" || p.Work != remote.Declared {
			t.Errorf("%s: local %q, suspect %q, %v", name, p.Local, o.Suspect, p.Work)
			continue
		}
		got := b.taken(strings.Fields(tc.outputs))
		if err := (ran{string(o.Said), o.ExitCode, got}).equal(b.plainly(tc.command, strings.Fields(tc.outputs))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, command := range []string{"mv in/a.txt w/out", "cp in/a.txt w/out && mv w/out w/o", "sh other.sh", "cp in/a.txt w/out | cat", "cp $X w/out", "cp in/a.txt w/out & cp in/a.txt w/out"} {
		if _, err := b.desk.Prepare(t.Context(), b.declared(command, "in/a.txt", "w/out")); !errors.Is(err, remote.ErrNotCompiler) {
			t.Errorf("%s is trusted: %v", command, err)
		}
	}
	b.trusting()
	if _, err := b.desk.Prepare(t.Context(), b.declared("cp in/a.txt w/out", "in/a.txt", "w/out")); !errors.Is(err, remote.ErrNotCompiler) {
		t.Errorf("it is trusted by itself: %v", err)
	}
}

func TestDeclarationsThatAreNotEnoughSayWhy(t *testing.T) {
	b := newBench(t, graph)
	b.trusting("cp", "*gen.sh")
	for name, tc := range map[string]struct{ command, inputs, outputs, why string }{
		"Directory":   {"cp -r in w/out", "in", "w/out", "is a directory"},
		"OwnProgram":  {"./gen.sh in/a.txt", "in/a.txt", "w/out", "it runs ./gen.sh"},
		"InPlace":     {"cp in/a.txt in/b.txt", "in/a.txt in/b.txt", "in/b.txt", "which it writes"},
		"NoDirectory": {"cp in/a.txt nowhere/out", "in/a.txt", "nowhere/out", "directory of its output"},
	} {
		p, err := b.desk.Prepare(t.Context(), b.declared(tc.command, tc.inputs, tc.outputs))
		b.do(err)
		if !says(p.Local, tc.why) {
			t.Errorf("%s: %q, want one with %q", name, p.Local, tc.why)
		}
	}
}

// A command that wants a file which is not declared is for this machine from
// then on, and says which file it is.
func TestWhatIsNotDeclaredIsRemembered(t *testing.T) {
	b := newBench(t, graph)
	b.trusting("cp", "sh")
	e := worker(t, b)
	wants := b.declared("cp in/a.txt in/b.txt w", "in/a.txt", "w/a.txt w/b.txt")
	if _, o := b.ofGraph(e, wants); !strings.Contains(o.Suspect, "in/b.txt") {
		t.Fatalf("believed: %+v", o)
	}
	b.do(b.desk.Save(t.Context()))
	b.fresh()
	b.write("in/a.txt", "changed\n")
	b.begin()
	p, err := b.desk.Prepare(t.Context(), wants)
	b.do(err)
	if !says(p.Local, "it reads in/b.txt, which the graph does not declare") {
		t.Errorf("it is forgotten: %q", p.Local)
	}
	wants.Inputs = append(wants.Inputs, "in/b.txt")
	if p, o := b.ofGraph(e, wants); len(p.Local) > 0 || o.Suspect != "" {
		t.Errorf("once it is declared: local %q, suspect %q", p.Local, o.Suspect)
	}

	fails := b.declared("sh gen.sh in/none", "gen.sh in/a.txt", "w/out")
	if _, o := b.ofGraph(e, fails); o.Suspect == "" {
		t.Fatal("a failure is believed")
	}
	if p, _ := b.desk.Prepare(t.Context(), fails); !says(p.Local, "as before") {
		t.Errorf("with the same inputs: %q", p.Local)
	}
	b.write("in/a.txt", "changed again\n")
	b.begin()
	if p, _ := b.desk.Prepare(t.Context(), fails); len(p.Local) > 0 {
		t.Errorf("with others: %q", p.Local)
	}
}
