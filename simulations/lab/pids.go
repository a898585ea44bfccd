//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pids returns the processes of the host.
func (h *Host) pids() []int {
	if h.cgroup != "" {
		return cgroupPIDs(h.cgroup)
	}
	return namespacePIDs(h.lab.netns(h.Name))
}

// namespacePIDs returns the processes in a network namespace and those that
// descend from them: an action has a namespace of its own.
func namespacePIDs(netns string) []int {
	var ns syscall.Stat_t
	if syscall.Stat(netns, &ns) != nil {
		return nil
	}
	within := fmt.Sprintf("net:[%d]", ns.Ino)
	parents, inside := map[int]int{}, map[int]bool{}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		parent, ok := livingParent(dir)
		if err != nil || !ok {
			continue
		}
		parents[pid] = parent
		at, err := os.Readlink(filepath.Join(dir, "ns", "net"))
		inside[pid] = err == nil && at == within
	}
	var pids []int
	for pid := range parents {
		for p := pid; p != 0; p = parents[p] {
			if inside[p] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// livingParent reads the parent of a process from proc_pid_stat(5); a zombie
// is none.
func livingParent(dir string) (parent int, ok bool) {
	raw, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 2 || fields[0] == "Z" {
		return 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, err == nil
}
