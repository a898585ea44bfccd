package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/ninja"
	"github.com/buildnet/buildnet/node/nodetest"
)

const (
	compilesOfTree = 9 // eight of the library, one of the program
	commandsOfTree = compilesOfTree + 3
)

// cmakeTree is a C++ project as CMake writes it for ninja: a generated header, a
// static library, and a program.
func cmakeTree(t *testing.T) string {
	t.Helper()
	files := map[string]string{
		"src/inc/base.h": "#pragma once\n#include <vector>\ninline int base() { return 1; }\n",
		"src/inc/deep.h": "#pragma once\n#include \"base.h\"\ninline int deep() { return base() + 1; }\n",
		"src/version.in": "7\n",
		"src/main.cc":    "#include <cstdio>\n#include \"version.h\"\nint f0();\nint main() { std::printf(\"%d\\n\", f0() + VERSION); }\n",
	}
	var m strings.Builder
	m.WriteString(`ninja_required_version = 1.5
rule CXX
  depfile = $DEP_FILE
  deps = gcc
  command = /usr/bin/c++ $DEFINES $INCLUDES $FLAGS -MD -MT $out -MF $DEP_FILE -o $out -c $in
  description = Building CXX object $out
rule AR
  command = : && /usr/bin/cmake -E rm -f $out && /usr/bin/ar qc $out $in && /usr/bin/ranlib $out && :
  description = Linking CXX static library $out
  restat = $RESTAT
rule LINK
  command = : && /usr/bin/c++ $FLAGS $in -o $out && :
  description = Linking CXX executable $out
  restat = $RESTAT
rule CUSTOM_COMMAND
  command = $COMMAND
  description = $DESC
rule RERUN_CMAKE
  command = cmake --regenerate-during-build
  generator = 1
build gen/version.h: CUSTOM_COMMAND ../src/version.in
  COMMAND = cd gen && sed 's/^/#define VERSION /' ../../src/version.in > version.h
  DESC = Generating version.h
  restat = 1
build all: phony app
default all
`)
	var objects []string
	object := func(source string) string {
		out := "CMakeFiles/x.dir/" + source + ".o"
		fmt.Fprintf(&m, "build %s: CXX ../src/%s || gen/version.h\n  DEP_FILE = %s.d\n  FLAGS = -g -O1\n  INCLUDES = -I../src/inc -Igen\n", out, source, out)
		return out
	}
	for i := range compilesOfTree - 1 {
		header := "base"
		if i%2 == 1 {
			header = "deep"
		}
		files[fmt.Sprintf("src/f%d.cc", i)] = fmt.Sprintf("#include \"%s.h\"\n#include <string>\nint f%d() { return %s() + (int)std::string(__FILE__).size(); }\n", header, i, header)
		objects = append(objects, object(fmt.Sprintf("f%d.cc", i)))
	}
	fmt.Fprintf(&m, "build libf.a: AR %s\nbuild app: LINK %s libf.a\n  FLAGS = -g\n", strings.Join(objects, " "), object("main.cc"))
	files["build/build.ninja"] = m.String()
	files["build/gen/.keep"] = ""
	dir, err := filepath.EvalSymlinks(nodetest.Tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tools are what the tree needs of the machine.
func tools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ninja", "cmake", "c++", "ar"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%v: .ci/deps installs it", err)
		}
	}
}

