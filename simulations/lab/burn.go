//go:build lab && linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Burn is a project of steps that depend on nothing and want a processor each.
type Burn struct {
	// Tag is in every command: it tells their processes from others, and
	// projects with different tags share no action.
	Tag   string
	Parts int
	// Loops is what a step has to do; without it, it goes on for as long as it
	// is left to that, longer than any test. 100,000 are a tenth of a second.
	Loops int
}

// command is what a step runs before its output is there.
func (b Burn) command() string {
	if b.Loops == 0 {
		return fmt.Sprintf(": %s; while :; do :; done", b.Tag)
	}
	return fmt.Sprintf(": %s; i=0; while [ $i -lt %d ]; do i=$((i+1)); done", b.Tag, b.Loops)
}

// In writes the project to a directory of the host, which it returns.
func (b Burn) In(t *testing.T, h *Host) string {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": fmt.Sprintf(`version: 1
packages:
  - name: burn
    steps:
      - foreach: "src/*.txt"
        run: "%s; cat {in} > out/{stem}.out"
        tools: [sh, cat]
        outputs: ["out/{stem}.out"]
`, b.command())}
	for i := range b.Parts {
		files[fmt.Sprintf("src/%03d.txt", i)] = fmt.Sprintf("%s %d\n", b.Tag, i)
	}
	dir := filepath.Join(h.Dir, b.Tag)
	WriteTree(t, dir, files)
	return dir
}

// burnt is the CPU time of the host's processes with tag in their command line.
func (h *Host) burnt(tag string) time.Duration {
	var sum time.Duration
	for _, pid := range h.pids() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !bytes.Contains(line, []byte(tag)) {
			continue
		}
		if used, err := UsedBy(pid); err == nil { // else it has ended
			sum += used
		}
	}
	return sum
}
