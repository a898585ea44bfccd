package remote_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/memory"
)

const debug = "gcc -g -O2 -Ii -c s/a.c -o o/a.o -MD -MF o/a.d"

// What is checked out again at the same place, on a machine that knows nothing,
// is the same action.
func TestSameContentAtTheSamePlaceIsTheSameAction(t *testing.T) {
	b := newBench(t, project)
	want := b.step(debug).Action
	if got := b.step(debug).Action; got != want {
		t.Errorf("again: %v, want %v", got, want)
	}
	b.do(os.RemoveAll(b.dir))
	for p, content := range project {
		b.write(p, content)
	}
	b.write("s/unrelated.c", "int x;\n")
	b.do(os.Chtimes(filepath.Join(b.dir, "s/a.c"), time.Unix(1, 0), time.Unix(1, 0)))
	b.blobs, b.kv = memory.New(1<<30), &memory.KV{}
	b.fresh()
	if got := b.step(debug).Action; got != want {
		t.Errorf("checked out again: %v, want %v", got, want)
	}
}

func TestWhatIsInTheKeyAndWhatIsNot(t *testing.T) {
	b := newBench(t, project)
	want := b.step(debug).Action
	for name, tc := range map[string]struct {
		command, env string
		same         bool
	}{
		"TMPDIR":       {debug, "TMPDIR=/var/tmp", true},
		"HOME":         {debug, "HOME=/x", true},
		"PATH":         {debug, "PATH=/bin:" + actionPath, true},
		"PWD":          {debug, "PWD=" + b.dir, true},
		"Terminal":     {debug, "TERM=xterm", true},
		"LANG":         {debug, "LANG=C.UTF-8", false},
		"Depfile":      {strings.ReplaceAll(debug, "o/a.d", "o/b.d"), "", false},
		"Object":       {strings.ReplaceAll(debug, "o/a.o", "o/b.o"), "", false},
		"OrderOfFlags": {strings.ReplaceAll(debug, "-g -O2", "-O2 -g"), "", false},
		"Flag":         {strings.ReplaceAll(debug, "-g ", "-g -DX "), "", false},
		"ItsQuotes":    {strings.ReplaceAll(debug, "-O2", "'-O2'"), "", true},
	} {
		before := b.env
		b.env = map[string]string{"PATH": actionPath}
		b.set(tc.env)
		if got := b.step(tc.command).Action; (got == want) != tc.same {
			t.Errorf("%s: the same action: %v, want %v", name, got == want, tc.same)
		}
		b.env = before
	}
	b.write("s/x.h", "#define X 7\n")
	b.begin()
	if b.step(debug).Action == want {
		t.Error("another content of a header is the same action")
	}
}

// A file that was written in the middle of a build is looked at again when
// somebody says so, and what was made of it before is known.
func TestFilesThatChangeInABuild(t *testing.T) {
	b := newBench(t, project)
	before := b.step(debug).Action
	if changed, err := b.desk.Changed(t.Context()); err != nil || len(changed) > 0 {
		t.Errorf("changed: %v, %v", changed, err)
	}
	b.write("s/x.h", "#define X 12345\n")
	if got := b.step(debug).Action; got != before {
		t.Error("a file is looked at twice in a build in which nothing was said to change")
	}
	changed, err := b.desk.Changed(t.Context())
	if err != nil || len(changed) != 1 || changed[0] != b.dir+"/s/x.h" {
		t.Errorf("changed: %v, %v", changed, err)
	}
	b.do(b.desk.Made(t.Context(), b.dir+"/s/x.h"))
	after := b.step(debug).Action
	if after == before {
		t.Error("what was made is not seen")
	}
	b.write("i/y.h", "#define Y 3\n")
	b.do(b.desk.Stir(t.Context()))
	if b.step(debug).Action == after {
		t.Error("what a command may have written is not seen")
	}
}

func TestResponseFilesAreInPlace(t *testing.T) {
	b := newBench(t, project)
	p := b.step("gcc @args -c s/a.c -o o/a.o")
	if got := strings.Join(p.Step.Argv, " "); got != "/usr/bin/gcc -DFROM=a file -Ii -O2 -c s/a.c -o o/a.o" {
		t.Errorf("%s", got)
	}
}

