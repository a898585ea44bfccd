package router

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"pgregory.net/rapid"
)

// wire is a device in memory.
type wire struct {
	in, out chan []byte // to and from the router
	closed  chan struct{}
}

func newWire() *wire {
	return &wire{make(chan []byte), make(chan []byte, 4096), make(chan struct{})}
}

func (w *wire) Read(b []byte) (int, error) {
	select {
	case p := <-w.in:
		return copy(b, p), nil
	case <-w.closed:
		return 0, io.EOF
	}
}

func (w *wire) Write(b []byte) (int, error) {
	w.out <- b
	return len(b), nil
}

func (w *wire) Close() error { close(w.closed); return nil }

func packet(to netip.Addr, number uint32, size int) []byte {
	p := make([]byte, size)
	p[0] = 0x45
	copy(p[16:20], to.AsSlice())
	binary.BigEndian.PutUint32(p[20:], number)
	return p
}

var left, right = netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.2.1")

// pair runs a router between two wires in a bubble.
func pair(t *testing.T, seed uint64, p network.Path, f func(r *Router, a, b *wire)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWire(), newWire()
		r := New(seed,
			Port{a, []netip.Prefix{netip.PrefixFrom(left, 24)}},
			Port{b, []netip.Prefix{netip.PrefixFrom(right, 24)}})
		r.Shape(0, 1, p)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		f(r, a, b)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// receive returns the numbers of the packets that come within a time, and when
// each came.
func receive(w *wire, within time.Duration) (numbers []uint32, at []time.Time) {
	over := time.After(within)
	for {
		select {
		case p := <-w.out:
			numbers = append(numbers, binary.BigEndian.Uint32(p[20:]))
			at = append(at, time.Now())
		case <-over:
			return numbers, at
		}
	}
}

func TestPacketsTakeTheirTimeAndKeepTheirOrder(t *testing.T) {
	path := network.Path{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
	pair(t, 1, path, func(_ *Router, a, b *wire) {
		start := time.Now()
		for i := range uint32(100) {
			a.in <- packet(right, i, 100)
		}
		numbers, at := receive(b, time.Second)
		if len(numbers) != 100 {
			t.Fatalf("%d of 100 packets arrive", len(numbers))
		}
		for i, n := range numbers {
			if took := at[i].Sub(start); n != uint32(i) || took < path.Latency || took > path.Latency+path.Jitter {
				t.Errorf("packet %d arrives as number %d after %v", n, i, took)
			}
		}
	})
}

func TestBandwidthIsWhatWasAsked(t *testing.T) {
	const bandwidth, size = 1e6, 1000
	pair(t, 1, network.Path{Bandwidth: bandwidth}, func(_ *Router, a, b *wire) {
		start := time.Now()
		for i := range uint32(100) { // 0.1 s of the way: what its queue takes
			a.in <- packet(right, i, size)
		}
		numbers, at := receive(b, time.Second)
		if took := at[len(at)-1].Sub(start); len(numbers) != 100 || took != 100*time.Millisecond {
			t.Errorf("%d packets take %v", len(numbers), took)
		}
		for i := range uint32(300) { // three times what it takes
			a.in <- packet(right, i, size)
		}
		if numbers, _ = receive(b, time.Second); len(numbers) < 95 || len(numbers) > 105 {
			t.Errorf("a queue of %v holds %d packets of 1 ms", queueTime, len(numbers))
		}
	})
}

func TestLossDuplicationAndReorderingAreChances(t *testing.T) {
	const n = 4000
	path := network.Path{Latency: time.Millisecond, Loss: 0.1, Duplication: 0.1, Reordering: 0.1}
	pair(t, 7, path, func(_ *Router, a, b *wire) {
		var lost, doubled, overtaken int
		for i := range uint32(n) {
			a.in <- packet(right, i, 100)
			time.Sleep(time.Millisecond)
		}
		seen := map[uint32]int{}
		numbers, _ := receive(b, time.Second)
		for i, x := range numbers {
			seen[x]++
			if i > 0 && x < numbers[i-1] {
				overtaken++
			}
		}
		for i := range uint32(n) {
			switch seen[i] {
			case 0:
				lost++
			case 2:
				doubled++
			}
		}
		// Five standard deviations of a binomial distribution.
		near := func(what string, got int, p float64) {
			if mean, dev := n*p, math.Sqrt(n*p*(1-p)); math.Abs(float64(got)-mean) > 5*dev {
				t.Errorf("%d packets are %s, want about %.0f", got, what, mean)
			}
		}
		near("lost", lost, 0.1)
		near("doubled", doubled, 0.9*0.9*0.1)
		near("overtaken", overtaken, 0.9*0.1)
	})
}

func TestACutIsOfOneDirection(t *testing.T) {
	pair(t, 1, network.Path{Latency: 10 * time.Millisecond}, func(r *Router, a, b *wire) {
		a.in <- packet(right, 1, 100)
		r.Cut(0, 1) // what travels is lost too
		a.in <- packet(right, 2, 100)
		b.in <- packet(left, 3, 100)
		if got, _ := receive(b, time.Second); len(got) != 0 {
			t.Errorf("a cut way carries %v", got)
		}
		if got, _ := receive(a, time.Second); len(got) != 1 {
			t.Errorf("the way back carries %v", got)
		}
		r.Heal(0, 1)
		a.in <- packet(right, 4, 100)
		if got, _ := receive(b, time.Second); len(got) != 1 || got[0] != 4 {
			t.Errorf("a healed way carries %v", got)
		}
	})
}

func TestWhatNoSiteReachesIsDropped(t *testing.T) {
	pair(t, 1, network.Path{}, func(_ *Router, a, b *wire) {
		a.in <- packet(netip.MustParseAddr("192.168.0.1"), 1, 100)
		a.in <- packet(left, 2, 100)
		a.in <- []byte{0x60, 0}
		if got, _ := receive(b, time.Second); len(got) != 0 {
			t.Errorf("%v arrive", got)
		}
	})
}

// TestShape checks, over any path, that a packet never arrives before its
// latency, in order but for those reordered, and the same for the same seed.
func TestShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := network.Path{
			Latency:    time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "latency")),
			Jitter:     time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "jitter")),
			Bandwidth:  rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 1e8)).Draw(t, "bandwidth"),
			Loss:       rapid.Float64Range(0, 0.5).Draw(t, "loss"),
			Reordering: rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "reordering"),
		}
		seed := rapid.Uint64().Draw(t, "seed")
		one := shape{path: path, chance: rand.New(rand.NewPCG(seed, 0))}
		two := shape{path: path, chance: rand.New(rand.NewPCG(seed, 0))}
		now, before := time.Unix(0, 0), time.Time{}
		for range rapid.IntRange(1, 100).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(50*time.Millisecond)).Draw(t, "gap")))
			bytes := rapid.IntRange(20, 1500).Draw(t, "bytes")
			a := one.take(now, bytes)
			if a != two.take(now, bytes) {
				t.Fatal("the same seed does not do the same")
			}
			if a.n == 0 {
				continue
			}
			if a.at[0].Before(now.Add(path.Latency)) {
				t.Fatalf("arrives %v after it was sent", a.at[0].Sub(now))
			}
			if path.Reordering == 0 && a.at[0].Before(before) {
				t.Fatal("overtakes")
			}
			before = a.at[0]
		}
	})
}
