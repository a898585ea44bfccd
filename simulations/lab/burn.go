//go:build lab && linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// ticks is the unit of the CPU times in proc_pid_stat(5).
const ticks = 10 * time.Millisecond

// Burn is a project of steps that want a processor each for as long as they are
// left to it: longer than any test.
type Burn struct {
	// Tag is in every command: it tells their processes from others.
	Tag   string
	Parts int
}

// In writes the project to a directory of the host, which it returns.
func (b Burn) In(t *testing.T, h *Host) string {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": fmt.Sprintf(`version: 1
packages:
  - name: burn
    steps:
      - foreach: "src/*.txt"
        run: ": %s; while :; do :; done; cat {in} > out/{stem}.out"
        tools: [sh, cat]
        outputs: ["out/{stem}.out"]
`, b.Tag)}
	for i := range b.Parts {
		files[fmt.Sprintf("src/%03d.txt", i)] = fmt.Sprintf("%s %d\n", b.Tag, i)
	}
	dir := filepath.Join(h.Dir, b.Tag)
	writeTree(t, dir, files)
	return dir
}

// burnt is the CPU time of the host's processes with tag in their command line.
func (h *Host) burnt(tag string) time.Duration {
	var sum time.Duration
	for _, pid := range h.pids() {
		proc := "/proc/" + strconv.Itoa(pid)
		line, err := os.ReadFile(proc + "/cmdline")
		if err != nil || !bytes.Contains(line, []byte(tag)) {
			continue
		}
		raw, err := os.ReadFile(proc + "/stat")
		if err != nil {
			continue
		}
		fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
		for _, f := range fields[11:13] { // utime, stime
			n, _ := strconv.ParseInt(string(f), 10, 64)
			sum += time.Duration(n) * ticks
		}
	}
	return sum
}
