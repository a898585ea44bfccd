//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// removeStale takes away what labs have left whose test process was killed
// before it could: processes, cgroups and namespaces. It touches nothing of a
// process that still runs.
func removeStale(cgroups string) {
	left, _ := filepath.Glob(filepath.Join(cgroups, "bn*-*"))
	for _, dir := range left {
		if !stale(filepath.Base(dir)) {
			continue
		}
		for _, pid := range cgroupPIDs(dir) {
			killPID(pid)
		}
		removeCgroup(dir)
	}
	names, err := os.ReadDir("/run/netns")
	if err != nil {
		return // no namespace was ever named
	}
	for _, e := range names {
		if stale(e.Name()) {
			_, _ = run("ip", "netns", "del", e.Name())
		}
	}
}

// stale says whether name is a lab's and its process is gone.
func stale(name string) bool {
	var pid, n int
	if _, err := fmt.Sscanf(name, "bn%d-%d", &pid, &n); err != nil || !strings.HasPrefix(name, fmt.Sprintf("bn%d-%d", pid, n)) {
		return false
	}
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return os.IsNotExist(err)
}
