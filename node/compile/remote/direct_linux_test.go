package remote_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/buildnet/buildnet/node/compile/remote"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// variables are the environment as a process has it.
func (b *bench) variables() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(b.env)) {
		all = append(all, name+"="+b.env[name])
	}
	return all
}

// direct begins a run of a command.
func (b *bench) direct(command string) (*remote.Prepared, *remote.Run) {
	b.Helper()
	r, p := b.request(command), b.step(command)
	run, why := b.desk.Directly(&r, p, b.variables())
	if why != "" {
		b.Fatalf("%s: not directly: %s", command, why)
	}
	timer := time.NewTimer(run.Wait)
	<-timer.C
	b.do(b.desk.Began(b.Context(), run))
	return p, run
}

// runs runs a command as ninja does.
func (b *bench) runs(command string) []byte {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "/bin/sh", "-c", command)
	cmd.Dir, cmd.Env = b.dir, b.variables()
	said, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v: %s", command, err, said)
	}
	return said
}

// proof is what is known of a run that said this.
func (b *bench) proof(run *remote.Run, said []byte) remote.Proof {
	b.Helper()
	proof, err := b.desk.Prove(b.Context(), run, remote.Ran{Said: said, Wall: time.Second, CPU: time.Second}, func(...digest.Digest) {})
	b.do(err)
	b.desk.Ended(run)
	return proof
}

// What is kept of a run without a sandbox is what the sandbox makes of the same
// action, byte for byte, and what is known of it is found again.
func TestRunsAreProvenToBeWhatASandboxMakes(t *testing.T) {
	b := newBench(t, project)
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, missing := e.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	b.env["LANG"] = "C.UTF-8"
	for _, command := range []string{
		"gcc -g -O2 -Wall -Ii -c s/a.c -o o/a.o -MD -MF o/a.d",
		"g++ -g -gsplit-dwarf -c s/b.cc -o o/b.o -MD",
		"gcc -g -Ir -c s/link.c -o ol/a.o -MD",
		"gcc -Wall -Wextra -c s/warn.c -o o/w.o -MD",
		"g++ -std=c++17 -flto -O1 -frandom-seed=1 -c s/b.cc -o o/lto.o -MD -MT x",
		"rm -f o/lib.a && ar qc o/lib.a o/a.o o/w.o && ranlib o/lib.a",
	} {
		p, run := b.direct(command)
		said := b.runs(command)
		proof := b.proof(run, said)
		if proof.Why != "" {
			t.Errorf("%s: not proven: %s", command, proof.Why)
			continue
		}
		b.do(p.Step.Fits(&proof.Result))
		want := b.sandboxed(e, p)
		if diff := cmp.Diff(*want, proof.Result, cmpopts.IgnoreFields(action.Result{}, "Isolation", "Wall", "CPU", "MaxRSS"), cmp.AllowUnexported(digest.Digest{})); diff != "" {
			t.Errorf("%s: in the sandbox, and directly: %s", command, diff)
		}
		o, err := b.desk.Finish(t.Context(), p, p.Action, &proof.Result)
		if err != nil || o.Suspect != "" || string(o.Said) != string(said) {
			t.Errorf("%s: another build does not take it: %+v, %v", command, o, err)
		}
		if p.Work == remote.Compiles {
			if act, hit := b.found(command); !hit || act != p.Action {
				t.Errorf("%s: what it read is not known", command)
			}
		}
	}
}

