package remote_test

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
)

// checkout is another one of a project, at a path of another length.
func (b *bench) checkout(files map[string]string) *bench {
	b.Helper()
	other := &bench{TB: b.TB, dir: b.dir + "-of-somebody-else", blobs: b.blobs, kv: b.kv, env: maps.Clone(b.env)}
	for p, content := range files {
		other.write(p, content)
	}
	other.fresh()
	return other
}

// anywhere is step for a compile that is to be the same in every checkout.
func (b *bench) anywhere(command string) *remote.Prepared {
	b.Helper()
	r := b.request(command)
	r.Checkout = b.dir
	p, err := b.desk.Prepare(b.Context(), r)
	b.do(err)
	if len(p.Local) > 0 {
		b.Fatalf("%s: only here: %v", command, p.Local)
	}
	return p
}

// finished takes a result back and returns what it left.
func (b *bench) finished(p *remote.Prepared, r *action.Result) ran {
	b.Helper()
	o, err := b.desk.Finish(b.Context(), p, p.Action, r)
	b.do(err)
	if o.Suspect != "" {
		b.Fatalf("not believed: %s: %s", o.Suspect, o.Said)
	}
	return ran{string(o.Said), o.ExitCode, b.taken(p.Command.Outputs)}
}

// What was compiled in one checkout is the result in another, with the bytes that
// each would make with its own place mapped to ".".
func TestCheckoutsShareWhatDoesNotDependOnTheirPlace(t *testing.T) {
	b := newBench(t, project)
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, missing := e.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	other := b.checkout(project)
	for _, command := range []string{
		"gcc -g -O2 -Wall -Ii -c s/a.c -o o/a.o -MD -MF o/a.d", "g++ -g -std=c++17 -c s/b.cc -o o/b.o -MD", "gcc -g -gsplit-dwarf -Ii -c ./s/a.c -o o/a.o",
		"gcc -g3 -Ir -c s/link.c -o o/a.o -MMD", "gcc @args -g -c s/a.c", "gcc -Wall -Wextra -g -c s/warn.c -o o/w.o", "gcc -c s/error.c -o o/e.o", "gcc -c s/gone.c -o o/e.o",
		"gcc -S -g -Ii s/a.c -o o/a.s", "gcc -ffile-prefix-map=s=/src -g -Ii -c s/a.c -o o/a.o",
	} {
		p := b.anywhere(command)
		if p.Bound != "" {
			t.Errorf("%s: %s", command, p.Bound)
			continue
		}
		r := b.sandboxed(e, p)
		got := b.finished(p, r)
		want := b.plainly(command+" -fdebug-prefix-map="+b.dir+"=.", p.Command.Outputs)
		if want.code != 0 {
			want.files = nil
		}
		if err := got.equal(want); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		q := other.anywhere(command)
		if q.Action != p.Action {
			t.Errorf("%s: in another checkout it is another action (%s)", command, q.Bound)
			continue
		}
		if err := other.finished(q, r).equal(want); err != nil {
			t.Errorf("%s: in another checkout: %v", command, err)
		}
	}
}

// What one checkout has read narrows what counts in another.
func TestCheckoutsShareWhatTheyRead(t *testing.T) {
	b := newBench(t, project)
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, missing := e.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	files := maps.Clone(project)
	files["s/may.c"] = "#include \"x.h\"\n#if X == 2\n#include \"../k/up.h\"\n#endif\nint v = X;\n"
	const command = "gcc -g -Is -c s/may.c -o o/a.o -MD"
	b.write("s/may.c", files["s/may.c"])
	p := b.anywhere(command)
	r := b.sandboxed(e, p)
	b.finished(p, r)
	b.do(b.desk.Save(t.Context()))
	files["k/up.h"] = "#define UP 77\n"
	other := b.checkout(files)
	q := other.anywhere(command)
	if q.Action == p.Action {
		t.Fatal("the header counts for nothing")
	}
	act, hit, err := other.desk.Known(t.Context(), q)
	if err != nil || !hit || act != p.Action {
		t.Errorf("known: %v, %v, %v; want %v", act, hit, err, p.Action)
	}
	other.write("s/x.h", "#define X 2\n")
	other.begin()
	if _, hit, err := other.desk.Known(t.Context(), other.anywhere(command)); hit || err != nil {
		t.Errorf("a header that is read has changed: hit %v, %v", hit, err)
	}
}

