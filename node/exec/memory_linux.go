package exec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryGroup is a cgroup that bounds all processes of an action together. The
// nil group bounds nothing.
type memoryGroup struct {
	dir    string
	events string // the file that counts the processes killed
	peak   string // the file with the most that was used at once
	nested bool   // it is within the group of what runs for others
}

var errNoGroup = errors.New("no memory cgroup that this user may divide")

// newMemoryGroup makes a group within another, or if that is "" below the node's
// own, where it may. limit 0 needs none.
func newMemoryGroup(limit int64, name, within string) (*memoryGroup, error) {
	if limit <= 0 {
		return nil, nil
	}
	if within != "" {
		g := &memoryGroup{dir: filepath.Join(within, "buildnet-"+name), events: "memory.events", peak: "memory.peak", nested: true}
		return g, g.make("memory.max", limit)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(own)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		g := &memoryGroup{}
		var file string
		switch parts[1] {
		case "memory":
			g.dir, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
			g.events, g.peak = "memory.oom_control", "memory.max_usage_in_bytes"
		case "":
			g.dir, file = "/sys/fs/cgroup", "memory.max"
			g.events, g.peak = "memory.events", "memory.peak"
		default:
			continue
		}
		g.dir = filepath.Join(g.dir, parts[2], "buildnet-"+name)
		if g.make(file, limit) == nil {
			return g, nil
		}
	}
	return nil, errNoGroup
}

func (g *memoryGroup) make(file string, limit int64) error {
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(g.dir, file), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(strconv.FormatInt(limit, 10))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return errors.Join(err, os.Remove(g.dir))
	}
	return nil
}

// add puts a process into the group, and reports whether it is among what runs
// for others by that. Without the group the limit of each process still holds.
func (g *memoryGroup) add(pid int) (foreign bool) {
	if g == nil {
		return false
	}
	err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	return err == nil && g.nested
}

// exceeded reports whether the kernel killed a process for the limit.
func (g *memoryGroup) exceeded() bool {
	if g == nil {
		return false
	}
	content, err := os.ReadFile(filepath.Join(g.dir, g.events))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(content) {
		var n int
		if _, err := fmt.Sscanf(string(line), "oom_kill %d", &n); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// most returns how many bytes the processes used together at most, with what
// the kernel kept of their files; 0 where that is not counted.
func (g *memoryGroup) most() int64 {
	if g == nil {
		return 0
	}
	content, err := os.ReadFile(filepath.Join(g.dir, g.peak))
	if err != nil {
		return 0 // kernels before 5.19
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	return n
}

func (g *memoryGroup) remove() {
	if g != nil {
		_ = os.Remove(g.dir) // an empty group costs nothing
	}
}
