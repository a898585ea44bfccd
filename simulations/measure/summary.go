package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Summary is what came of a run. Times are in seconds of the simulated world,
// sizes in bytes. What never happened has no figures: its Count is 0.
type Summary struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Nodes    int    `json:"nodes"`
	Cells    int    `json:"cells"`
	// Hash is of every event, as 16 hexadecimal digits.
	Hash   string `json:"hash"`
	Events uint64 `json:"events"`
	// Ended is when the run was over.
	Ended float64 `json:"ended_s"`
	// Stopped says that the run was interrupted: the figures are of what had
	// happened.
	Stopped bool `json:"stopped,omitempty"`
	// Broken is the rule that was broken, "" if none was.
	Broken string `json:"broken,omitempty"`

	Builds []Build `json:"builds"`
	// Completed builds ended as they should: all their steps are done, or a step
	// failed that has to. Steps are those of all builds; Announced are told to
	// their users as done; GivenUp are told as failed by the mesh, not by
	// themselves.
	Completed int `json:"completed"`
	Steps     int `json:"steps"`
	Announced int `json:"announced"`
	GivenUp   int `json:"given_up"`

	// Makespan is from asking for a build to its end, of builds that completed.
	// Ratio is that over the build's lower bound: what its graph needs by itself
	// on all machines of its initiator's gossip group, none of it cached
	// (workload.LowerBound). It is below 1 if other builds had done its steps,
	// and above it if other builds had the machines.
	Makespan Spread `json:"makespan_s"`
	Ratio    Spread `json:"makespan_over_bound"`

	// Utilisation is slot-seconds in which a step ran over all slot-seconds of
	// nodes that were up, in gossip groups while a build of theirs ran.
	Utilisation float64 `json:"utilisation"`

	// Assigned counts steps given to a node, Stolen those of them that went to
	// another than the build's initiator.
	Assigned int `json:"assigned"`
	Stolen   int `json:"stolen"`

	// Executed counts executions of actions that nobody had executed before,
	// with their cost in BPU-seconds; Cut were cancelled or died with their
	// node, with the cost of what they had done; Again executed an action that
	// was executed before in the same gossip group (others are not asked first),
	// with their whole cost. Wasted is Cut and Again over all three.
	Executed     int     `json:"executed"`
	ExecutedWork float64 `json:"executed_bpu_s"`
	Cut          int     `json:"cut"`
	CutWork      float64 `json:"cut_bpu_s"`
	Again        int     `json:"again"`
	AgainWork    float64 `json:"again_bpu_s"`
	Wasted       float64 `json:"wasted"`

	// Blobs is what was moved of inputs and outputs, Messages what the nodes
	// said to one another besides, without membership, in bytes.
	Blobs    int64 `json:"blob_bytes"`
	Messages int64 `json:"message_bytes"`

	// Suspected is from the death of a node to the first other that believes it
	// dead, over the deaths that anybody noticed; Noticed to the first leader
	// that logs it, or a step that it had, as lost.
	Suspected Spread `json:"death_to_suspicion_s"`
	Noticed   Spread `json:"death_to_leader_s"`
	// Takeovers counts leaders after a build's first. Elected is from the death
	// or deposition of a leader to the initiator's following the next, Handover
	// to the first step that the next assigns.
	Takeovers int    `json:"takeovers"`
	Elected   Spread `json:"leader_loss_to_election_s"`
	Handover  Spread `json:"leader_loss_to_assignment_s"`

	// LeaderRate is the messages a second that one leader sent and took, signs of
	// life included, over its whole reign; leaders that were killed are left out.
	// LeaderBytes is the bytes a second that a node which led sent
	// in messages, over the time in which it led.
	LeaderRate  Spread `json:"leader_messages_per_s"`
	LeaderBytes Spread `json:"leader_bytes_per_s"`

	// Hops and LookupTime are of look-ups in the DHT.
	Hops       Spread `json:"lookup_hops"`
	LookupTime Spread `json:"lookup_s"`

	// Gossip is the bytes a second that each node sent for membership, over the
	// whole run and all nodes.
	Gossip Spread `json:"gossip_bytes_per_s"`
}

// Build is what came of one build.
type Build struct {
	Name      string `json:"name"`
	Initiator string `json:"initiator"`
	Steps     int    `json:"steps"`
	Announced int    `json:"announced"`
	// End is how it ended: "completed", "cancelled", "running" when the run
	// ended first, or "never began".
	End string `json:"end"`
	// Asked is when it was asked for, Makespan how long it took; 0 unless it is
	// over.
	Asked     float64 `json:"asked_s"`
	Makespan  float64 `json:"makespan_s"`
	Bound     float64 `json:"bound_s"`
	Takeovers int     `json:"takeovers"`
}

