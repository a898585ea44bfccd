package build

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// maxWays bounds the peers between which round trips are recorded: their number
// grows with its square, and each is a look at the whole membership. Beyond it
// those from the initiator have to do.
const maxWays = 24

// maxEdges bounds the dependencies of a recorded build. Shared lists of them
// are written out.
const maxEdges = 1_000_000

// recorder notes what a simulator needs to know of a build. A nil one, of a
// build that left nothing to the scheduler, notes nothing.
type recorder struct {
	began time.Time
	// place of each peer in rec.Peers.
	place  map[peer.ID]int
	names  map[string]int // of toolchains, from 1
	hashes []string       // of toolchains, in short

	mu  sync.Mutex // secured is called by many
	rec event.Recording
}

// recordable reports whether a graph is small enough to be recorded.
func recordable(g *action.Graph) bool {
	edges := 0
	for i := range g.Steps() {
		edges += len(g.Steps()[i].Deps)
	}
	return g.Len() <= event.MaxRecordedSteps && edges <= maxEdges
}

// newRecorder begins to record a build of these steps; nil if they are too many.
func newRecorder(r *run, given []steal.Given) *recorder {
	steps := r.graph.Steps()
	if !recordable(r.graph) {
		return nil
	}
	c := &recorder{began: r.started, place: map[peer.ID]int{}, names: map[string]int{}}
	m := r.req.Modes
	c.rec = event.Recording{
		Build: string(r.req.ID), Ways: []event.RecordedWay{}, Reigns: []event.Reign{},
		Modes: event.RecordedModes{Force: m.Force, KeepGoing: m.KeepGoing, Local: m.Local, Jobs: m.Jobs, Policy: r.policy()},
		Steps: make([]event.RecordedStep, len(steps)),
	}
	c.rec.Marks.PlannedUS = c.now()
	c.add(peer.Member{ID: r.opts.Self})
	c.meet(r.opts.Members())
	places := make(map[action.StepID]int, len(steps))
	for i := range steps {
		places[steps[i].ID] = i
		c.rec.Steps[i] = c.stepOf(&steps[i], places, r.sizes[i])
	}
	for _, g := range given {
		s := &c.rec.Steps[g.Step]
		s.Status, s.OutputBytes = event.CachedLocal, g.Result.OutputBytes()
	}
	return c
}

func (c *recorder) stepOf(s *action.Step, places map[action.StepID]int, size inputSize) event.RecordedStep {
	out := event.RecordedStep{
		Name: string(s.ID), InputBytes: size.all, FreshBytes: size.fresh, Hint: s.Cost,
		Here: s.Reach == action.InitiatorOnly, Status: event.NotRun, Peer: -1,
	}
	if len(s.Deps) > 0 {
		out.Deps = make([]int, len(s.Deps))
	}
	for i, d := range s.Deps {
		out.Deps[i] = places[d.Step]
	}
	slices.Sort(out.Deps)
	if chain, _ := s.Property(action.PropertyToolchain); chain != "" {
		n, known := c.names[chain]
		if !known {
			n = len(c.names) + 1
			c.names[chain] = n
			spec, _ := s.Property(action.PropertyToolchainSpec)
			c.rec.Toolchains = append(c.rec.Toolchains, label(spec, chain))
			c.hashes = append(c.hashes, short(chain))
		}
		out.Toolchain = n
	}
	return out
}

// shortHash is how many hexadecimal digits of a toolchain's digest the mesh is
// told.
const shortHash = 8

// label is short, and another one for every toolchain.
func label(spec, chain string) string {
	return spec[:min(len(spec), 40)] + "@" + short(chain)
}

func short(chain string) string {
	_, hash, _ := strings.Cut(chain, ":")
	return hash[:min(len(hash), shortHash)]
}

func (c *recorder) now() int64 { return time.Since(c.began).Microseconds() }

// meet takes in members that live and are new.
func (c *recorder) meet(members []peer.Member) {
	for _, m := range members {
		at, known := c.place[m.ID]
		switch {
		case m.State != peer.Alive && !m.Self:
		case !known:
			c.add(m)
		case c.rec.Peers[at].Name == "":
			c.rec.Peers[at] = peerOf(m)
		}
	}
}

func (c *recorder) add(m peer.Member) {
	c.place[m.ID] = len(c.rec.Peers)
	c.rec.Peers = append(c.rec.Peers, peerOf(m))
}

func peerOf(m peer.Member) event.RecordedPeer {
	return event.RecordedPeer{
		Peer: string(m.ID), Name: m.Name, BPU: told(m.Caps.BPU), Slots: min(max(m.Caps.Slots, 0), steal.MaxWant), Cores: told(m.Caps.Cores),
		RTTUS: m.RTT.Microseconds(),
	}
}

// mostTold is above every machine's power.
const mostTold = 1e6

