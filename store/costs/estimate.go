package costs

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

const (
	// learnRate is the least weight of the newest run: a step's cost drifts
	// with its source, and one slow run is no reason to expect another.
	learnRate = 0.3
	// minWork, in BPU-seconds, is below what can be told apart.
	minWork = 1e-4
	// surprise, in natural logarithms, is how far one run may be from what was
	// expected and count in full, beside three deviations: a factor of four.
	surprise = 1.4
	// priorVariance is that of a kind with one run, as if priorRuns had shown
	// it: a factor of two.
	priorVariance = 0.5
	priorRuns     = 2
	// maxVariance bounds what the spread adds to the expectation.
	maxVariance = 2
	// memoryDecay is how fast a peak that does not come again is forgotten.
	memoryDecay = 0.2
	// maxRuns is what counts of any number of runs: more make nothing surer.
	maxRuns = 64
	// halfLife is when a run counts half, against newer ones.
	halfLife = 30 * 24 * time.Hour

	// trusted is how many runs of its own make a node heed no other's word.
	trusted = 3
	// ownWeight is how much more a run counts that a build of this node saw.
	ownWeight = 4
	// maxHeard is what counts of the runs that others tell of.
	maxHeard = 8
)

// Estimate is what is known of a kind. The zero Estimate is nothing. All of its
// numbers are finite and within the limits of package action's hints.
type Estimate struct {
	// Runs that succeeded and failed, as far as they still count.
	Runs, Failures float64
	// Mean and Variance are of the natural logarithm of the work in
	// BPU-seconds: times of runs are about lognormal, and one outlier must not
	// undo what many have shown.
	Mean, Variance float64
	// Memory is the peak in bytes, forgotten slowly; failed runs show it too.
	Memory float64
	// Output is how much a run makes, in bytes.
	Output float64
	// Last is when the newest run was.
	Last time.Time
}

// Run is what one run took.
type Run struct {
	Wall, CPU time.Duration
	// BPU is the speed of a core of the machine, Share how much of one the run
	// could have: less than 1 where there are more slots than cores.
	BPU, Share    float64
	Memory, Bytes int64
	OK            bool
}

// How much of the core that it could have a run uses at least that computes, and
// at most that waits for something else. A busy machine makes a fifth of what
// computes all the time.
const (
	computes = 0.2
	waits    = 0.02
)

// Work returns the work of a run in BPU-seconds: how long it kept a slot of a
// core of 1 BPU. That is its CPU time, as what is above it was waiting for a
// core that others had; but no more than the wall time, where it had several
// cores, and all of that where it hardly used one. In between it is in between:
// a threshold would tell steps apart that are alike.
func (r Run) Work() float64 {
	cpu, wall := max(min(r.CPU, r.Wall).Seconds(), 0), max(r.Wall.Seconds(), 0)
	seconds := cpu
	if used := cpu / (bounded(r.Share, 0.01, 1) * max(wall, minWork)); used < computes {
		waited := min(math.Log(computes/used)/math.Log(computes/waits), 1)
		seconds = max(cpu, minWork) * math.Pow(wall/max(cpu, minWork), waited)
	}
	return bounded(seconds*bounded(r.BPU, 0, math.MaxFloat32), minWork, action.MaxCost)
}

// After returns e with one more run.
func (e Estimate) After(r Run, now time.Time) Estimate {
	e = e.faded(now)
	e.Last = now
	memory := bounded(float64(r.Memory), 0, action.MaxHintBytes)
	e.Memory = max(memory, e.Memory-memoryDecay*(e.Memory-memory))
	if !r.OK {
		e.Failures = min(e.Failures+1, maxRuns)
		return e
	}
	work, output := math.Log(r.Work()), bounded(float64(r.Bytes), 0, action.MaxHintBytes)
	e.Runs = min(e.Runs+1, maxRuns)
	rate := max(1/e.Runs, learnRate)
	if e.Runs <= 1 {
		e.Mean, e.Variance, e.Output = work, 0, output
		return e
	}
	far := max(surprise, 3*e.Deviation())
	off := bounded(work-e.Mean, -far, far)
	// Finch, "Incremental calculation of weighted mean and variance", section 9.
	e.Mean += rate * off
	e.Variance = (1 - rate) * (e.Variance + rate*off*off)
	e.Output += rate * (output - e.Output)
	return e
}

