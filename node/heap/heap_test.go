package heap

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestAFloorIsBelowWhatIsCollected(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	Floor(8 << 30)
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	before := goal[0].Value.Uint64()
	runtime.GC()
	metrics.Read(goal)
	if after := goal[0].Value.Uint64(); after < 64<<20 {
		t.Fatalf("collected from %d bytes on, before %d: not from 64 MiB on", after, before)
	}
}
