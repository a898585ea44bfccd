// Package host says how strong this machine is: the processors that the node
// may use, and how fast one of them is. Start reading at Cores and at Meter.
package host

import (
	"math"
	"runtime"

	"github.com/buildnet/buildnet/node/host/cgroup"
)

// Cores returns the processors that this process may use: those it may be
// scheduled on, or fewer if a cgroup gives it a quota. It may be a fraction.
func Cores() float64 {
	cores := float64(runtime.NumCPU()) // respects the affinity that the process began with
	if quota, ok := cgroup.Quota("/"); ok {
		cores = min(cores, quota)
	}
	return cores
}

// Slots returns how many actions run here at once: one for each whole
// processor, at least one.
func Slots() int { return max(1, int(math.Round(Cores()))) }
