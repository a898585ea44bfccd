package invocation_test

import (
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// told is run for a client that can tell what a command made.
func (b *bench) told(command string) api.CommandResult {
	b.Helper()
	r, err := b.node.Client.RunCommand(b.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(command), Tells: true})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return r
}

// directly runs a command as such a client does, and returns what became of it.
func (b *bench) directly(command string) (api.CommandResult, api.Kept) {
	b.Helper()
	r := b.told(command)
	if r.Ticket == "" {
		b.Fatalf("%s: no ticket: %+v", command, r)
	}
	defer r.Release()
	said, code := b.plainly(command)
	if code != 0 {
		if err := b.node.Client.FailCommand(b.Context(), b.id, api.CommandFailure{Step: r.Step, ExitCode: code, Output: said}); err != nil {
			b.Fatalf("%s: %v", command, err)
		}
		return r, api.Kept{}
	}
	kept, err := b.node.Client.Made(b.Context(), b.id, r.Ticket, api.Made{Output: []byte(said), CPU: 1000})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return r, kept
}

// A node that is alone has its client run commands, and keeps what they made.
func TestAloneCommandsRunAtTheClient(t *testing.T) {
	b := newBench(t, nodetest.Start(t, 2, ""), project)
	const warn = "gcc -Wall -Ii -c s/warn.c -o o/warn.o -MD -fdiagnostics-color=always"
	b.begin(api.InvocationRequest{Whole: true})
	for _, c := range []string{compileA, warn} {
		r, kept := b.directly(c)
		if kept.Why != "" || kept.Action == "" || len(r.Local) != 1 || r.Local[0] != "no other member is there" {
			t.Errorf("%s: %+v, %+v", c, r, kept)
		}
	}
	bad, _ := b.directly("gcc -Ii -c s/bad.c -o o/bad.o -MD")
	if len(bad.Local) != 1 {
		t.Errorf("%+v", bad)
	}
	if r := b.told("gcc -c s/b.c -o o/b.o"); r.Ticket != "" {
		t.Errorf("one that makes no depfile: %+v", r)
	} else if r.Release != nil {
		r.Release()
	}
	if f := b.end(); f.Steps != 4 || f.Executed != 3 || f.Failed != 1 || f.RunLocal != 4 || f.LocalReasons["no other member is there"] < 3 {
		t.Errorf("%+v", f)
	}
	var said, digests int
	for _, e := range b.events {
		switch e := e.(type) {
		case event.StepOutput:
			said++
		case event.StepFinished:
			if e.Digest != "" && e.Status == event.Executed {
				digests++
			}
		}
	}
	if said != 1 || digests != 3 {
		t.Errorf("%d outputs and %d digests are told", said, digests)
	}

	files := map[string]string{}
	for _, o := range []string{"o/a.o", "o/a.d", "o/warn.o"} {
		files[o] = b.taken(o)
	}
	said1, _ := b.plainly(warn)
	b.taken("o/warn.o")
	b.begin(api.InvocationRequest{})
	for c, want := range map[string]string{compileA: "", warn: said1} {
		if r := b.away(c); r.How != event.CachedLocal || string(r.Output) != want {
			t.Errorf("%s: %+v, want it to say %q", c, r, want)
		}
	}
	for o, want := range files {
		if got := b.taken(o); got != want {
			t.Errorf("%s has %d bytes, want %d, or others", o, len(got), len(want))
		}
	}
	b.end()
}

// What changes while the client runs a command is not kept.
func TestWhatChangesAtTheClientIsNotKept(t *testing.T) {
	b := newBench(t, nodetest.Start(t, 2, ""), project)
	b.begin(api.InvocationRequest{Whole: true})
	r := b.told(compileA)
	b.write("i/a.h", "#pragma once\ninline int a() { return 2; }\n")
	b.plainly(compileA)
	kept, err := b.node.Client.Made(t.Context(), b.id, r.Ticket, api.Made{})
	if err != nil || !strings.Contains(kept.Why, "may have changed") {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := b.node.Client.Made(t.Context(), b.id, r.Ticket, api.Made{}); err == nil {
		t.Error("it was told twice")
	}
	r.Release()
	if _, err := b.node.Client.Made(t.Context(), b.id, r.Ticket, api.Made{}); err == nil {
		t.Error("it was told after its slot was given back")
	}
	b.end()
	b.write("i/a.h", project["i/a.h"])
	b.begin(api.InvocationRequest{})
	if r := b.away(compileA); r.How != event.Executed {
		t.Errorf("%s", r.How)
	}
	b.end()
}

// A client that ends without a word leaves nothing behind.
func TestAClientThatDoesNotTellWhatItMade(t *testing.T) {
	b := newBench(t, nodetest.Start(t, 2, ""), project)
	b.begin(api.InvocationRequest{Whole: true})
	for range 3 {
		r := b.told(compileA)
		if r.Ticket == "" {
			t.Fatalf("%+v", r)
		}
		b.plainly(compileA)
		r.Release()
	}
	if f := b.end(); f.Executed != 3 {
		t.Errorf("%+v", f)
	}
}

// Where others could run a command nobody is given a ticket.
func TestAmongOthersCommandsDoNotRunAtTheClient(t *testing.T) {
	b := newBench(t, mesh(t, 2)[0], project)
	b.begin(api.InvocationRequest{Whole: true})
	if r := b.told(compileA); len(r.Local) > 0 {
		t.Errorf("%+v", r)
	}
	b.end()
	b.begin(api.InvocationRequest{Whole: true, Local: true})
	if r, kept := b.directly("g++ -O2 -Ii -c s/a.cc -o o/a.o -MD"); r.Local[0] != "--local was given" || kept.Why != "" {
		t.Errorf("%+v, %+v", r, kept)
	}
	b.end()
}
