//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setQuota gives the host cpus cores' time.
func (h *Host) setQuota(cpus float64) {
	h.cgroup = filepath.Join(h.lab.cgroup, h.Name)
	if err := os.Mkdir(h.cgroup, 0o755); err != nil {
		h.t.Fatalf("host %s: %v", h.Name, err)
	}
	if h.lab.accounting != "" {
		if err := os.Mkdir(filepath.Join(h.lab.accounting, h.Name), 0o755); err != nil {
			h.t.Fatalf("host %s: %v", h.Name, err)
		}
	}
	h.lab.weigh()
	if !h.lab.v2 {
		h.lab.write(filepath.Join(h.cgroup, "cpu.cfs_period_us"), strconv.Itoa(quotaPeriod))
	}
	h.Limit(cpus)
}

// Limit gives the host another quota, as a machine has that slows down.
func (h *Host) Limit(cpus float64) {
	h.t.Helper()
	if h.lab.v2 {
		h.lab.write(filepath.Join(h.cgroup, "cpu.max"), fmt.Sprint(int(cpus*quotaPeriod), quotaPeriod))
		return
	}
	// Version 1 refuses a quota below that of a group inside, such as the node's
	// group of actions: those are lowered before, the deepest first, and get what
	// they had back when there is room for it.
	for _, dir := range slices.Backward(subtree(h.cgroup)[1:]) {
		file := filepath.Join(dir, quotaFile)
		had := h.readInt(file)
		if part := cpus * float64(h.readInt(filepath.Join(dir, "cpu.cfs_period_us"))); had > int64(part) {
			h.lowered = append(h.lowered, lowered{file, had})
			h.lab.write(file, strconv.Itoa(int(part)))
		}
	}
	h.lab.write(filepath.Join(h.cgroup, quotaFile), strconv.Itoa(int(cpus*quotaPeriod)))
}

// Restore gives the host a higher quota again, and what is in it what Limit has
// taken from it.
func (h *Host) Restore(cpus float64) {
	h.t.Helper()
	was := h.lowered
	h.lowered = nil
	h.Limit(cpus)
	for _, l := range slices.Backward(was) {
		// The node may have removed the group meanwhile.
		_ = os.WriteFile(l.file, []byte(strconv.FormatInt(l.quota, 10)), 0o644)
	}
}

const quotaFile = "cpu.cfs_quota_us"

// lowered is a quota that Limit has lowered.
type lowered struct {
	file  string
	quota int64
}

func (h *Host) readInt(file string) int64 {
	h.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatalf("host %s: %v", h.Name, err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		h.t.Fatalf("host %s: %s: %v", h.Name, file, err)
	}
	return n
}

// Used is the CPU time of all that has run in the host.
func (h *Host) Used() time.Duration {
	h.t.Helper()
	return h.used(h.counted())
}

// counted is the group where the kernel counts what the host uses.
func (h *Host) counted() string {
	if h.lab.accounting != "" {
		return filepath.Join(h.lab.accounting, h.Name)
	}
	return h.cgroup
}

func (h *Host) used(group string) time.Duration {
	h.t.Helper()
	if !h.lab.v2 {
		return time.Duration(h.readInt(filepath.Join(group, "cpuacct.usage")))
	}
	text, err := os.ReadFile(filepath.Join(group, "cpu.stat"))
	if err != nil {
		h.t.Fatalf("host %s: %v", h.Name, err)
	}
	var usec int64
	if _, err := fmt.Sscanf(string(text), "usage_usec %d", &usec); err != nil {
		h.t.Fatalf("host %s: %q: %v", h.Name, text, err)
	}
	return time.Duration(usec) * time.Microsecond
}

// Part are processes of a host whose CPU time is counted apart, too.
type Part struct {
	host  *Host
	group string
}

// Part makes a part of the host, which has no processes yet.
func (h *Host) Part(name string) Part {
	h.t.Helper()
	p := Part{h, filepath.Join(h.counted(), name)}
	if err := os.Mkdir(p.group, 0o755); err != nil {
		h.t.Fatalf("host %s: %v", h.Name, err)
	}
	return p
}

// Add moves a process of the machine, with all that it starts from then on, into
// the part if it is one of the host, and reports whether it is in it now.
func (p Part) Add(pid int) bool {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	// As its hierarchy has it the path begins with two names.
	of := "/" + p.host.lab.name + "/" + p.host.Name
	if err != nil || !strings.Contains(string(groups), of+"\n") && !strings.Contains(string(groups), of+"/") {
		return false
	}
	return os.WriteFile(filepath.Join(p.group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) == nil
}

// Used is the CPU time of what has run in the part.
func (p Part) Used() time.Duration {
	p.host.t.Helper()
	return p.host.used(p.group)
}