func realNinja(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ninja", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ninja %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// made are the files that a build makes, by path, but for ninja's own.
func made(t *testing.T, dir string) map[string]string {
	t.Helper()
	return contents(t, dir, "app", "libf.a", "gen/*.h", "CMakeFiles/x.dir/*")
}

// ninjaBuild builds with `buildnet build --json`, and returns what the steps and
// the build came to.
func ninjaBuild(t *testing.T, n *nodetest.Node, dir string, args ...string) ([]event.StepFinished, event.BuildFinished) {
	t.Helper()
	var out, talk bytes.Buffer
	all := append([]string{"--home", n.Home, "build", "-C", dir, "--json"}, args...)
	status := cli.Run(context.Background(), all, cli.System{
		Stdout: &out, Stderr: &talk, Environ: os.Environ(), Manifest: ninja.ThisProcess().Share,
	})
	if status != 0 || talk.Len() > 0 {
		t.Fatalf("status %d\n%s%s", status, &out, &talk)
	}
	var steps []event.StepFinished
	var last event.BuildFinished
	for line := range strings.Lines(out.String()) {
		e, err := event.Decode([]byte(line))
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch e := e.(type) {
		case event.StepFinished:
			steps = append(steps, e)
		case event.BuildFinished:
			last = e
		}
	}
	if !last.OK {
		t.Fatalf("it ended with %+v\n%s", last, &out)
	}
	return steps, last
}

func TestACMakeProjectIsBuiltOnThreeNodes(t *testing.T) {
	tools(t)
	root := cmakeTree(t)
	dir := filepath.Join(root, "build")
	realNinja(t, dir)
	want := made(t, dir)
	realNinja(t, dir, "-t", "clean")
	nodes := nodetest.Mesh(t, 3, 1)

	trace := filepath.Join(t.TempDir(), "trace.json")
	steps, f := ninjaBuild(t, nodes[0], dir, "--trace", trace)
	checkTrace(t, trace, f)
	t.Logf("remote %d, here %d: %v", f.RunRemote, f.RunLocal, f.LocalReasons)
	if f.RunRemote == 0 || f.Steps != commandsOfTree || f.Executed != commandsOfTree {
		t.Errorf("the first build: %+v", f)
	}
	here := 0
	for _, s := range steps {
		if s.Why == "" {
			t.Errorf("no reason why %s has run", s.Step)
		}
		here += min(len(s.Here), 1)
	}
	if here != f.RunLocal {
		t.Errorf("%d steps say why they ran here, and %d did", here, f.RunLocal)
	}
	if told := ok(t, nodes[0], "build", "-C", dir, "--why-local"); !strings.Contains(told, fmt.Sprintf("%d of %d steps of build %s ran here:\n", here, commandsOfTree, f.Build)) {
		t.Errorf("why local: %s", told)
	}
	compare(t, "the first build", want, made(t, dir))
	if out := realNinja(t, dir); !strings.Contains(out, "no work to do") {
		t.Errorf("ninja goes on with %s", out)
	}
	if _, f := ninjaBuild(t, nodes[0], dir); f.Tier != event.InstantSkip || f.Steps != 0 {
		t.Errorf("with nothing to do: %+v", f)
	}

	realNinja(t, dir, "-t", "clean")
	_, f = ninjaBuild(t, nodes[0], dir)
	if cached := f.CachedLocal + f.CachedMesh; cached < compilesOfTree {
		t.Errorf("after clean: %+v", f)
	}
	compare(t, "the build after clean", want, made(t, dir))

	header := filepath.Join(root, "src", "inc", "deep.h")
	if err := os.WriteFile(header, []byte("#pragma once\n#include \"base.h\"\ninline int deep() { return base() + 2; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	due := strings.Count(realNinja(t, dir, "-n"), "\n")
	steps, f = ninjaBuild(t, nodes[0], dir)
	if len(steps) != due || f.Steps != due || due != 4+2 {
		t.Errorf("after the edit of a header %d steps have run, ninja would have run %d: %+v", len(steps), due, f)
	}
	told := ok(t, nodes[0], "explain", "-C", dir, "CMakeFiles/x.dir/f1.cc.o")
	for _, part := range []string{"it was run on ", f.Build, "older than most recent input ../src/inc/deep.h", "  input  " + root[1:] + "/src/inc/deep.h  "} {
		if !strings.Contains(told, part) {
			t.Errorf("explained without %q: %s", part, told)
		}
	}
	if told = ok(t, nodes[0], "explain", "-C", dir, "app"); !strings.Contains(told, "app: libf.a is dirty\nlibf.a: CMakeFiles/x.dir/f1.cc.o is dirty\n") {
		t.Errorf("the program is explained by %s", told)
	}
	theirs := made(t, dir)
	realNinja(t, dir, "-t", "clean")
	realNinja(t, dir)
	compare(t, "the build after the edit", made(t, dir), theirs)
}

// checkTrace checks that a trace has every step that was run, on as many machines
// as they ran.
func checkTrace(t *testing.T, path string, f event.BuildFinished) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Cat string
			Pid int
		}
	}
	if err := json.Unmarshal(text, &trace); err != nil {
		t.Fatal(err)
	}
	runs, machines := 0, map[int]bool{}
	for _, e := range trace.TraceEvents {
		if e.Cat == "run" {
			runs++
			machines[e.Pid] = true
		}
	}
	if runs != f.Executed || len(machines) != len(f.ByPeer) {
		t.Errorf("the trace has %d runs on %d machines, there were %d on %d", runs, len(machines), f.Executed, len(f.ByPeer))
	}
}

func compare(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %s has %d bytes, want %d, or others", what, name, len(got[name]), len(text))
		}
	}
	if len(want) != len(got) {
		t.Errorf("%s made %v", what, slices.Sorted(maps.Keys(got)))
	}
}
