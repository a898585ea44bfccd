package invocation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// manySources are C files that include one header each, and one that all do.
func manySources(n int) (files map[string]string, command string) {
	files = map[string]string{"i/all.h": "#define ALL 1\n", "i/seldom.h": "#define X\n"}
	command = "gcc -Ii -DSELDOM -MM"
	for i := range n {
		p := fmt.Sprintf("s/%02d.c", i)
		files[p] = fmt.Sprintf("#include <all.h>\n#include <stdio.h>\n#include \"%02d.h\"\n#ifdef SELDOM\n#include <seldom.h>\n#endif\nint x%d;\n", i, i)
		files[fmt.Sprintf("s/%02d.h", i)] = ""
		command += " " + p
	}
	return files, command
}

// lists runs a command for which the client gives back what is for stdout.
func (b *bench) lists(command string) api.CommandResult {
	b.Helper()
	r, err := b.node.Client.RunCommand(b.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(command), Stdout: true})
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return r
}

// What many sources would read is found out in parts, by members, and is what the
// compiler prints here; of what has changed since, anew.
func TestSourcesAreListedInParts(t *testing.T) {
	files, command := manySources(20)
	b := newBench(t, mesh(t, 2)[0], files)
	for _, c := range []struct {
		change            func()
		executed, fromOwn int
	}{
		{func() {}, 3, 0},
		{func() {}, 0, 3},
		{func() { b.write("s/09.c", "#include <all.h>\n") }, 1, 2},
	} {
		c.change()
		want, _ := b.plainly(command)
		b.begin(api.InvocationRequest{})
		r := b.lists(command)
		if len(r.Local) > 0 || !r.Stdout || r.ExitCode != 0 || string(r.Output) != want {
			t.Errorf("%v, stdout %v, exit %d: %s\nwant %s", r.Local, r.Stdout, r.ExitCode, r.Output, want)
		}
		if f := b.end(); f.Steps != 3 || f.Executed != c.executed || f.CachedLocal != c.fromOwn || f.Failed+f.NotRun != 0 {
			t.Errorf("%+v, want %d executed and %d of the cache", f, c.executed, c.fromOwn)
		}
		for _, e := range b.events {
			if o, is := e.(event.StepOutput); is {
				t.Errorf("a list is shown: %+v", o)
			}
		}
	}
}

// Where that cannot be the command runs here, as a whole.
func TestWhatCannotBeListedInParts(t *testing.T) {
	files, command := manySources(20)
	files["s/bad.c"] = "#include \"gone.h\"\n"
	files["s/warned.c"] = "#warning it is told\n"
	nodes := mesh(t, 2)
	for name, c := range map[string]struct {
		command string
		local   bool
		stdout  bool
	}{
		"few sources":                    {"gcc -Ii -MM s/00.c s/01.c", false, true},
		"a header is missing":            {command + " s/bad.c", false, true},
		"something else is printed":      {command + " -MP", false, true},
		"no other member is to be asked": {command, true, true},
		"stdout is not given back":       {command, false, false},
		"it makes a file":                {command + " -MF o.d", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nodes[0], files)
			b.begin(api.InvocationRequest{Local: c.local})
			var r api.CommandResult
			if c.stdout {
				r = b.lists(c.command)
			} else {
				r = b.run(c.command)
			}
			if len(r.Local) == 0 {
				t.Fatalf("%+v", r)
			}
			r.Release()
			b.end()
		})
	}
}
