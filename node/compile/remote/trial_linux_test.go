package remote_test

import (
	"cmp"
	"os"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
)

// toolset is a pair of drivers that commands of hazards are tried with.
type toolset struct{ name, c, cxx string }

// libraries32 is there where gcc compiles for both sizes of words.
const libraries32 = "/usr/include/x86_64-linux-gnu/gnu/stubs-32.h"

// usual are those that are written as CC and CXX in a command, and every are
// those of EACHCC.
var (
	usual = []toolset{{"gcc", "gcc", "g++"}, {"clang", "clang", "clang++"}}
	every = append(usual[:2:2], toolset{"m32", "gcc -m32", "g++ -m32"}, toolset{"cross", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++"})
)

// hazard is a command that a naive cache or farm of compilers gets wrong.
type hazard struct {
	command string
	env     string
	// needs is the program that stands behind bin/NAME; "" is gcc.
	needs string
	// before is run here at first.
	before string
	// here is a piece of the reason why it is for this machine alone; "" has it
	// run in a sandbox, and be what the compiler makes here.
	here string
	// what is beyond one command.
	also func(*trial)
}

// trial is one hazard with one compiler.
type trial struct {
	*bench
	worker *nodeexec.Executor // nil where no sandbox can be had
	// command is with the compiler's name in it.
	command string
}

// commands returns what a hazard is tried with, by the name of the compiler.
func (h hazard) commands() map[string]string {
	sets, mark := []toolset{{c: "gcc", cxx: "g++"}}, "CC"
	switch first, _, _ := strings.Cut(h.command, " "); {
	case strings.HasPrefix(first, "EACH"):
		sets, mark = every, "EACHCC"
	case first == "CC" || first == "CXX":
		sets = usual
	}
	all := map[string]string{}
	for _, s := range sets {
		if _, err := os.Stat(libraries32); err != nil && strings.HasSuffix(s.c, "-m32") {
			continue
		}
		all[s.name] = strings.NewReplacer(mark, s.c, strings.Replace(mark, "CC", "CXX", 1), s.cxx).Replace(h.command)
	}
	return all
}

// try tries a hazard with one compiler.
func (h hazard) try(t *testing.T, command string) {
	driver, _, _ := strings.Cut(command, " ")
	if strings.HasPrefix(driver, "bin/") { // it is made
		driver = cmp.Or(h.needs, "gcc")
	}
	need(t, driver)
	b := newBench(t, project)
	x := &trial{bench: b}
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, _ := e.Isolation(); level == action.Full {
		x.worker = e
	}
	place := strings.NewReplacer("$PWD", b.dir)
	b.set(place.Replace(h.env))
	x.command = place.Replace(command)
	if h.before != "" {
		b.made(h.before)
		b.begin()
	}
	switch {
	case h.also != nil:
		h.also(x)
	case h.here != "":
		x.refused(h.here)
	default:
		x.alike(x.command)
	}
}

// refused wants the command to be for this machine alone, with a reason.
func (x *trial) refused(why string) {
	x.Helper()
	if p := x.prepare(x.command); !says(p.Local, why) {
		x.Errorf("%s: %q, want one with %q", x.command, p.Local, why)
	}
}

// away runs a step where there is nothing but what was declared.
func (x *trial) away(p *remote.Prepared) *action.Result {
	x.Helper()
	if x.worker == nil {
		return x.elsewhere(&p.Step)
	}
	return x.sandboxed(x.worker, p)
}

// alike wants of a command elsewhere what the compiler makes and says here: when
// it has run, and when the result is known to a node that has just started.
func (x *trial) alike(command string) *remote.Prepared {
	x.Helper()
	want := x.plainly(command, x.prepare(command).Command.Outputs)
	x.begin()
	p := x.step(command)
	if want.code != 0 {
		want.files = nil // nothing comes back of what failed
	} else if len(want.files) != len(p.Command.Outputs) {
		x.Errorf("%s makes %d of the files %v", command, len(want.files), p.Command.Outputs)
	}
	r := x.away(p)
	x.asHere(p, r, want)
	x.fresh()
	again := x.step(command)
	if again.Action != p.Action {
		x.Errorf("%s: another action the second time", command)
	}
	if r.OK() {
		x.asHere(again, r, want)
	}
	return p
}

func (x *trial) asHere(p *remote.Prepared, r *action.Result, want ran) {
	x.Helper()
	o, err := x.desk.Finish(x.Context(), p, p.Action, r)
	x.do(err)
	if o.Suspect != "" {
		x.Fatalf("%v: not believed: %s: %s", p.Step.Argv, o.Suspect, o.Said)
	}
	got := ran{said: string(o.Said), code: o.ExitCode, files: x.taken(p.Command.Outputs)}
	if err := got.equal(want); err != nil {
		x.Errorf("%v: %v", p.Step.Argv, err)
	}
}

// embeds wants what is embedded to go along, whether the compiler knows of it or
// not.
func embeds(x *trial) {
	p := x.alike(x.command)
	if !x.given(p)[x.dir+"/d/blob"] {
		x.Error("what is embedded stays behind")
	}
}

// appears has a header come where it is looked for first.
func appears(x *trial) {
	before := x.alike(x.command)
	x.write("j/l/y.h", "#define Y 8\n")
	if _, hit := x.found(x.command); hit {
		x.Error("what was made before is taken for what is to be made now")
	}
	if x.alike(x.command).Action == before.Action {
		x.Error("a header that appeared is not noticed")
	}
}

// unread changes what the compile might have read, and has not.
func unread(x *trial) {
	before := x.alike(x.command)
	r := x.away(before)
	x.write("s/never.h", "#define NO 2\n")
	act, hit := x.found(x.command)
	p := x.step(x.command)
	if !hit || act != before.Action || p.Action == act {
		x.Errorf("known: %v, as the action before: %v", hit, act == before.Action)
		return
	}
	want := x.plainly(x.command, p.Command.Outputs)
	o, err := x.desk.Finish(x.Context(), p, act, r)
	x.do(err)
	if err := (ran{string(o.Said), o.ExitCode, x.taken(p.Command.Outputs)}).equal(want); err != nil {
		x.Error(err)
	}
}

// generates has a header made that was looked for in vain.
func generates(x *trial) {
	before := x.alike(x.command)
	x.do(x.inputs.Expect(x.Context(), x.dir+"/s/gen.h"))
	x.refused("s/gen.h is yet to be made")
	x.write("s/gen.h", "#define GEN 2\n")
	x.do(x.desk.Made(x.Context(), x.dir+"/s/gen.h"))
	if x.step(x.command).Action == before.Action {
		x.Error("a header that was made is not noticed")
	}
	x.alike(x.command)
}

// comes has the graph make a header anew that is there.
func comes(x *trial) {
	x.do(x.inputs.Expect(x.Context(), x.dir+"/s/x.h"))
	x.refused("s/x.h is yet to be made")
	x.write("s/x.h", "#define X 9\n")
	x.do(x.desk.Made(x.Context(), x.dir+"/s/x.h"))
	x.alike(x.command)
}

// isClang wants a driver to be known for what it is.
func isClang(x *trial) {
	if p := x.prepare(x.command); p.Command.Family != compile.Clang {
		x.Errorf("it is read as family %v", p.Command.Family)
	}
}

// expanded wants no other machine to ask what it is itself.
func expanded(x *trial) {
	p := x.alike(x.command)
	if args := strings.Join(p.Step.Argv, " "); strings.Contains(args, "native") || !strings.Contains(args, "-march=") {
		x.Errorf("it goes as %s", args)
	}
}

// processor wants only machines with this processor to be asked.
func processor(x *trial) {
	p := x.alike(x.command)
	if spec, _ := p.Step.Property(action.PropertyToolchainSpec); !strings.Contains(spec, "+native") {
		x.Errorf("it goes to any machine with %s", spec)
	}
}

// leftBehind loses a header on the way: what fails for that is not believed.
func leftBehind(x *trial) {
	p := x.step(x.command)
	x.lost = []string{"s/x.h"}
	o, err := x.desk.Finish(x.Context(), p, p.Action, x.elsewhere(&p.Step))
	x.do(err)
	if !strings.Contains(o.Suspect, "did not find x.h there, which is here") || o.ExitCode == 0 {
		x.Errorf("%+v", o)
	}
}

// breaks wants a compiler that breaks down to be run again here.
func breaks(x *trial) {
	p := x.step(x.command)
	o, err := x.desk.Finish(x.Context(), p, p.Action, x.away(p))
	x.do(err)
	if o.Suspect == "" || o.ExitCode == 0 {
		x.Errorf("believed: %+v: %s", o, o.Said)
	}
}

// leaks wants an object that names its checkout to be of that alone, visibly.
func leaks(x *trial) {
	p := x.anywhere(x.command)
	if !strings.Contains(p.Bound, "names the checkout") {
		x.Errorf("bound by %q", p.Bound)
	}
	x.alike(x.command)
}

// moves wants what does not depend on the checkout to be of every one.
func moves(x *trial) {
	p := x.anywhere(x.command)
	if p.Bound != "" || p.Step.Dir != x.checkout(project).anywhere(x.command).Step.Dir {
		x.Errorf("bound by %q, in %s", p.Bound, p.Step.Dir)
	}
	want := x.plainly(x.command+" -fdebug-prefix-map="+x.dir+"=.", p.Command.Outputs)
	x.asHere(p, x.away(p), want)
}
