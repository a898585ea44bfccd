package router

import (
	"container/heap"
	"context"
	"io"
	"sync"
	"time"
)

// maxHeld bounds the packets that are on one way: a second of a gigabit.
const maxHeld = 1 << 16

// way carries packets from one port to another.
type way struct {
	to   io.Writer
	wake chan struct{}

	mu    sync.Mutex
	shape shape
	cut   bool
	held  flights
	taken uint64
}

// flight is a packet on its way. Of those that arrive at once the one taken
// first is the first.
type flight struct {
	at     time.Time
	order  uint64
	packet []byte
}

type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f flights) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].order < f[j].order
	}
	return f[i].at.Before(f[j].at)
}

func (f *flights) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	(*f)[last] = flight{}
	*f = (*f)[:last]
	return x
}

// take sends a packet; w keeps it.
func (w *way) take(now time.Time, packet []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	arrive := w.shape.take(now, len(packet))
	if w.cut || len(w.held) >= maxHeld {
		return
	}
	for i := range arrive.n {
		w.taken++
		heap.Push(&w.held, flight{arrive.at[i], w.taken, packet})
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// due removes what has arrived, in order, and returns when the next one does.
func (w *way) due(now time.Time) (packets [][]byte, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.held) > 0 {
		if first := w.held[0]; first.at.After(now) {
			return packets, first.at
		}
		if p := heap.Pop(&w.held).(flight).packet; !w.cut {
			packets = append(packets, p)
		}
	}
	return packets, time.Time{}
}

// run delivers until ctx ends.
func (w *way) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		packets, next := w.due(time.Now())
		for _, p := range packets {
			_, _ = w.to.Write(p) // a device that is down or full loses packets, as any does
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}