// faded lets older runs count less.
func (e Estimate) faded(now time.Time) Estimate {
	age := now.Sub(e.Last)
	if e.Last.IsZero() || age <= 0 {
		return e
	}
	share := math.Exp2(-age.Hours() / halfLife.Hours())
	e.Runs, e.Failures = e.Runs*share, e.Failures*share
	return e
}

// Deviation is that of the logarithm of the work; with few runs it is rather
// what is usual.
func (e Estimate) Deviation() float64 {
	return math.Sqrt((e.Runs*e.Variance + priorRuns*priorVariance) / (e.Runs + priorRuns))
}

// Work returns the expected work of the next run in BPU-seconds: the mean of
// the lognormal distribution, so that sums are right.
func (e Estimate) Work() float64 {
	return bounded(math.Exp(e.Mean+min(e.Variance, maxVariance)/2), minWork, action.MaxCost)
}

// Hear returns e, which is made of what others tell, with one more told. A
// member may tell the same runs again: many count no more than maxHeard.
func (e Estimate) Hear(told Estimate, now time.Time) Estimate {
	told = told.valid(now)
	e, told = e.faded(now), told.faded(now)
	e.Runs, told.Runs = min(e.Runs, maxHeard), min(told.Runs, maxHeard)
	both := pool(e, e.Runs, told, told.Runs)
	both.Runs = min(e.Runs+told.Runs, maxHeard)
	both.Failures = min(e.Failures+told.Failures, maxHeard)
	return both
}

// Over returns what own runs and heard ones say together: the own alone where
// they are enough, else with more weight.
func (e Estimate) Over(heard Estimate) Estimate {
	if e.Runs >= trusted || heard.Runs <= 0 {
		return e
	}
	heard.Runs = min(heard.Runs, maxHeard)
	both := pool(e, ownWeight*e.Runs, heard, heard.Runs)
	both.Runs, both.Failures = e.Runs+heard.Runs, e.Failures+heard.Failures
	return both
}

// pool mixes two estimates by weight. Its counts are to be set.
func pool(a Estimate, wa float64, b Estimate, wb float64) Estimate {
	if wa+wb <= 0 {
		return Estimate{Memory: max(a.Memory, b.Memory), Last: later(a.Last, b.Last)}
	}
	share := wb / (wa + wb)
	mix := func(x, y float64) float64 { return x + share*(y-x) }
	gap := b.Mean - a.Mean
	return Estimate{
		Mean: mix(a.Mean, b.Mean), Variance: min(mix(a.Variance, b.Variance)+share*(1-share)*gap*gap, spread*spread),
		Memory: mix(a.Memory, b.Memory), Output: mix(a.Output, b.Output), Last: later(a.Last, b.Last),
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// oldest is before every run.
var oldest = time.Unix(0, 0)

// valid makes an estimate of a member's numbers, which may be any.
func (e Estimate) valid(now time.Time) Estimate {
	out := Estimate{
		Runs: bounded(e.Runs, 0, maxRuns), Failures: bounded(e.Failures, 0, maxRuns),
		Mean:     bounded(e.Mean, math.Log(minWork), math.Log(action.MaxCost)),
		Variance: bounded(e.Variance, 0, spread*spread),
		Memory:   bounded(e.Memory, 0, action.MaxHintBytes), Output: bounded(e.Output, 0, action.MaxHintBytes),
		Last: e.Last,
	}
	if out.Last.After(now) {
		out.Last = now
	}
	if out.Last.Before(oldest) {
		out.Last = oldest
	}
	return out
}

// spread is above the distance of any two works, in natural logarithms.
const spread = 30

// bounded is x within limits; what is no number is the lower one.
func bounded(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return low
	}
	return min(max(x, low), high)
}

// encodedBytes is a version and seven numbers.
const (
	version      = 2
	encodedBytes = 1 + 7*8
)

func (e Estimate) encode() []byte {
	b := append(make([]byte, 0, encodedBytes), version)
	for _, x := range []float64{e.Runs, e.Failures, e.Mean, e.Variance, e.Memory, e.Output} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	return binary.BigEndian.AppendUint64(b, uint64(e.Last.Unix()))
}

func decode(b []byte) (Estimate, bool) {
	if len(b) != encodedBytes || b[0] != version {
		return Estimate{}, false
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	float := func(i int) float64 { return math.Float64frombits(number(i)) }
	last := time.Unix(int64(number(6)), 0)
	e := Estimate{Runs: float(0), Failures: float(1), Mean: float(2), Variance: float(3), Memory: float(4), Output: float(5), Last: last}
	return e.valid(last), true
}
