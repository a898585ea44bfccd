package history

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/internal/aged"
)

const (
	// learnRate is the weight of the newest run: a step's cost drifts with its
	// source, and one slow run is no reason to expect another.
	learnRate = 0.4
	// maxCost, in BPU seconds, is beyond every timeout.
	maxCost = 1e7
)

var costLimits = aged.Limits{Keys: 200_000, Bytes: 64 << 20}

// CostHints remembers how much work the runs of a step were. All methods may
// be called concurrently.
type CostHints struct{ shelf *aged.Shelf }

// Costs returns the hints that kv holds; losing some does no harm. It reads
// nothing.
func Costs(kv store.KV) *CostHints { return &CostHints{shelf: aged.New(kv, costLimits)} }

// Learn takes in that a run of the step was bpuSeconds of work. key is whatever
// names the step from build to build.
func (c *CostHints) Learn(key string, bpuSeconds float64) error {
	if !(bpuSeconds >= 0 && bpuSeconds <= maxCost) {
		return fmt.Errorf("learn cost of %s: %v BPU seconds", key, bpuSeconds)
	}
	if old, ok := c.Expect(key); ok {
		bpuSeconds = old + learnRate*(bpuSeconds-old)
	}
	value := binary.BigEndian.AppendUint64(nil, math.Float64bits(bpuSeconds))
	if err := c.shelf.Put(costKey(key), value); err != nil {
		return fmt.Errorf("learn cost of %s: %w", key, err)
	}
	return nil
}

// Expect returns how much work the next run will be, in BPU seconds, and
// whether that is known.
func (c *CostHints) Expect(key string) (float64, bool) {
	value, err := c.shelf.Get(costKey(key))
	if err != nil || len(value) != 8 {
		return 0, false
	}
	return math.Float64frombits(binary.BigEndian.Uint64(value)), true
}

// costKey is short whatever the name of the step.
func costKey(key string) []byte {
	hash := digest.Of(digest.BLAKE3, []byte(key)).Hash()
	return hash[:16]
}
