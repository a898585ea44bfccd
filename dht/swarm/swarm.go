// Package swarm decides how one large blob comes from several holders: which
// chunk is asked of whom, when a slow one is asked of a second holder as well,
// and what happens when a holder is lost. It is pure: the time is an argument,
// and what to do is a value. Start reading at Machine.
package swarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// maxAsked holders are asked for one chunk at a time.
	maxAsked = 2
	// maxStrikes failures in a row lose a holder.
	maxStrikes = 2
	// observed durations are remembered for the p90.
	observed = 64
	// minObserved durations are needed before the p90 means anything.
	minObserved = 8
	// minHedge keeps a fast network from being asked everything twice.
	minHedge = 20 * time.Millisecond
)

// Options are the bounds of one swarm; all are required.
type Options struct {
	// Chunks is how many there are.
	Chunks int
	// Window is how many chunks, from the first that was not consumed yet, may
	// be asked for: what the driver must be able to keep in memory.
	Window int
	// PerHolder is how many chunks a holder is asked for at a time.
	PerHolder int
	// FirstHedge is when a chunk counts as slow before enough was observed.
	FirstHedge time.Duration
}

// Ask is one chunk asked of one holder.
type Ask struct {
	Peer  peer.ID
	Chunk int
	// Hedge says that another holder is slow with the same chunk.
	Hedge bool
}

// Outcome is how an Ask ended.
type Outcome uint8

const (
	// Arrived says that the chunk is here and was checked.
	Arrived Outcome = iota + 1
	// Failed says that the holder did not give it, or not in time.
	Failed
	// Corrupt says that the holder gave other bytes. It is asked for nothing more.
	Corrupt
)

// State is how the whole swarm stands.
type State uint8

const (
	// Running swarms wait for holders.
	Running State = iota + 1
	// Starved swarms have no holder left, and run again when one joins.
	Starved
	// Done swarms have every chunk.
	Done
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Running:
		return "running"
	case Starved:
		return "starved"
	case Done:
		return "done"
	default:
		return "unknown"
	}
}

// Output is what a call to the Machine wants done. It is valid until the next
// call on the same Machine.
type Output struct {
	Asks []Ask
	// Cancels are asks whose chunk has come from another holder. Whatever
	// becomes of them need not be reported.
	Cancels []Ask
	// Wake is when Tick wants to be called; zero if only events matter.
	Wake time.Time
}

// Machine is the swarm of one blob.
type Machine struct {
	opts     Options
	chunks   []chunk
	missing  int
	base     int // chunks before it were consumed
	holders  map[peer.ID]*holder
	order    []peer.ID // of holders, sorted
	lost     map[peer.ID]bool
	took     []time.Duration // the latest, oldest first
	out      Output
	hedgeFor time.Duration
}

type chunk struct {
	flaws
	done bool
	asks []pending
}

type pending struct {
	peer peer.ID
	at   time.Time
}

type holder struct {
	asked   int
	strikes int
	mean    time.Duration // of a chunk, lately; 0 before the first
}

// New returns a swarm without holders.
func New(opts Options) *Machine {
	return &Machine{
		opts: opts, chunks: make([]chunk, opts.Chunks), missing: opts.Chunks,
		holders: map[peer.ID]*holder{}, lost: map[peer.ID]bool{}, hedgeFor: opts.FirstHedge,
	}
}

// State returns how the swarm stands.
func (m *Machine) State() State {
	switch {
	case m.missing == 0:
		return Done
	case len(m.holders) == 0:
		return Starved
	default:
		return Running
	}
}

// Join adds holders. One that was lost stays lost.
func (m *Machine) Join(now time.Time, ids ...peer.ID) Output {
	for _, id := range ids {
		if _, ok := m.holders[id]; ok || m.lost[id] {
			continue
		}
		m.holders[id] = &holder{}
		i, _ := slices.BinarySearch(m.order, id)
		m.order = slices.Insert(m.order, i, id)
	}
	return m.next(now)
}

// Report says how an ask ended. Reports of asks that were cancelled are
// ignored, except for what they say of the holder's honesty.
func (m *Machine) Report(now time.Time, a Ask, o Outcome) Output {
	m.begin()
	at, waiting := m.take(a)
	if waiting {
		m.holders[a.Peer].asked--
	}
	switch {
	case o == Corrupt:
		m.lose(a.Peer)
	case waiting && o == Failed:
		m.chunks[a.Chunk].fail()
		if h := m.holders[a.Peer]; h.strikes+1 < maxStrikes {
			h.strikes++
		} else {
			m.lose(a.Peer)
		}
	case waiting && o == Arrived:
		m.arrived(a, now.Sub(at))
	}
	return m.fill(now)
}

