//go:build lab && linux

package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

// sources is how many files the project of TestAnotherCompiler has: enough for
// each of three hosts.
const sources = 40

// flags have what the compiler is written into the object.
var flags = []string{"-O1", "-g"}

// TestAnotherCompiler has a worker whose gcc is another version. Whoever builds,
// the objects are what the builder's own gcc makes.
func TestAnotherCompiler(t *testing.T) {
	usual, other := lab.TwoCompilers(t)
	l := lab.New(t)
	hosts := []*lab.Host{l.Host(power), l.Host(power), l.Host(power)}
	hosts[1].Bind(other, usual)
	nodes := []*lab.Node{hosts[0].Up()}
	token := lab.Invite(t, hosts[0], "--lan")
	for _, h := range hosts[1:] {
		nodes = append(nodes, h.Up("--join", token))
	}
	for _, h := range hosts {
		lab.Await(t, h, len(hosts), 20*time.Second)
	}
	var first [2][]byte
	for i, h := range hosts[:2] {
		dir := filepath.Join(h.Dir, "versions")
		manifest(t, dir)
		_, f := h.Build(dir)
		t.Logf("from %s: %+v", h.Name, f)
		if i == 0 && f.RunRemote == 0 {
			t.Errorf("nobody compiled for %s: %+v", h.Name, f)
		}
		first[i] = checkObjects(t, h, dir)
	}
	if bytes.Equal(first[0], first[1]) {
		t.Error("both compilers make the same: the test shows nothing")
	}
}

// manifest writes a project of C files.
func manifest(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{}
	ninja := "rule cc\n  command = gcc " + strings.Join(flags, " ") + " -MMD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc\n"
	for n := range sources {
		var b strings.Builder
		fmt.Fprintf(&b, "#include <stdio.h>\n#include <stdlib.h>\n")
		for i := range 100 {
			fmt.Fprintf(&b, "int f%d_%d(int x) { for (int i = 0; i < x; i++) x += printf(\"%%d %s\", abs(i)); return x; }\n", n, i, dir)
		}
		files[fmt.Sprintf("%d.c", n)] = b.String()
		ninja += fmt.Sprintf("build %d.o: cc %d.c\n", n, n)
	}
	files["build.ninja"] = ninja
	lab.WriteTree(t, dir, files)
}

// checkObjects compares all objects with what the host's gcc makes, and returns
// the first.
func checkObjects(t *testing.T, h *lab.Host, dir string) (first []byte) {
	t.Helper()
	script := `for n in $(seq 0 ` + fmt.Sprint(sources-1) + `); do gcc ` + strings.Join(flags, " ") + ` -c $n.c -o plain.o && cmp plain.o $n.o || exit 1; done`
	cmd := h.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("on %s: %v: %s", h.Name, err, out)
	}
	first, err := os.ReadFile(filepath.Join(dir, "0.o"))
	if err != nil {
		t.Fatal(err)
	}
	return first
}
