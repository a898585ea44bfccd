//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// Sleepy is a project of many steps that wait and cost next to nothing, so
// that builds of it are long enough to be disturbed on any machine.
type Sleepy struct {
	// Tag is in every file: projects with different tags share no action.
	Tag string
	// Parts are steps that depend on nothing. One more step joins them.
	Parts int
	// Step is how long each of them takes.
	Step time.Duration
}

// Steps is how many steps the project has.
func (s Sleepy) Steps() int { return s.Parts + 1 }

// Make writes the project to dir.
func (s Sleepy) Make(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": fmt.Sprintf(`version: 1
packages:
  - name: sleepy
    steps:
      - foreach: "src/*.txt"
        run: "sleep %.2f; cat {in} {in} > out/{stem}.out"
        tools: [sh, sleep, cat]
        outputs: ["out/{stem}.out"]
      - run: "cat {outputs:out/*.out} > all.txt"
        tools: [sh, cat]
        outputs: ["all.txt"]
`, s.Step.Seconds())}
	for i := range s.Parts {
		files[fmt.Sprintf("src/%03d.txt", i)] = s.line(i)
	}
	WriteTree(t, dir, files)
}

// In writes the project to a directory of the host, which it returns.
func (s Sleepy) In(t *testing.T, h *Host) string {
	t.Helper()
	dir := filepath.Join(h.Dir, s.Tag)
	s.Make(t, dir)
	return dir
}

func (s Sleepy) line(part int) string { return fmt.Sprintf("%s %d\n", s.Tag, part) }

// Check checks what a build of the project made in dir.
func (s Sleepy) Check(t *testing.T, dir string) {
	t.Helper()
	var want strings.Builder
	for i := range s.Parts {
		want.WriteString(strings.Repeat(s.line(i), 2))
	}
	got, err := os.ReadFile(filepath.Join(dir, "all.txt"))
	if err != nil || string(got) != want.String() {
		t.Errorf("%s: all.txt holds %d bytes, want %d, or others: %v", dir, len(got), want.Len(), err)
	}
}

// executedAll reports whether a build of what nobody knew has executed each of
// the steps. Where it lost a leader, which a busy machine may make it believe,
// the next one finds in the cache what was executed for the one before.
func (s Sleepy) executedAll(f event.BuildFinished) bool {
	if f.Epoch > 1 {
		return f.Executed+f.CachedLocal+f.CachedMesh == s.Steps()
	}
	return f.Executed == s.Steps()
}

// Sound checks that no blob of the host's cache is corrupt.
func Sound(t *testing.T, h *Host) {
	t.Helper()
	if o := h.Buildnet("cache", "verify", "--json"); o.Exit != 0 || !strings.Contains(o.Stdout, `"corrupt":[]`) {
		t.Errorf("host %s: cache verify: exit status %d: %s%s", h.Name, o.Exit, o.Stdout, o.Stderr)
	}
}