// Consumed says that the first n chunks need no memory any more.
func (m *Machine) Consumed(now time.Time, n int) Output {
	m.base = max(m.base, min(n, len(m.chunks)))
	return m.next(now)
}

// Tick looks for slow chunks.
func (m *Machine) Tick(now time.Time) Output { return m.next(now) }

func (m *Machine) next(now time.Time) Output {
	m.begin()
	return m.fill(now)
}

func (m *Machine) begin() { m.out = Output{Asks: m.out.Asks[:0], Cancels: m.out.Cancels[:0]} }

func (m *Machine) take(a Ask) (at time.Time, ok bool) {
	if a.Chunk < 0 || a.Chunk >= len(m.chunks) {
		return time.Time{}, false
	}
	c := &m.chunks[a.Chunk]
	i := slices.IndexFunc(c.asks, func(p pending) bool { return p.peer == a.Peer })
	if i < 0 {
		return time.Time{}, false
	}
	at = c.asks[i].at
	c.asks = slices.Delete(c.asks, i, i+1)
	return at, true
}

func (m *Machine) arrived(a Ask, took time.Duration) {
	h := m.holders[a.Peer]
	h.strikes = 0
	if h.mean == 0 {
		h.mean = took
	}
	h.mean += (took - h.mean) / 4
	m.observe(took)
	c := &m.chunks[a.Chunk]
	c.done = true
	m.missing--
	for _, p := range c.asks {
		m.holders[p.peer].asked--
		m.out.Cancels = append(m.out.Cancels, Ask{Peer: p.peer, Chunk: a.Chunk})
	}
	c.asks = nil
}

func (m *Machine) observe(took time.Duration) {
	if len(m.took) == observed {
		m.took = slices.Delete(m.took, 0, 1)
	}
	m.took = append(m.took, took)
	if len(m.took) < minObserved {
		return
	}
	ordered := slices.Sorted(slices.Values(m.took))
	m.hedgeFor = max(minHedge, ordered[len(ordered)*9/10])
}

// lose gives back what was asked of a holder.
func (m *Machine) lose(id peer.ID) {
	m.lost[id] = true
	if _, ok := m.holders[id]; !ok {
		return
	}
	delete(m.holders, id)
	m.order = slices.DeleteFunc(m.order, func(other peer.ID) bool { return other == id })
	for i := range m.chunks {
		c := &m.chunks[i]
		if slices.ContainsFunc(c.asks, func(p pending) bool { return p.peer == id }) {
			c.asks = slices.DeleteFunc(c.asks, func(p pending) bool { return p.peer == id })
			c.fail()
			m.out.Cancels = append(m.out.Cancels, Ask{Peer: id, Chunk: i})
		}
	}
}

// fill asks for the chunks of the window in order, so that the first, which
// holds up the others, is also the first to be hedged.
func (m *Machine) fill(now time.Time) Output {
	for i := m.base; i < min(m.base+m.opts.Window, len(m.chunks)); i++ {
		c := &m.chunks[i]
		if c.done || c.abandoned() || len(c.asks) >= maxAsked {
			continue
		}
		hedge := len(c.asks) > 0
		if hedge {
			if due := c.asks[0].at.Add(m.hedgeFor); now.Before(due) {
				if m.out.Wake.IsZero() || due.Before(m.out.Wake) {
					m.out.Wake = due
				}
				continue
			}
		}
		id, ok := m.choose(c)
		if !ok {
			continue
		}
		m.holders[id].asked++
		c.asks = append(c.asks, pending{id, now})
		m.out.Asks = append(m.out.Asks, Ask{Peer: id, Chunk: i, Hedge: hedge})
		if due := now.Add(m.hedgeFor); !hedge && (m.out.Wake.IsZero() || due.Before(m.out.Wake)) {
			m.out.Wake = due
		}
	}
	return m.out
}

// choose returns the holder that should have the chunk soonest.
func (m *Machine) choose(c *chunk) (best peer.ID, ok bool) {
	soonest := func(a, b peer.ID) int {
		x, y := m.holders[a], m.holders[b]
		return cmp.Or(
			cmp.Compare(time.Duration(x.asked+1)*x.mean, time.Duration(y.asked+1)*y.mean),
			cmp.Compare(x.asked, y.asked),
		)
	}
	for _, id := range m.order {
		if m.holders[id].asked >= m.opts.PerHolder || slices.ContainsFunc(c.asks, func(p pending) bool { return p.peer == id }) {
			continue
		}
		if !ok || soonest(id, best) < 0 {
			best, ok = id, true
		}
	}
	return best, ok
}