// told is a number that a peer tells of itself: it may tell any.
func told(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), mostTold)
}

// spent is a time that a peer tells, in microseconds.
func spent(d time.Duration) int64 { return max(d, 0).Microseconds() }

// of returns the place of a peer, which may have come since the build began.
func (c *recorder) of(id peer.ID) int {
	if _, known := c.place[id]; !known {
		c.add(peer.Member{ID: id})
	}
	return c.place[id]
}

func (c *recorder) elected(leader peer.ID, standbys []peer.ID, epoch uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	reign := event.Reign{Leader: c.of(leader), Standbys: []int{}, Epoch: epoch, SinceUS: c.now()}
	for _, id := range standbys {
		reign.Standbys = append(reign.Standbys, c.of(id))
	}
	if c.rec.Marks.ElectedUS == 0 {
		c.rec.Marks.ElectedUS = reign.SinceUS
	}
	if n := len(c.rec.Reigns); n > 0 && c.rec.Reigns[n-1].Epoch == epoch {
		reign.SinceUS = c.rec.Reigns[n-1].SinceUS
		c.rec.Reigns = c.rec.Reigns[:n-1]
	}
	c.rec.Reigns = append(c.rec.Reigns, reign)
}

func (c *recorder) started(s steal.Step) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Steps[s].StartedUS = c.now()
}

func (c *recorder) secured(s steal.Step, took time.Duration) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Steps[s].SecureUS = took.Microseconds()
}

func (c *recorder) finished(s steal.Step, status event.Status, d *steal.Done) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := &c.rec.Steps[s]
	at.Status, at.FinishedUS = status, c.now()
	c.rec.Marks.AnnouncedUS = at.FinishedUS
	if d == nil {
		return
	}
	at.OutputBytes = d.Entry.Result.OutputBytes()
	if d.How == steal.Executed {
		at.Peer, at.CPUUS = c.of(d.Entry.Executor), spent(d.Entry.Result.CPU)
		at.QueuedUS, at.FetchUS = spent(d.Timings.Queued), spent(d.Timings.Fetch)
		at.RunUS, at.UploadUS = spent(d.Timings.Run), spent(d.Timings.Upload)
	}
}

// mark notes that a part of the build is over.
func (c *recorder) mark(of func(*event.Marks) *int64) {
	if c != nil {
		*of(&c.rec.Marks) = c.now()
	}
}

// executed reports whether anything ran.
func (c *recorder) executed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.rec.Steps, func(s event.RecordedStep) bool {
		return s.Status == event.Executed || s.Status == event.Failed
	})
}

// recording returns what was recorded, as JSON; nil if that is nothing.
func (r *run) recording() []byte {
	c := r.recorder
	switch {
	case c == nil && r.graph != nil && !recordable(r.graph):
		return r.tooLarge()
	case c == nil || !c.executed():
		return nil
	}
	c.mark(func(m *event.Marks) *int64 { return &m.TotalUS })
	members := r.opts.Members()
	c.meet(members)
	c.compare(members)
	c.measureWays(r.opts.Estimate)
	c.mu.Lock() // a result may still be on its way here
	encoded, err := json.Marshal(c.rec)
	c.mu.Unlock()
	if err != nil {
		r.opts.Log.Warn("build cannot be replayed", "build", r.req.ID, "error", err)
		return nil
	}
	if len(encoded) > event.MaxRecordingBytes {
		return r.tooLarge()
	}
	return encoded
}

func (r *run) tooLarge() []byte {
	return fmt.Appendf(nil, `{"build":%q,"too_large":true}`, r.req.ID)
}

// compare notes which toolchains members do not tell of, of those that this node
// tells of.
func (c *recorder) compare(members []peer.Member) {
	var own []string
	for _, m := range members {
		if m.Self {
			own = m.Caps.Toolchains
		}
	}
	for _, m := range members {
		at, known := c.place[m.ID]
		if !known || m.Self || len(m.Caps.Toolchains) == 0 {
			continue
		}
		for i, hash := range c.hashes {
			if slices.Contains(own, hash) && !slices.Contains(m.Caps.Toolchains, hash) {
				c.rec.Peers[at].Lacks = append(c.rec.Peers[at].Lacks, i+1)
			}
		}
	}
}

func (c *recorder) measureWays(estimate func(a, b peer.ID) time.Duration) {
	n := len(c.rec.Peers)
	if n > maxWays {
		return
	}
	for a := range n {
		for b := a + 1; b < n; b++ {
			if rtt := estimate(peer.ID(c.rec.Peers[a].Peer), peer.ID(c.rec.Peers[b].Peer)); rtt > 0 {
				c.rec.Ways = append(c.rec.Ways, event.RecordedWay{A: a, B: b, RTTUS: rtt.Microseconds()})
			}
		}
	}
}