// Summary adds up what was observed and what the run says itself.
func (m *Measure) Summary(o *simulations.Outcome) *Summary {
	s := &Summary{
		Scenario: m.setting.Name, Seed: m.setting.Seed, Nodes: len(m.setting.Nodes), Cells: len(m.bounds),
		Hash: fmt.Sprintf("%016x", o.Hash), Events: o.Events, Ended: o.Ended.Seconds(), Stopped: o.Stopped,
		Assigned: m.assigned, Stolen: m.stolen, Blobs: m.sentBytes,
		Executed: m.work.executed, ExecutedWork: m.work.useful, Cut: m.work.cut, CutWork: m.work.cutWork, Again: m.work.again, AgainWork: m.work.againWork,
		Suspected: SpreadOf(m.losses.suspects), Noticed: SpreadOf(m.losses.notices), Elected: SpreadOf(m.losses.elected), Handover: SpreadOf(m.losses.assigned),
		Hops: SpreadOf(m.hops), LookupTime: SpreadOf(m.lookups),
	}
	if o.Violation != nil {
		s.Broken = o.Violation.Rule
	}
	if m.busy.slotTime > 0 {
		s.Utilisation = m.busy.runTime / m.busy.slotTime
	}
	if all := s.ExecutedWork + s.CutWork + s.AgainWork; all > 0 {
		s.Wasted = (s.CutWork + s.AgainWork) / all
	}
	m.sumBuilds(s)
	m.sumLeaders(s, o)
	m.sumTraffic(s, o)
	return s
}

func (m *Measure) sumBuilds(s *Summary) {
	var spans, ratios []float64
	for i := range m.builds {
		one := m.buildOf(i)
		s.Builds = append(s.Builds, one)
		s.Steps += one.Steps
		s.Announced += one.Announced
		s.GivenUp += m.builds[i].gaveUp
		s.Takeovers += one.Takeovers
		if one.End != completed {
			continue
		}
		s.Completed++
		spans = append(spans, one.Makespan)
		if one.Bound > 0 {
			ratios = append(ratios, one.Makespan/one.Bound)
		}
	}
	s.Makespan, s.Ratio = SpreadOf(spans), SpreadOf(ratios)
}

// The ends of a build.
const (
	completed  = "completed"
	cancelled  = "cancelled"
	unfinished = "running"
	never      = "never began"
)

func (m *Measure) buildOf(i int) Build {
	b, spec := &m.builds[i], &m.setting.Builds[i]
	one := Build{
		Name: spec.Name, Initiator: m.setting.Nodes[spec.Initiator].Name, Steps: len(spec.Graph.Steps), Announced: b.announced,
		End: never, Asked: spec.At.Seconds(), Takeovers: max(0, b.elected-1), Bound: m.bound(spec).Seconds(),
	}
	switch {
	case !b.begun:
		return one
	case b.running:
		one.End = unfinished
		return one
	case b.end == steal.Completed:
		one.End = completed
	default:
		one.End = cancelled
	}
	one.Makespan = (b.over - b.began).Seconds()
	return one
}

func (m *Measure) sumLeaders(s *Summary, o *simulations.Outcome) {
	var rates, bytes []float64
	led := map[int]float64{}
	for _, r := range m.reigns.all {
		to := r.to
		if !r.over {
			to = m.now
		}
		seconds := (to - r.from).Seconds()
		led[r.node] += seconds
		if seconds > 0 && r.told {
			rates = append(rates, float64(r.messages)/seconds)
		}
	}
	for node, seconds := range led { // SpreadOf sorts
		if seconds > 0 && node < len(o.Traffic.MessageBytes) {
			bytes = append(bytes, float64(o.Traffic.MessageBytes[node])/seconds)
		}
	}
	s.LeaderRate, s.LeaderBytes = SpreadOf(rates), SpreadOf(bytes)
}

func (m *Measure) sumTraffic(s *Summary, o *simulations.Outcome) {
	for _, n := range o.Traffic.MessageBytes {
		s.Messages += n
	}
	if o.Ended <= 0 {
		return
	}
	gossip := slices.Clone(o.Traffic.Gossip)
	for i := range gossip {
		gossip[i] /= o.Ended.Seconds()
	}
	s.Gossip = SpreadOf(gossip)
}

func (m *Measure) bound(b *setting.Build) time.Duration {
	return workload.LowerBound(b.Graph, m.bounds[m.setting.Nodes[b.Initiator].Cell])
}
