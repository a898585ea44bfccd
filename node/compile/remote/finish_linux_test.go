package remote_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

func TestOutputsArePlacedAsTheCompilerWould(t *testing.T) {
	b := newBench(t, project)
	command := "gcc -g -Ii -c s/a.c -o o/a.o -MD"
	old := filepath.Join(b.dir, "o/a.o")
	b.do(os.WriteFile(old, []byte("old"), 0o600))
	b.do(os.Chtimes(old, time.Unix(1, 0), time.Unix(1, 0)))
	b.do(os.Link(old, filepath.Join(b.dir, "o/linked.o")))
	begin := time.Now().Add(-time.Second)
	p := b.step(command)
	b.through(p)
	for _, name := range []string{"o/a.o", "o/a.d"} {
		info, err := os.Stat(filepath.Join(b.dir, name))
		b.do(err)
		if info.ModTime().Before(begin) || info.Mode().Perm() != 0o666&^umask() {
			t.Errorf("%s: %v, of %v", name, info.Mode(), info.ModTime())
		}
	}
	linked, err := os.ReadFile(filepath.Join(b.dir, "o/linked.o"))
	b.do(err)
	if string(linked) != "old" {
		t.Error("another name of the old output was written to")
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, "o"))
	b.do(err)
	if len(entries) != 4 { // keep, a.o, a.d, linked.o
		t.Errorf("left: %v", entries)
	}
}

func umask() os.FileMode {
	f, err := os.CreateTemp("", "umask")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	f.Close()
	name := f.Name() + ".x"
	defer os.Remove(name)
	g, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err)
	}
	defer g.Close()
	info, err := g.Stat()
	if err != nil {
		panic(err)
	}
	return 0o666 &^ info.Mode().Perm()
}

// What a result may say for want of something there is not believed, and leaves
// everything as it is.
func TestResultsThatAreNotBelieved(t *testing.T) {
	b := newBench(t, project)
	p := b.step("gcc -Ii -c s/a.c -o o/a.o")
	good := b.elsewhere(&p.Step)
	for name, tc := range map[string]struct {
		said   string
		change func(*action.Result)
		why    string
	}{
		"HeaderThatIsHere":   {"s/a.c:2:10: fatal error: x.h: No such file or directory\n", func(r *action.Result) { r.ExitCode = 1 }, "x.h"},
		"HeaderOnThePath":    {"s/a.c:3:10: fatal error: y.h: No such file or directory\n", func(r *action.Result) { r.ExitCode = 1 }, "y.h"},
		"HeaderOfTheSystem":  {"s/a.c:1:10: fatal error: stdio.h: No such file or directory\n", func(r *action.Result) { r.ExitCode = 1 }, "stdio.h"},
		"Killed":             {"", func(r *action.Result) { r.ExitCode, r.Message = 137, "killed by signal 9 (killed)" }, "killed"},
		"KilledSilently":     {"", func(r *action.Result) { r.ExitCode = 137 }, "signal"},
		"CompilerKilled":     {"gcc: fatal error: Killed signal terminated program cc1\n", func(r *action.Result) { r.ExitCode = 1 }, "terminated program"},
		"BrokenCompiler":     {"s/a.c:1: internal compiler error: in foo\n", func(r *action.Result) { r.ExitCode = 4 }, "internal compiler error"},
		"NotIsolated":        {"", func(r *action.Result) { r.Isolation = action.Reduced }, "more than was declared"},
		"NoOutput":           {"", func(r *action.Result) { r.Outputs = nil }, "outputs"},
		"OtherOutput":        {"", func(r *action.Result) { r.Outputs[0].Path = "etc/x" }, "outputs"},
		"LinkForAnOutput":    {"", func(r *action.Result) { r.Outputs[0].Kind, r.Outputs[0].Target = action.Symlink, "/x" }, "no file"},
		"WarningOfSomething": {"s/a.c:1: warning: cannot find 'i/pre.h'\n", func(*action.Result) {}, "i/pre.h"},
	} {
		r := *good
		r.Outputs = append([]action.Output(nil), good.Outputs...)
		if tc.said != "" {
			r.Stdout = b.keep(tc.said)
		}
		tc.change(&r)
		if r.ExitCode != 0 {
			r.Outputs = nil
		}
		o, err := b.desk.Finish(t.Context(), p, p.Action, &r)
		if err != nil || !strings.Contains(o.Suspect, tc.why) {
			t.Errorf("%s: %q, %v; want %q", name, o.Suspect, err, tc.why)
		}
		if _, err := os.Stat(filepath.Join(b.dir, "o/a.o")); err == nil {
			t.Errorf("%s: something was placed", name)
		}
	}
}

// What compilers and assemblers say when a file did not come along is understood.
func TestFilesThatDidNotComeAlongAreNoticed(t *testing.T) {
	for command, lost := range map[string]string{
		"gcc -Ii -c s/a.c -o o/a.o":                                             "s/x.h",
		"gcc -Ii -c ./s/a.c -o o/a.o -fdiagnostics-color=always":                "i/y.h",
		"g++ -c s/b.cc -o o/a.o":                                                "s/x.h",
		"gcc -c s/bin.c -o o/a.o":                                               "d/blob",
		"gcc -c s/c.S -o o/a.o":                                                 "i/mac.h",
		"gcc -c s/d.s -o o/a.o":                                                 "d/i.s",
		"gcc -include i/pre.h -imacros i/mac.h -c s/forced.c -o o/a.o":          "i/mac.h",
		"gcc -pipe -include i/pre.h -imacros i/mac.h -c s/forced.c -o o/a.o -g": "s/forced.c",
	} {
		b := newBench(t, project)
		p := b.step(command)
		b.lost = []string{lost}
		o, _ := b.through(p)
		if !strings.Contains(o.Suspect, filepath.Base(lost)) || o.ExitCode == 0 {
			t.Errorf("%s without %s: %+v: %s", command, lost, o, o.Said)
		}
	}
}

