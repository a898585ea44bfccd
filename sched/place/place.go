// Package place says how well a member suits a step, and how long a step may
// take before a build takes longer for it. It is pure. Start reading at Offer,
// then at Levels.
package place

import "time"

// halfRTT is the round trip at which latency counts half: within a site it
// hardly counts, between continents it is all but lost.
const halfRTT = 20 * time.Millisecond

// Offer is what would become of one step on one member.
type Offer struct {
	// Wait is until a slot is free there, behind all that is queued before it;
	// Arrive until what the step reads is there, meanwhile: the bytes that the
	// member lacks over the bandwidth to it, and the messages. Run is the work
	// of the step, in BPU-seconds, over the speed of one of its cores.
	Wait, Arrive, Run time.Duration
	// Move is the part of Arrive that bytes take.
	Move time.Duration
	// RTT is the round trip between it and the leader; 0 is the leader itself.
	RTT time.Duration
	// Busy of its Slots are taken; more than all of them, if steps wait there.
	Busy, Slots int
}

// Finish is how long it takes until the step is done.
func (o Offer) Finish() time.Duration { return max(o.Wait, o.Arrive, 0) + max(o.Run, 0) }

// Measures are what the offers for one step are compared with: the soonest
// Finish of them, and the shortest Run.
type Measures struct{ Finish, Run time.Duration }

// Add takes one more offer into account.
func (m *Measures) Add(o Offer) {
	if m.Finish == 0 || o.Finish() < m.Finish {
		m.Finish = max(o.Finish(), 1)
	}
	if m.Run == 0 || o.Run < m.Run {
		m.Run = max(o.Run, 1)
	}
}

// Performance is 1 where the step is done first, 1/2 where that takes twice as
// long.
func (o Offer) Performance(m Measures) float64 { return ratio(m.Finish, o.Finish()) }

// Locality is 1 where all that the step reads is, and 1/2 where the rest takes
// as long to come as the step takes to run on the fastest member.
func (o Offer) Locality(m Measures) float64 { return ratio(m.Run, m.Run+max(o.Move, 0)) }

// Latency is 1 without any, 1/2 at a round trip of 20 ms, and goes to 0.
func (o Offer) Latency() float64 { return ratio(halfRTT, halfRTT+max(o.RTT, 0)) }

// Availability is 1 where nothing is to be done, 1/2 where all slots are
// taken, 1/3 where as many steps wait again.
func (o Offer) Availability() float64 {
	if o.Slots <= 0 {
		return 0
	}
	return float64(o.Slots) / float64(o.Slots+max(o.Busy, 0))
}

// Score is in [0, 1] by weights that add up to 1; the member with the highest
// one is to have the step.
func (w Weights) Score(o Offer, m Measures) float64 {
	return w.Performance*o.Performance(m) + w.Locality*o.Locality(m) + w.Latency*o.Latency() + w.Availability*o.Availability()
}

// ratio is in [0, 1]; what overflowed counts as too long.
func ratio(of, to time.Duration) float64 {
	if to <= 0 || of <= 0 {
		return 0
	}
	return min(float64(of)/float64(to), 1)
}
