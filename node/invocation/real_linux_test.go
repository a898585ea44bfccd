package invocation_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

const (
	compileA    = "g++ -g -O1 -Ii -c s/a.cc -o o/a.o -MD -MF o/a.d"
	compileB    = "gcc -g -c s/b.c -o o/b.o"
	compileWarn = "gcc -Wall -c s/warn.c -o o/warn.o -fdiagnostics-color=always"
	compileBad  = "gcc -c s/bad.c -o o/bad.o"
)

// What members make is what the compiler makes here, and so is what they say.
func TestCompilesAreAsHereWhereverTheyRun(t *testing.T) {
	b := newBench(t, mesh(t, 2)[0], project)
	outputs := []string{"o/a.o", "o/a.d", "o/b.o", "o/warn.o", "o/bad.o"}
	commands := []string{compileA, compileB, compileWarn, compileBad}
	type ran struct {
		said string
		code int
	}
	var want []ran
	for _, c := range commands {
		said, code := b.plainly(c)
		want = append(want, ran{said, code})
	}
	files := map[string]string{}
	for _, o := range outputs {
		files[o] = b.taken(o)
	}
	for round, how := range []event.Status{event.Executed, event.CachedLocal} {
		b.begin(api.InvocationRequest{})
		for i, c := range commands {
			r := b.away(c)
			if string(r.Output) != want[i].said || r.ExitCode != want[i].code {
				t.Errorf("%s: exit %d, %q; want %d, %q", c, r.ExitCode, r.Output, want[i].code, want[i].said)
			}
			if r.How != how && r.ExitCode == 0 {
				t.Errorf("%s is %s, want %s", c, r.How, how)
			}
		}
		for _, o := range outputs {
			if got := b.taken(o); got != files[o] {
				t.Errorf("%s has %d bytes, want %d, or others", o, len(got), len(files[o]))
			}
		}
		f := b.end()
		if f.Failed != 1 || f.Steps != 4 || f.RunLocal+f.RunRemote != 4-3*round || len(f.LocalReasons) > 0 && f.RunLocal == 0 {
			t.Errorf("round %d: %+v", round, f)
		}
		b.choices()
		record, err := b.node.Client.ShowBuild(t.Context(), b.id)
		if err != nil || len(record.Events) != len(b.events) {
			t.Errorf("%d of %d events are kept: %v", len(record.Events), len(b.events), err)
		}
	}
}

// choices checks that what was kept as it did not pay to send it says so.
func (b *bench) choices() {
	b.Helper()
	for _, e := range b.events {
		s, is := e.(event.StepFinished)
		if kept := is && s.Choice != nil && s.Choice.Why == "kept"; kept != slices.Contains(s.Here, "to send them did not pay") {
			b.Errorf("%s: here because of %v, chosen as %+v", s.Step, s.Here, s.Choice)
		}
	}
}

// Headers that come between commands of which the node knows nothing are seen,
// and so is one that stands earlier on the path than the one that was found.
func TestHeadersThatAppearAreNoticed(t *testing.T) {
	files := map[string]string{"first/keep": "", "then/x.h": "#define X 1\n", "s/x.c": "#include <x.h>\nint x = X;\n", "o/keep": ""}
	b := newBench(t, mesh(t, 1)[0], files)
	const compile = "gcc -Ifirst -Ithen -c s/x.c -o o/x.o -MD -MF o/x.d"
	made := map[string]string{}
	b.begin(api.InvocationRequest{})
	for round, step := range []struct {
		change func()
		how    event.Status
	}{
		{func() {}, event.Executed},
		{func() {}, event.CachedLocal},
		{func() { b.write("then/x.h", "#define X 2\n") }, event.Executed},
		{func() { b.write("first/x.h", "#define X 3\n") }, event.Executed},
		{func() { b.taken("first/x.h") }, event.CachedLocal},
	} {
		step.change()
		b.plainly(compile)
		want := b.taken("o/x.o")
		r := b.away(compile)
		if got := b.taken("o/x.o"); r.ExitCode != 0 || got != want || r.How != step.how {
			t.Errorf("round %d: exit %d, %s, %d bytes; want %s, %d", round, r.ExitCode, r.How, len(got), step.how, len(want))
		}
		made[want] = ""
	}
	if b.end(); len(made) != 3 {
		t.Errorf("%d different objects, want 3", len(made))
	}
}

// Invocations at once share what is known of files, and nothing else.
func TestInvocationsAtOnce(t *testing.T) {
	nodes := mesh(t, 2)
	var ends []func() event.BuildFinished
	done := make(chan bool)
	for range 3 {
		b := newBench(t, nodes[0], project)
		b.begin(api.InvocationRequest{Whole: true})
		go func() {
			defer func() { done <- true }()
			for range 3 {
				for _, c := range []string{compileA, compileB, compileWarn} {
					r, err := b.node.Client.RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(c)})
					if err != nil || len(r.Local) > 0 || r.ExitCode != 0 {
						t.Errorf("%s: %+v, %v", c, r, err)
						return
					}
				}
			}
		}()
		ends = append(ends, b.end)
	}
	for range ends {
		<-done
	}
	for _, end := range ends {
		if f := end(); f.Steps != 9 || f.Executed != 3 || f.CachedLocal != 6 {
			t.Errorf("%+v", f)
		}
	}
}

// What is made elsewhere has the permissions that it would have here.
func TestFilesAreMadeWithTheUmaskOfTheClient(t *testing.T) {
	b := newBench(t, mesh(t, 1)[0], project)
	b.begin(api.InvocationRequest{})
	umask := fs.FileMode(0o027)
	for _, c := range []struct {
		command, made string
		mode          fs.FileMode
	}{{compileB, "o/b.o", 0o640}, {"gcc o/b.o -o o/b", "o/b", 0o750}} {
		r, err := b.node.Client.RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(c.command), Umask: &umask})
		if err != nil || len(r.Local) > 0 || r.ExitCode != 0 {
			t.Fatalf("%s: %+v, %v", c.command, r, err)
		}
		if info, err := os.Stat(filepath.Join(b.dir, c.made)); err != nil || info.Mode().Perm() != c.mode {
			t.Errorf("%s: %v, %v; want %v", c.made, info, err, c.mode)
		}
	}
	b.end()
}
