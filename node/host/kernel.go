package host

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// kernelVersion changes whenever the kernel does: figures of two versions
// cannot be compared.
const kernelVersion = "1"

// Sizes of the kernel's data: more than an L1 cache, about an L2, as the tables
// of a compiler are.
const (
	tableWords = 1 << 17 // 512 KiB
	sortWords  = 1 << 13
)

// kernel is work like a compiler's: hashing, looking up in tables that do not
// fit the nearest cache, and branches that depend on data.
type kernel struct {
	table []uint32
	words []uint32
	state uint64
}

func newKernel() *kernel {
	k := &kernel{table: make([]uint32, tableWords), words: make([]uint32, sortWords), state: 0x9E3779B97F4A7C15}
	for i := range k.table {
		k.table[i] = uint32(k.random())
	}
	return k
}

// random is Marsaglia's xorshift64.
func (k *kernel) random() uint64 {
	k.state ^= k.state << 13
	k.state ^= k.state >> 7
	k.state ^= k.state << 17
	return k.state
}

// round is the unit of work; it returns something so that it has to be done.
func (k *kernel) round() uint32 {
	at := uint32(k.random())
	for range 1 << 17 { // each look-up depends on the last
		at = k.table[(at^at>>15)&(tableWords-1)]*0x85EBCA6B + at>>3
		if at&7 == 0 {
			k.table[at&(tableWords-1)] = at
		}
	}
	for i := range k.words {
		k.words[i] = uint32(k.random())
	}
	slices.Sort(k.words)
	hash := at
	for range 16 {
		for _, w := range k.words {
			hash = (hash ^ w) * 0x01000193 // FNV-1a
		}
	}
	return hash
}

// rate returns the rounds that this machine does in a CPU-second, from the
// faster half of those done within the budget of CPU time: what slows a round
// down is somebody else's use of the caches.
func rate(ctx context.Context, budget time.Duration) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := newKernel()
	var times []time.Duration
	begin := threadTime()
	for last := begin; last-begin < budget || len(times) < 2; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		runtime.KeepAlive(k.round())
		now := threadTime()
		times = append(times, max(now-last, 1))
		last = now
	}
	slices.Sort(times)
	times = times[:(len(times)+1)/2]
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return float64(len(times)) / sum.Seconds(), nil
}
