package swarm_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/dht/swarm"
	"github.com/buildnet/buildnet/mesh/peer"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func TestFirstChunkIsHedgedWhenItIsSlow(t *testing.T) {
	m := swarm.New(swarm.Options{Chunks: 2, Window: 2, PerHolder: 1, FirstHedge: 100 * time.Millisecond})
	out := m.Join(at(0), "b", "a")
	want(t, out.Asks, swarm.Ask{Peer: "a", Chunk: 0}, swarm.Ask{Peer: "b", Chunk: 1})
	if !out.Wake.Equal(at(100)) {
		t.Errorf("Wake = %v, want when the chunks are slow", out.Wake)
	}
	want(t, m.Report(at(50), swarm.Ask{Peer: "b", Chunk: 1}, swarm.Arrived).Asks)
	want(t, m.Tick(at(99)).Asks)
	want(t, m.Tick(at(100)).Asks, swarm.Ask{Peer: "b", Chunk: 0, Hedge: true})
	want(t, m.Tick(at(500)).Asks)
	out = m.Report(at(501), swarm.Ask{Peer: "b", Chunk: 0}, swarm.Arrived)
	want(t, out.Cancels, swarm.Ask{Peer: "a", Chunk: 0})
	if m.State() != swarm.Done {
		t.Errorf("State = %v, want Done", m.State())
	}
}

func TestHedgeComesAtTheP90OfWhatWasObserved(t *testing.T) {
	m := swarm.New(swarm.Options{Chunks: 20, Window: 20, PerHolder: 1, FirstHedge: time.Second})
	out := m.Join(at(0), "a")
	now := 0
	for i := range 10 {
		// Durations of 10, 20 … 100 ms: the ninth of ten is 100.
		now += 10 * (i + 1)
		out = m.Report(at(now), out.Asks[0], swarm.Arrived)
	}
	m.Join(at(now), "b")
	if out := m.Tick(at(now)); !out.Wake.Equal(at(now + 100)) {
		t.Errorf("Wake %v after now, want 100ms", out.Wake.Sub(at(now)))
	}
}

func TestLostHolderGivesBackWhatItWasAsked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		outcome swarm.Outcome
		times   int
	}{{"Corrupt", swarm.Corrupt, 1}, {"FailedTwice", swarm.Failed, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			m := swarm.New(swarm.Options{Chunks: 4, Window: 4, PerHolder: 2, FirstHedge: time.Second})
			out := m.Join(at(0), "a")
			for i := range tc.times {
				if m.State() != swarm.Running {
					t.Fatalf("State = %v after %d", m.State(), i)
				}
				out = m.Report(at(i), out.Asks[0], tc.outcome)
			}
			if m.State() != swarm.Starved || len(out.Cancels) == 0 {
				t.Errorf("State = %v, cancels %v", m.State(), out.Cancels)
			}
			want(t, m.Join(at(9), "a").Asks)
			want(t, m.Join(at(9), "b").Asks, swarm.Ask{Peer: "b", Chunk: 0}, swarm.Ask{Peer: "b", Chunk: 1})
		})
	}
}

func want(t *testing.T, got []swarm.Ask, asks ...swarm.Ask) {
	t.Helper()
	if !slices.Equal(got, asks) {
		t.Errorf("got %v, want %v", got, asks)
	}
}

// world is a swarm among holders that are slow, fail and lie as drawn, with
// the rules that every output must keep.
type world struct {
	t       *rapid.T
	m       *swarm.Machine
	opts    swarm.Options
	now     time.Time
	holders map[peer.ID]*holder
	flying  []flight
	have    map[int]bool
	used    int // consumed
	wake    time.Time
	trace   []string
}

type holder struct {
	delay         func() time.Duration
	corrupt, dead bool
	joined, lost  bool
}

type flight struct {
	ask swarm.Ask
	due time.Time
}

func (w *world) do(out swarm.Output) {
	w.trace = append(w.trace, fmt.Sprint(out))
	for _, c := range out.Cancels {
		before := len(w.flying)
		w.flying = slices.DeleteFunc(w.flying, func(f flight) bool { return f.ask.Peer == c.Peer && f.ask.Chunk == c.Chunk })
		if len(w.flying) == before {
			w.t.Fatalf("cancelled %v, which was not asked", c)
		}
	}
	for _, a := range out.Asks {
		w.allowed(a)
		w.flying = append(w.flying, flight{a, w.now.Add(w.holders[a.Peer].delay())})
	}
	w.wake = out.Wake
}

