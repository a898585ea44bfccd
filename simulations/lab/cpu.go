//go:build lab && linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticks is the unit of the CPU times in proc_pid_stat(5).
const ticks = 10 * time.Millisecond

// UsedBy is the CPU time of a process itself, without what it has started.
func UsedBy(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		sum += time.Duration(n) * ticks
	}
	return sum, nil
}

// Used is the CPU time of the node's process: what it runs for others is the rest of
// what its host has used.
func (n *Node) Used() time.Duration {
	n.host.t.Helper()
	used, err := UsedBy(n.cmd.Process.Pid)
	if err != nil {
		n.host.t.Fatalf("host %s: node: %v", n.host.Name, err)
	}
	return used
}
