package ninja

import (
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/shirou/gopsutil/v4/process"
)

// live are the commands of this process that run now. They are the process's, as
// the signals are that end them.
var live commands

// commands are by the IDs of their first processes.
type commands struct {
	mu sync.Mutex
	// running says which have a process group of their own.
	running map[int]bool
}

func (c *commands) add(pid int, group bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[int]bool{}
	}
	c.running[pid] = group
}

func (c *commands) remove(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, pid)
}

// Kill ends all commands that run in this process, and what they have started: for
// somebody who is not going to wait until they end.
func Kill() {
	live.mu.Lock()
	running := maps.Clone(live.running)
	live.mu.Unlock()
	for _, pid := range slices.Sorted(maps.Keys(running)) {
		if running[pid] {
			killGroup(pid)
		} else {
			killTree(pid)
		}
	}
}

// killTree ends a process and those that descend from it: a command that has the
// terminal is in this process's group, and may not be in another.
func killTree(pid int) {
	family := []*process.Process{{Pid: int32(pid)}}
	for i := 0; i < len(family); i++ {
		children, _ := family[i].Children() // without some of them is better than not at all
		family = append(family, children...)
	}
	// The first is waited for: once it has ended this process may, too.
	for _, p := range slices.Backward(family) {
		if p, err := os.FindProcess(int(p.Pid)); err == nil {
			_ = p.Kill()
		}
	}
}
