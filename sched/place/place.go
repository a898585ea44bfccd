// Package place says how well a worker suits a step. It is pure. Start reading
// at Score.
package place

import "time"

// The weights of the parts of a score; they add up to 1.
const (
	WeightPerformance  = 0.4
	WeightLocality     = 0.3
	WeightLatency      = 0.2
	WeightAvailability = 0.1
)

const (
	// halfRTT is the round trip at which latency counts half: within a site it
	// hardly counts, between continents it is all but lost.
	halfRTT = 20 * time.Millisecond
	// steady is how long a member has to be known to count as one that stays.
	steady = 10 * time.Minute
)

// Worker is what is known of a worker with regard to one step.
type Worker struct {
	// BPU is the speed of one of its cores, FastestBPU that of the fastest
	// worker of the crew.
	BPU, FastestBPU float64
	// LocalBytes of the step's InputBytes are on it already.
	LocalBytes, InputBytes int64
	// RTT is the round trip between it and the leader; 0 is the leader itself.
	RTT time.Duration
	// Busy of its Slots are taken; more than all of them, if steps wait there.
	Busy, Slots int
	// Known is for how long it has been a member.
	Known time.Duration
}

// Performance is the share of the fastest worker's speed, in [0, 1].
func (w Worker) Performance() float64 {
	if w.FastestBPU <= 0 {
		return 0
	}
	return unit(w.BPU / w.FastestBPU)
}

// Locality is the share of the step's input bytes that need not travel, in
// [0, 1]. A step that reads nothing is at home everywhere.
func (w Worker) Locality() float64 {
	if w.InputBytes <= 0 {
		return 1
	}
	return unit(float64(w.LocalBytes) / float64(w.InputBytes))
}

// Latency is 1 without any, 1/2 at a round trip of 20 ms, and goes to 0.
func (w Worker) Latency() float64 {
	return float64(halfRTT) / float64(halfRTT+max(w.RTT, 0))
}

// Availability is the share of idle slots, and of 10 minutes of membership, in
// equal parts, in [0, 1].
func (w Worker) Availability() float64 {
	idle := 0.0
	if w.Slots > 0 {
		idle = unit(float64(w.Slots-w.Busy) / float64(w.Slots))
	}
	return (idle + unit(float64(w.Known)/float64(steady))) / 2
}

// Score is in [0, 1]; the worker with the highest one is to have the step.
func Score(w Worker) float64 {
	return WeightPerformance*w.Performance() + WeightLocality*w.Locality() +
		WeightLatency*w.Latency() + WeightAvailability*w.Availability()
}

// unit also maps what is not a number to 0: a peer may claim any speed.
func unit(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}