func (w *world) allowed(a swarm.Ask) {
	h := w.holders[a.Peer]
	chunk, peers := 0, 0
	for _, f := range w.flying {
		if f.ask.Chunk == a.Chunk {
			chunk++
			if f.ask.Peer == a.Peer {
				w.t.Fatalf("%v asked twice at once", a)
			}
		}
		if f.ask.Peer == a.Peer {
			peers++
		}
	}
	switch {
	case h == nil || !h.joined || h.lost:
		w.t.Fatalf("%v asked of no holder", a)
	case w.have[a.Chunk]:
		w.t.Fatalf("%v asked again", a)
	case a.Chunk < w.used || a.Chunk >= w.used+w.opts.Window:
		w.t.Fatalf("%v is outside the window from %d", a, w.used)
	case chunk > 1 || a.Hedge != (chunk == 1):
		w.t.Fatalf("%v asked of %d others", a, chunk)
	case peers >= w.opts.PerHolder:
		w.t.Fatalf("%v asked beside %d others", a, peers)
	}
}

// step lets the next thing happen.
func (w *world) step() {
	next := -1
	for i, f := range w.flying {
		if next < 0 || f.due.Before(w.flying[next].due) {
			next = i
		}
	}
	if !w.wake.IsZero() && (next < 0 || w.wake.Before(w.flying[next].due)) {
		w.now = w.wake
		w.do(w.m.Tick(w.now))
		return
	}
	if next < 0 {
		w.t.Fatalf("stuck with %d of %d chunks", len(w.have), w.opts.Chunks)
	}
	f := w.flying[next]
	w.flying = slices.Delete(w.flying, next, next+1)
	w.now = f.due
	h := w.holders[f.ask.Peer]
	switch {
	case h.corrupt:
		h.lost = true
		w.do(w.m.Report(w.now, f.ask, swarm.Corrupt))
	case h.dead:
		w.do(w.m.Report(w.now, f.ask, swarm.Failed))
	default:
		w.have[f.ask.Chunk] = true
		w.do(w.m.Report(w.now, f.ask, swarm.Arrived))
	}
	for w.have[w.used] {
		w.used++
	}
	w.do(w.m.Consumed(w.now, w.used))
}

func play(t *rapid.T, seed *world) []string {
	w := seed
	w.m = swarm.New(w.opts)
	good := 0
	ids := make([]peer.ID, 0, len(w.holders))
	for id, h := range w.holders {
		ids = append(ids, id)
		h.joined = true
		if !h.corrupt && !h.dead {
			good++
		}
	}
	slices.Sort(ids)
	w.do(w.m.Join(w.now, ids...))
	for steps := 0; w.m.State() == swarm.Running; steps++ {
		if steps > 100*(w.opts.Chunks+10) {
			t.Fatalf("no end after %d steps", steps)
		}
		w.step()
	}
	if done := w.m.State() == swarm.Done; done != (len(w.have) == w.opts.Chunks) || good > 0 && !done {
		t.Fatalf("%v with %d of %d chunks and %d good holders", w.m.State(), len(w.have), w.opts.Chunks, good)
	}
	return w.trace
}

func TestSwarmEndsWithEveryChunkIfOneHolderIsGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := swarm.Options{
			Chunks: rapid.IntRange(1, 40).Draw(t, "chunks"), Window: rapid.IntRange(1, 16).Draw(t, "window"),
			PerHolder: rapid.IntRange(1, 3).Draw(t, "per holder"), FirstHedge: 200 * time.Millisecond,
		}
		type plan struct {
			ms            []int
			corrupt, dead bool
		}
		plans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan {
			return plan{
				ms:      rapid.SliceOfN(rapid.IntRange(1, 3000), 1, 5).Draw(t, "ms"),
				corrupt: rapid.Bool().Draw(t, "corrupt"), dead: rapid.Bool().Draw(t, "dead"),
			}
		}), 1, 6).Draw(t, "holders")
		build := func() *world {
			w := &world{t: t, opts: opts, now: start, holders: map[peer.ID]*holder{}, have: map[int]bool{}}
			for i, p := range plans {
				n := 0
				w.holders[peer.ID(fmt.Sprint("h", i))] = &holder{corrupt: p.corrupt, dead: p.dead, delay: func() time.Duration {
					n++
					return time.Duration(p.ms[n%len(p.ms)]) * time.Millisecond
				}}
			}
			return w
		}
		if first, second := play(t, build()), play(t, build()); !slices.Equal(first, second) {
			t.Fatal("the same events led to other outputs")
		}
	})
}
