//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dirPrefix begins the name of a lab's directory, which holds the files of its
// hosts and, each mounted on a file, their network namespaces.
const dirPrefix = "buildnet-lab-"

// removeStale takes away what labs have left whose test process was killed
// before it could: processes, cgroups, namespaces and files. It touches
// nothing of a process that still runs. Without cgroups the argument is empty.
func removeStale(cgroups string) {
	if cgroups != "" {
		left, _ := filepath.Glob(filepath.Join(cgroups, "bn*-*"))
		for _, dir := range left {
			if stale(filepath.Base(dir)) {
				endCgroup(dir)
			}
		}
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range left {
		if stale(strings.TrimPrefix(filepath.Base(dir), dirPrefix)) {
			removeDir(dir)
		}
	}
}

// removeDir removes a lab's directory with all that is mounted in it.
func removeDir(dir string) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		for line := range strings.Lines(string(mounts)) {
			// The mount point is the fifth field: proc_pid_mountinfo(5).
			if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
				_ = syscall.Unmount(fields[4], syscall.MNT_DETACH)
			}
		}
	}
	_ = os.RemoveAll(dir) // another user's stays
}

// stale says whether name is a lab's and its process is gone.
func stale(name string) bool {
	var pid, n int
	if _, err := fmt.Sscanf(name, "bn%d-%d", &pid, &n); err != nil || name != fmt.Sprintf("bn%d-%d", pid, n) {
		return false
	}
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return os.IsNotExist(err)
}
