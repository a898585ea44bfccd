//go:build lab && linux

package lab

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestLargeOutputsMove moves outputs of many megabytes to a host that built
// nothing, while one of those that hold them dies.
func TestLargeOutputsMove(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 4, 0.5, "--slots", "2")
	tree := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: large
    steps:
      - foreach: "src/*"
        run: "seq -f \"$(cat {in}) %.0f\" 1 3000000 > {stem}.out"
        tools: [sh, seq, cat]
        outputs: ["{stem}.out"]
`}
	for i := range 6 {
		tree[fmt.Sprint("src/", i)] = fmt.Sprint("part", i)
	}
	dirs := make([]string, len(hosts))
	for i, h := range hosts {
		dirs[i] = filepath.Join(h.Dir, "large")
		WriteTree(t, dirs[i], tree)
	}
	hosts[3].Cut() // it takes no part in the first two builds
	Await(t, hosts[0], 3, 30*time.Second)
	hosts[0].Build(dirs[0])
	if _, f := hosts[1].Build(dirs[1]); f.Executed != 0 || f.CachedMesh+f.CachedLocal != f.Steps {
		t.Errorf("on the second host: %+v", f)
	}
	hosts[3].Heal()
	Await(t, hosts[3], 4, 60*time.Second)

	b := hosts[3].Start(dirs[3])
	b.Until(func(e event.Event) bool { _, ok := e.(event.StepFinished); return ok })
	nodes[0].Kill()
	if status := b.Wait(); status != 0 {
		t.Fatalf("exit status %d: %s %+v", status, b.Stderr(), last(b.Events(), 5))
	}
	f := b.Finished()
	if f.Executed != 0 {
		t.Errorf("what the second host holds was executed again: %+v", f)
	}
	t.Logf("%d MB in %.0f ms", f.BytesIn>>20, f.WallMS)
	for i := range 6 {
		name := fmt.Sprint(i, ".out")
		if a, b := sum(t, filepath.Join(dirs[0], name)), sum(t, filepath.Join(dirs[3], name)); a != b {
			t.Errorf("%s differs", name)
		}
	}
}

func sum(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil || len(content) < 10<<20 {
		t.Fatalf("%s: %d bytes, %v", file, len(content), err)
	}
	return sha256.Sum256(content)
}
