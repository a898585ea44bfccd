//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

const (
	compilesOfMake = 9                  // of makeTree
	stepsOfMake    = compilesOfMake + 1 // with the link
)

// makeTree is a project of make, with a directory below that a make of its own builds.
func makeTree(t *testing.T) string {
	t.Helper()
	files := map[string]string{
		"Makefile": "OBJS = $(patsubst %.c,%.o,$(wildcard *.c))\nCFLAGS = -O1 -g -Wall -I.\nall: prog\n" +
			"prog: $(OBJS) low\n\t$(CC) -o $@ $(OBJS) low/low.o\n.PHONY: low\nlow: ; $(MAKE) -C low\nclean: ; rm -f *.o low/*.o prog\n",
		"low/Makefile": "low.o: low.c ../all.h\n\t/usr/bin/gcc -O1 -g -I.. -MD -MF low.d -c -o $@ $<\n",
		"low/low.c":    "#include \"all.h\"\nint low(void) { return N; }\n",
		"all.h":        "#include <stdio.h>\n#define N 1\nint low(void);\n",
		"main.c":       "#include \"all.h\"\nint main(void) { int unused; return puts(__FILE__) < low(); }\n",
	}
	for i := range compilesOfMake - 2 {
		files[fmt.Sprintf("f%d.c", i)] = fmt.Sprintf("#include \"all.h\"\nint f%d(void) { return puts(__FILE__) + N; }\n", i)
	}
	dir, err := filepath.EvalSymlinks(nodetest.Tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// objects are what the tree's makefiles make, by path.
func objects(t *testing.T, dir string) map[string]string {
	t.Helper()
	return contents(t, dir, "prog", "*.o", "low/*.o", "low/*.d")
}

// contents are the files that patterns below a directory match, by path.
func contents(t *testing.T, dir string, patterns ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			files[strings.TrimPrefix(p, dir+"/")] = string(text)
		}
	}
	return files
}

// intercepted runs `buildnet build -- COMMAND`, and returns what the node keeps of
// it.
func intercepted(t *testing.T, n *nodetest.Node, dir string, command ...string) (out, talk string, f event.BuildFinished) {
	t.Helper()
	var stdout, stderr, record bytes.Buffer
	run := func(out *bytes.Buffer, args ...string) int {
		return cli.Run(context.Background(), append([]string{"--home", n.Home}, args...), cli.System{Stdout: out, Stderr: &stderr, Environ: os.Environ()})
	}
	if status := run(&stdout, append([]string{"build", "-C", dir, "--"}, command...)...); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if status := run(&record, "builds", "show", "--json"); status != 0 {
		t.Fatalf("builds show: status %d\n%s", status, &stderr)
	}
	var kept struct {
		Summary event.BuildFinished `json:"summary"`
	}
	if err := json.Unmarshal(record.Bytes(), &kept); err != nil {
		t.Fatalf("%v in %s", err, &record)
	}
	return stdout.String(), stderr.String(), kept.Summary
}

func TestAMakefileIsBuiltOnThreeNodes(t *testing.T) {
	dir := makeTree(t)
	plain := func() {
		t.Helper()
		c := exec.Command("make")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("make: %v\n%s", err, out)
		}
	}
	plain()
	want := objects(t, dir)
	clean := func() {
		t.Helper()
		if err := exec.Command("make", "-C", dir, "clean").Run(); err != nil {
			t.Fatal(err)
		}
	}
	clean()
	nodes := nodetest.Mesh(t, 3, 1)

	out, talk, f := intercepted(t, nodes[0], dir, "make")
	t.Logf("remote %d, here %d: %v", f.RunRemote, f.RunLocal, f.LocalReasons)
	if f.RunRemote == 0 || f.Executed != stepsOfMake || f.Steps != stepsOfMake || !strings.Contains(talk, "ran on others") {
		t.Errorf("the first build: %+v\n%s", f, talk)
	}
	if strings.Count(out, " -c ") != compilesOfMake || strings.Count(talk, "unused variable") != 1 {
		t.Errorf("it said %s\n%s", out, talk)
	}
	compare(t, "the first build", want, objects(t, dir))

	clean()
	if _, talk, f = intercepted(t, nodes[0], dir, "make", "-j4"); f.CachedLocal+f.CachedMesh != stepsOfMake || strings.Count(talk, "unused variable") != 1 {
		t.Errorf("after clean: %+v\n%s", f, talk)
	}
	compare(t, "the build after clean", want, objects(t, dir))

	// What changes below a makefile that does not know of it.
	if err := os.WriteFile(filepath.Join(dir, "all.h"), []byte("#include <stdio.h>\n#define N 2\nint low(void);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clean()
	intercepted(t, nodes[0], dir, "sh", "-c", "make -j3")
	theirs := objects(t, dir)
	clean()
	plain()
	compare(t, "the build after the edit", objects(t, dir), theirs)
}