// What depends on the checkout's place, or may, is its own, and says why.
func TestWhatIsForOneCheckoutSaysWhy(t *testing.T) {
	files := maps.Clone(project)
	files["s/line.c"] = "#line 1 \"$DIR/s/line.in\"\nconst char *f = __FILE__;\n"
	files["s/up.c"] = "#include \"../../p.aside.h\"\n"
	files["s/has.c"] = "#if __has_include(\"$DIR/s/x.h\")\nint there;\n#endif\n"
	files["abs"] = "-> $DIR/i"
	fill := func(b *bench) {
		for p, content := range files {
			_ = os.Remove(b.dir + "/" + p)
			b.write(p, strings.ReplaceAll(content, "$DIR", b.dir))
		}
		b.write("../p.aside.h", "int aside;\n")
		b.begin()
	}
	b := newBench(t, project)
	other := b.checkout(project)
	fill(b)
	fill(other)
	for name, tc := range map[string]struct{ command, env, why string }{
		"FileOfTheCommand":    {"gcc -Ii -c $DIR/s/a.c -o o/a.o", "", "names the checkout"},
		"DirectoryForHeaders": {"gcc -I$DIR/i -c s/a.c -o o/a.o", "", "names the checkout"},
		"Output":              {"gcc -Ii -c s/a.c -o $DIR/o/a.o", "", "names the checkout"},
		"Macro":               {"gcc -Ii -DHERE='\"$DIR\"' -c s/a.c -o o/a.o", "", "names the checkout"},
		"Variable":            {"gcc -c s/a.c -o o/a.o", "CPATH=$DIR/i", "CPATH names the checkout"},
		"LineOfASource":       {"gcc -c s/line.c -o o/a.o", "", "s/line.c names the checkout"},
		"LookedFor":           {"gcc -c s/has.c -o o/a.o", "", "s/has.c names the checkout"},
		"Link":                {"gcc -Iabs -c s/a.c -o o/a.o", "", "leads into or out"},
		"FileBeside":          {"gcc -c s/up.c -o o/a.o", "", "outside of the checkout"},
		"DirectoryBeside":     {"gcc -I.. -Ii -c s/a.c -o o/a.o", "", "leads out of the checkout"},
		"Coverage":            {"gcc --coverage -frandom-seed=1 -Ii -c s/a.c -o o/a.o", "", "written down"},
		"Switches":            {"gcc -frecord-gcc-switches -Ii -c s/a.c -o o/a.o", "", "written down"},
		"Assembler":           {"gcc -g -c s/c.S -o o/c.o", "", "assembler"},
	} {
		of := func(b *bench) *remote.Prepared {
			b.env = map[string]string{"PATH": actionPath}
			b.set(strings.ReplaceAll(tc.env, "$DIR", b.dir))
			return b.anywhere(strings.ReplaceAll(tc.command, "$DIR", b.dir))
		}
		p := of(b)
		if !strings.Contains(p.Bound, tc.why) {
			t.Errorf("%s: bound by %q, want %q", name, p.Bound, tc.why)
		}
		if of(other).Action == p.Action {
			t.Errorf("%s: the same action in two checkouts", name)
		}
	}
}

// An object that says where it was made is no object of any checkout.
func TestResultsThatSayWhereTheyWereMadeAreNotBelieved(t *testing.T) {
	b := newBench(t, project)
	p := b.anywhere("gcc -g -Ii -c s/a.c -o o/a.o")
	r := &action.Result{Isolation: action.Full, Outputs: []action.Output{
		{Path: p.Step.Outputs[0], Kind: action.File, Digest: b.keep("\x7fELF in /" + p.Step.Dir)},
	}}
	if o, err := b.desk.Finish(t.Context(), p, p.Action, r); err != nil || !strings.Contains(o.Suspect, "says where it was made") {
		t.Errorf("%+v, %v", o, err)
	}
}
