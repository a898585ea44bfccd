//go:build lab && linux

package lab

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupPIDs returns the processes of a cgroup and of those below it.
func cgroupPIDs(dir string) []int {
	var pids []int
	for _, d := range subtree(dir) {
		raw, err := os.ReadFile(filepath.Join(d, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(raw)) {
			// 0 is a process of a pid namespace that this one does not see.
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// apart reports whether two paths are of different directories that are there.
func apart(a, b string) bool {
	ia, err := os.Stat(a)
	ib, err2 := os.Stat(b)
	return err == nil && err2 == nil && !os.SameFile(ia, ib)
}

// killPID ends a process that the lab has started: it is in one of its cgroups,
// or of its hosts.
func killPID(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }

// endCgroup removes a cgroup and kills what runs in it.
func endCgroup(dir string) {
	for _, pid := range cgroupPIDs(dir) {
		killPID(pid)
	}
	removeCgroup(dir)
}

// removeCgroup removes a cgroup whose processes have ended.
func removeCgroup(dir string) {
	for range 100 {
		dirs := subtree(dir)
		slices.Reverse(dirs)
		for _, d := range dirs {
			_ = os.Remove(d)
		}
		if _, err := os.Stat(dir); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// subtree returns dir and the directories below it, each before its own.
func subtree(dir string) []string {
	var dirs []string
	_ = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	return dirs
}