func TestMessagesForATerminalHaveColours(t *testing.T) {
	b := newBench(t, project)
	r := b.request("gcc -Wall -c s/warn.c -o o/a.o")
	r.Terminal = true
	p, err := b.desk.Prepare(t.Context(), r)
	b.do(err)
	o, _ := b.through(p)
	if !strings.Contains(string(o.Said), "\x1b[") || o.ExitCode != 0 {
		t.Errorf("%q", o.Said)
	}
}

// compiles are as many headers as one large C++ file has of its own project.
func large() map[string]string {
	files := map[string]string{}
	var all strings.Builder
	for i := range 300 {
		name := fmt.Sprintf("part%d/header%d.h", i%20, i)
		files["i/"+name] = fmt.Sprintf("#pragma once\nint f%d(int);\n", i)
		fmt.Fprintf(&all, "#include <%s>\n", name)
	}
	files["i/all.h"] = all.String()
	for i := range 8 {
		files[fmt.Sprintf("s/%d.c", i)] = fmt.Sprintf("#include <all.h>\nint g%d;\n", i)
	}
	for i := range 8 {
		files[fmt.Sprintf("s/%d.cc", i)] = fmt.Sprintf("#include <iostream>\n#include <map>\n#include <regex>\n#include <thread>\nint g%d;\n", i)
	}
	files["o/keep"] = ""
	return files
}

// A file that the graph is to make yet keeps a compile here until it is made.
func TestWhatIsYetToBeMadeIsSaid(t *testing.T) {
	b := newBench(t, project)
	b.do(b.inputs.Expect(t.Context(), b.dir+"/s/x.h"))
	if p := b.prepare(debug); len(p.Coming) != 1 || !says(p.Local, "yet to be made") {
		t.Errorf("coming %v, only here: %v", p.Coming, p.Local)
	}
	b.write("s/x.h", "#define X 9\n")
	b.do(b.desk.Made(t.Context(), b.dir+"/s/x.h"))
	b.compare(debug)
}

// BenchmarkPrepare is what it takes to make a step of a source with 300 headers:
// on a machine that has seen none of it, when a build begins, after a command
// that may have written anything, and when all but the source was in a step of
// this build before; then to look whether it is known, and to take it back. cpu-ms
// is CPU time.
func BenchmarkPrepare(b *testing.B) {
	x := newBench(b, large())
	command := func(i int) string { return fmt.Sprintf("gcc -g -Ii -c s/%d.c -o o/%d.o -MD", i%8, i%8) }
	for i := range 8 {
		x.step(command(i))
	}
	i := 0
	timed := func(do func()) func(*testing.B) {
		return func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				do()
			}
			b.ReportMetric(float64(cpu()-before)/1e6/float64(b.N), "cpu-ms/op")
		}
	}
	prepare := func() { i++; x.step(command(i)) }
	std := func() { i++; x.step(fmt.Sprintf("g++ -g -Ii -Ij -c s/%d.cc -o o/%d.o -MD", i%8, i%8)) }
	b.Run("cold", timed(func() { x.blobs, x.kv = memory.New(1<<30), &memory.KV{}; x.fresh(); prepare() }))
	x.fresh()
	prepare()
	b.Run("begun", timed(func() { x.begin(); prepare() }))
	b.Run("stirred", timed(func() { x.do(x.desk.Stir(b.Context())); prepare() }))
	for range 8 {
		prepare()
	}
	b.Run("warm", timed(prepare))
	for range 8 {
		std()
	}
	b.Run("warm, headers of the system", timed(std))
	p := x.step(command(0))
	r := x.elsewhere(&p.Step)
	finish := func() {
		if o, err := x.desk.Finish(b.Context(), p, p.Action, r); err != nil || o.Suspect != "" {
			b.Fatal(o.Suspect, err)
		}
	}
	finish()
	b.Run("finish", timed(finish))
	b.Run("known", timed(func() {
		if _, hit, err := x.desk.Known(b.Context(), p); err != nil || !hit {
			b.Fatal(hit, err)
		}
	}))
}