// Only commands of which it can be known afterwards what they read run directly.
func TestWhatCannotBeProven(t *testing.T) {
	const plain = "gcc -Ii -c s/a.c -o o/a.o -MD"
	for name, tc := range map[string]struct {
		command string
		change  func(b *bench, r *remote.Request)
		why     string
	}{
		"Plain":            {plain, nil, ""},
		"NoDepfile":        {"gcc -Ii -c s/a.c -o o/a.o", nil, "depfile"},
		"UsersHeaders":     {"gcc -Ii -c s/a.c -o o/a.o -MMD", nil, "depfile"},
		"UsersHeadersToo":  {"gcc -Ii -c s/a.c -o o/a.o -MD -MMD", nil, "depfile"},
		"Incbin":           {"gcc -Ii -c s/bin.c -o o/a.o -MD", nil, "assembler"},
		"Assembler":        {"gcc -c s/c.S -o o/c.o -MD", nil, "assembler"},
		"Native":           {"gcc -march=native -Ii -c s/a.c -o o/a.o -MD", nil, "-march=native"},
		"Response":         {"gcc @args -MD -g -c s/a.c", nil, "response file"},
		"Link":             {"gcc o/keep.o -o o/x", func(b *bench, _ *remote.Request) { b.runs("gcc -x c -c /dev/null -o o/keep.o") }, "nothing says"},
		"ReadsWhatItMakes": {"ar qc o/lib.a o/keep.o", func(b *bench, _ *remote.Request) { b.runs("gcc -x c -c /dev/null -o o/keep.o; ar qc o/lib.a o/keep.o") }, "writes"},
		"Preload":          {plain, func(b *bench, _ *remote.Request) { b.env["LD_PRELOAD"] = "/none.so" }, "LD_PRELOAD"},
		"Libraries":        {plain, func(b *bench, _ *remote.Request) { b.env["LD_LIBRARY_PATH"] = "/none" }, "LD_LIBRARY_PATH"},
		"Terminal":         {plain, func(_ *bench, r *remote.Request) { r.Terminal = true }, "terminal"},
		"Checkout":         {"gcc -Ii -c s/a.c -o o/a.o -MD", func(b *bench, r *remote.Request) { r.Checkout = b.dir }, "checkout"},
		"LinkOfTheDirectory": {plain, func(b *bench, r *remote.Request) {
			b.do(os.Symlink(b.dir, b.dir+"-too"))
			r.Dir = b.dir + "-too"
		}, "another name"},
		"MacroOfAssembler": {plain, func(b *bench, _ *remote.Request) {
			b.write("i/y.h", "#define Y 1\n#define D(x) __asm__(\".\" #x \" \\\"d/blob\\\"\")\nD(incbin);\n")
		}, "macros make assembler"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, project)
			r := b.request(tc.command)
			if tc.change != nil {
				tc.change(b, &r)
				b.begin()
			}
			p, err := b.desk.Prepare(t.Context(), r)
			b.do(err)
			if len(p.Local) > 0 {
				t.Fatalf("only here: %v", p.Local)
			}
			if _, why := b.desk.Directly(&r, p, b.variables()); !strings.Contains(why, tc.why) || (tc.why == "") != (why == "") {
				t.Errorf("%q, want %q", why, tc.why)
			}
		})
	}
}

