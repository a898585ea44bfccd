package simulations

import (
	"os"
	"runtime/debug"
)

const (
	// heapPercent of what is in use may come new before a collection. A world of
	// ten thousand nodes is some 800 MiB of small things: to walk them at Go's
	// 100 is a fifth of a run.
	heapPercent = 400
	// heapLimit is from when on collections come as often as they must.
	heapLimit = 3 << 30
)

// CollectSeldom trades memory for time in a process that does nothing but
// simulate. GOGC and GOMEMLIMIT of the environment are heeded.
func CollectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
}