// A hit says what the run said.
func TestWarningsAreSaidAgain(t *testing.T) {
	b := newBench(t, project)
	const command = "gcc -Wall -Ii -c s/warn.c -o o/a.o -MD"
	p := b.step(command)
	first, r := b.through(p)
	act, hit := b.found(command)
	if !hit {
		t.Fatal("it is not known")
	}
	again, err := b.desk.Finish(t.Context(), b.step(command), act, r)
	b.do(err)
	if len(first.Said) == 0 || string(again.Said) != string(first.Said) {
		t.Errorf("%q, then %q", first.Said, again.Said)
	}
}

func TestFailuresOfTheSourceAreBelieved(t *testing.T) {
	b := newBench(t, project)
	for _, command := range []string{"gcc -c s/error.c -o o/a.o", "gcc -c s/gone.c -o o/a.o", "gcc -Werror -Wall -c s/warn.c -o o/a.o"} {
		o, _ := b.through(b.step(command))
		if o.Suspect != "" || o.ExitCode != 1 || len(o.Said) == 0 {
			t.Errorf("%s: %+v", command, o)
		}
	}
}

// A compile that fails leaves or removes what an earlier one made, as gcc does.
func TestFailuresLeaveWhatTheCompilerLeaves(t *testing.T) {
	files := maps.Clone(project)
	files["s/asm.c"] = "asm(\"bogus op\");\n"
	b := newBench(t, files)
	out := filepath.Join(b.dir, "o/a.o")
	for _, command := range []string{
		"gcc -c s/error.c -o o/a.o", "gcc -pipe -c s/error.c -o o/a.o", "gcc -c s/asm.c -o o/a.o", "gcc -c s/gone.c -o o/a.o", "gcc -pipe -c s/gone.c -o o/a.o",
	} {
		p := b.step(command)
		r := b.elsewhere(&p.Step)
		b.write("o/a.o", "old")
		b.plainly(command, nil)
		_, err := os.Stat(out)
		want := err == nil
		b.write("o/a.o", "old")
		if o, err := b.desk.Finish(t.Context(), p, p.Action, r); err != nil || o.Suspect != "" {
			t.Errorf("%s: %+v, %v", command, o, err)
		}
		if _, err := os.Stat(out); (err == nil) != want {
			t.Errorf("%s: the old output is there: %v, want %v", command, err == nil, want)
		}
	}
}

// What was made of a file that has changed since is not put into place: it would
// look newer than the file.
func TestFilesThatChangeWhileACompileRuns(t *testing.T) {
	b := newBench(t, project)
	const command = "gcc -Ii -c s/a.c -o o/a.o"
	for _, change := range []func(){
		func() { b.write("s/x.h", strings.Replace(project["s/x.h"], "X 1", "X 8", 1)) }, // as long as it was
		func() { b.write("s/a.c", "int other;\n") },
		func() { b.do(os.Chmod(filepath.Join(b.dir, "s/a.c"), 0o755)) },
		func() { b.do(os.Remove(filepath.Join(b.dir, "s/a.c"))) },
	} {
		p := b.step(command)
		r := b.elsewhere(&p.Step)
		change()
		o, err := b.desk.Finish(t.Context(), p, p.Action, r)
		if err != nil || !strings.Contains(o.Suspect, "changed meanwhile") {
			t.Errorf("%q, %v", o.Suspect, err)
		}
		if _, err := os.Stat(filepath.Join(b.dir, "o/a.o")); err == nil {
			t.Error("it was placed")
		}
		if again := b.prepare(command); again.Action == p.Action {
			t.Error("the next command does not see the change")
		}
	}
}

// What a command is run for comes last: whoever finds it there finds its depfile too.
func TestTheObjectComesLast(t *testing.T) {
	b := newBench(t, project)
	p := b.step("gcc -Ii -c s/a.c -o o/a.o -MD -MF o/z.d")
	r := b.elsewhere(&p.Step)
	b.write("o/z.d/in/the/way", "")
	if _, err := b.desk.Finish(t.Context(), p, p.Action, r); err == nil {
		t.Error("a directory was replaced")
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, "o"))
	if b.do(err); len(entries) != 2 { // keep, z.d
		t.Errorf("left: %v", entries)
	}
}

func TestOutputsAreMadeWithTheUmaskOfTheCommand(t *testing.T) {
	b := newBench(t, project)
	r := b.request("gcc -Ii -c s/a.c -o o/a.o")
	umask := fs.FileMode(0o007)
	r.Umask = &umask
	p, err := b.desk.Prepare(t.Context(), r)
	b.do(err)
	b.through(p)
	if info, err := os.Stat(filepath.Join(b.dir, "o/a.o")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
}
