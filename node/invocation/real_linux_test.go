package invocation_test

import (
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
		record, err := b.node.Client.ShowBuild(t.Context(), b.id)
		if err != nil || len(record.Events) != len(b.events) {
			t.Errorf("%d of %d events are kept: %v", len(record.Events), len(b.events), err)
		}
	}
}