// A run during which anything changed that its result may depend on proves
// nothing, whatever it has read in the end.
func TestWhatChangesWhileACommandRunsIsNotProven(t *testing.T) {
	files := maps.Clone(branches)
	files["i/narrow.h"], files["l/real.h"], files["l/other.h"], files["l/x.h"] = "#include \"deep.h\"\n#include \"../l/x.h\"\n#define V 2\n", "int y;\n", "long z;\n", "-> real.h"
	for name, tc := range map[string]struct {
		before, after func(b *bench)
		command       string // instead
		why           string
	}{
		"Nothing":     {},
		"Header":      {before: func(b *bench) { b.write("i/deep.h", "int changed;\n") }, why: "deep.h may have changed"},
		"HeaderAfter": {after: func(b *bench) { b.write("i/deep.h", "int changed;\n") }, why: "deep.h may have changed"},
		"AndBack": {
			before: func(b *bench) { b.write("i/deep.h", "int changed;\n") },
			after:  func(b *bench) { b.write("i/deep.h", files["i/deep.h"]) }, why: "deep.h may have changed",
		},
		"AndBackAndLookedAt": {
			before: func(b *bench) { b.write("i/deep.h", "int changed;\n") },
			after: func(b *bench) {
				b.write("i/deep.h", files["i/deep.h"])
				b.do(b.desk.Stir(b.Context()))
				b.step(branching)
			}, why: "deep.h may have changed",
		},
		"SameTimeAndSize": {
			before: func(b *bench) {
				at := filepath.Join(b.dir, "i/deep.h")
				info, err := os.Stat(at)
				b.do(err)
				b.write("i/deep.h", strings.Repeat("\n", len(files["i/deep.h"])))
				b.do(os.Chtimes(at, info.ModTime(), info.ModTime()))
			}, why: "deep.h may have changed",
		},
		"Unread":           {before: func(b *bench) { b.write("i/wide.h", "int changed;\n") }, why: "wide.h may have changed"},
		"EarlierOnThePath": {before: func(b *bench) { b.write("j/narrow.h", "#define V 7\n") }, why: "not expected"},
		"EarlierForAWhile": {
			before: func(b *bench) { b.write("j/narrow.h", "#define V 7\n") },
			after:  func(b *bench) { b.do(os.Remove(b.dir + "/j/narrow.h")) }, why: "not expected",
		},
		"AskedForAppears": {before: func(b *bench) { b.write("j/asked.h", "") }, why: "has appeared"},
		"AskedForGoes":    {before: func(b *bench) { b.do(os.Remove(b.dir + "/i/asked.h")) }, why: "asked.h may have changed"},
		"Link": {before: func(b *bench) {
			b.do(os.Remove(b.dir + "/l/x.h"))
			b.do(os.Symlink("other.h", b.dir+"/l/x.h"))
		}, why: "not expected"},
		"LinkAfter": {after: func(b *bench) {
			b.do(os.Remove(b.dir + "/l/x.h"))
			b.do(os.Symlink("./real.h", b.dir+"/l/x.h"))
		}, why: "leads elsewhere"},
		"Compiler":    {after: func(b *bench) { b.upgraded = true }, why: "programs"},
		"MakesNone":   {command: "gcc -Ij -Ii -c s/a.c -o o/other.o -MD", why: "did not make"},
		"LeavesIt":    {command: "true", before: func(*bench) {}, why: "did not make"},
		"ReadsOthers": {command: branching + " -include l/other.h", why: "not expected"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, files)
			_, run := b.direct(branching)
			for i, do := range []func(*bench){tc.before, nil, tc.after} {
				switch {
				case i == 1 && tc.command != "":
					b.runs(tc.command)
				case i == 1:
					b.runs(branching)
				case do != nil:
					do(b)
				}
			}
			if proof := b.proof(run, nil); !strings.Contains(proof.Why, tc.why) || (tc.why == "") != (proof.Why == "") {
				t.Errorf("%q, want %q", proof.Why, tc.why)
			}
			if _, hit := b.found(branching); hit != (tc.why == "") && !b.upgraded {
				t.Errorf("known afterwards: %v", hit)
			}
		})
	}
}

// What an earlier run left is not what this one made.
func TestWhatWasThereBeforeIsNotProven(t *testing.T) {
	b := newBench(t, branches)
	b.runs(branching)
	_, run := b.direct(branching)
	if proof := b.proof(run, nil); !strings.Contains(proof.Why, "as it was") {
		t.Errorf("%q", proof.Why)
	}
}

// Two commands that write one file at a time prove nothing of it, and neither does
// one whose output was put into place from elsewhere meanwhile.
func TestRunsThatWriteOneFileAreNotProven(t *testing.T) {
	b := newBench(t, branches)
	const wide = branching + " -DWIDE"
	_, one := b.direct(branching)
	_, other := b.direct(wide)
	b.runs(branching)
	first := b.proof(one, nil)
	b.runs(wide)
	for _, p := range []remote.Proof{first, b.proof(other, nil)} {
		if !strings.Contains(p.Why, "something else wrote") {
			t.Errorf("%q", p.Why)
		}
	}
	p, run := b.direct(branching)
	b.runs(branching)
	r := b.elsewhere(&p.Step)
	if _, err := b.desk.Finish(t.Context(), p, p.Action, r); err != nil {
		t.Fatal(err)
	}
	b.runs(branching)
	if proof := b.proof(run, nil); !strings.Contains(proof.Why, "something else wrote") {
		t.Errorf("%q", proof.Why)
	}
}
