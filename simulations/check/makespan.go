package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Makespan is the rule that a build in which nothing goes wrong takes no longer
// than a greedy scheduler may. At any moment either all slots are busy, which
// takes no longer than the work of all builds on all of them, or every step
// that is ready runs, and so does the next one of the longest chain, at least
// at the speed of the slowest node. So the sum of the two is a bound, within
// 1 + fastest/slowest of the lower bound: 2 on equal machines (Graham, Bounds
// for Certain Multiprocessing Anomalies, 1966, has 2 - 1/m). A leader does not
// see what other builds run, so each step of the chain may wait for the longest
// step of another one. Overhead is for all that a step costs beside its run,
// once for each step of the deepest chain and for each round of the slots, and
// is more where the messages alone take longer;
// Opening for the election, the plan and the end. What all bytes take over the
// slowest line is added, with what the heirs of all builds bring to themselves
// meanwhile: they share the lines with the steps. Builds that run alone come to
// 0.89 of it at most in 3000 drawn seeds, half of them to a fifth.
type Makespan struct {
	unsettled
	began map[int]time.Duration
}

// What the bound of Makespan allows beside the greedy scheduler's.
const (
	Overhead = 300 * time.Millisecond
	Opening  = 2 * time.Second
	// trips are the messages around a step that wait for one another: a handshake
	// and a claim, there and back; the assignment; a question for its directories
	// and one for its inputs, there and back; and what came of it.
	trips = 10
)

// NewMakespan returns the rule for one run.
func NewMakespan() *Makespan { return &Makespan{began: map[int]time.Duration{}} }

// Name names the rule.
func (*Makespan) Name() string { return "a build takes no longer than it must" }

// Observe measures builds.
func (r *Makespan) Observe(w World, e *trace.Event) string {
	s := w.Setting()
	switch {
	case e.Kind == trace.Began:
		r.began[e.Build] = e.At
	case e.Kind == trace.Over && steal.Reason(e.Value) == steal.Completed && !troubled(s) && len(s.Nodes) <= steal.MaxCrew:
		took, bound := e.At-r.began[e.Build], Greedy(s, e.Build)
		if bound > 0 && took > bound {
			return fmt.Sprintf("build %d took %v; a greedy scheduler takes %v at most", e.Build, took, bound)
		}
	}
	return ""
}

// Greedy is the bound of the rule for a build. It is 0 if the build cannot be
// judged: nobody may run it all.
func Greedy(s *setting.Setting, build int) time.Duration {
	b := &s.Builds[build]
	crew := crewOf(s, build)
	if len(crew) == 0 {
		return 0
	}
	work, steps, others := 0.0, 0, 0.0
	for i := range s.Builds {
		work += s.Builds[i].Graph.Work()
		steps += len(s.Builds[i].Graph.Steps)
		for k := range s.Builds[i].Graph.Steps {
			if i != build {
				others = max(others, s.Builds[i].Graph.Steps[k].Cost)
			}
		}
	}
	power, slots := 0.0, 0
	for _, m := range crew {
		power += m.BPU * float64(m.Slots)
		slots += m.Slots
	}
	busy := work / power
	chain := (b.Graph.CriticalPath() + float64(b.Graph.Depth())*others) / slowest(s, build)
	rounds := b.Graph.Depth() + (steps+slots-1)/slots
	return time.Duration((busy+chain)*float64(time.Second)) + Transfers(s) + custody(s) + time.Duration(rounds)*overhead(s) + Opening + arriving(s, build) + commanding(s)
}

// commanding is what is run outside of builds, one after the other.
func commanding(s *setting.Setting) (takes time.Duration) {
	for _, c := range s.Commands {
		takes += c.For
	}
	return takes
}

// arriving is what the steps of an open build take to come, one after the other:
// those that others wait for run meanwhile.
func arriving(s *setting.Setting, build int) (takes time.Duration) {
	b, waited := &s.Builds[build], map[int]bool{}
	for _, a := range b.Arrivals {
		if takes += a.Delay; a.After == setting.None || waited[a.After] {
			continue
		}
		waited[a.After] = true
		takes += time.Duration(b.Graph.Steps[a.After].Cost/slowest(s, build)*float64(time.Second)) + overhead(s)
	}
	return takes
}

// overhead is Overhead, or what the messages around a step take where the
// slowest way is so slow that this is more.
func overhead(s *setting.Setting) time.Duration {
	slowest := time.Duration(0)
	for a := range s.Nodes {
		for b := range a {
			w := wayOf(s, a, b)
			slowest = max(slowest, w.latency+w.jitter/2)
		}
	}
	return max(Overhead, trips*slowest)
}

// Transfers is what all bytes of all builds take over the slowest line, one
// after the other: what each step reads, and what the initiator brings home.
func Transfers(s *setting.Setting) time.Duration {
	bytes := int64(0)
	for i := range s.Builds {
		steps := s.Builds[i].Graph.Steps
		for k := range steps {
			bytes += steps[k].InputBytes + steps[k].OutputBytes
			for _, on := range steps[k].Deps {
				bytes += steps[on].OutputBytes
			}
		}
	}
	return overSlowest(s, bytes)
}

// custody is what the bytes of all heirs take over the slowest line: each source
// and each output once more. Nobody goes on with a build that runs on its
// initiator, even in part.
func custody(s *setting.Setting) time.Duration {
	bytes := int64(0)
	for i := range s.Builds {
		steps := s.Builds[i].Graph.Steps
		if s.Builds[i].Modes.Local || slices.ContainsFunc(steps, func(t workload.Step) bool { return t.Here }) {
			continue
		}
		for k := range steps {
			bytes += steps[k].InputBytes + steps[k].OutputBytes
		}
	}
	return overSlowest(s, bytes)
}

// overSlowest is how long bytes take over the slowest line.
func overSlowest(s *setting.Setting, bytes int64) time.Duration {
	slowest := 0.0
	least := func(bandwidth float64) {
		if bandwidth > 0 && (slowest == 0 || bandwidth < slowest) {
			slowest = bandwidth
		}
	}
	for i := range s.Network.Sites {
		least(s.Network.Sites[i].Local.Bandwidth)
	}
	for i := range s.Network.Routes {
		least(s.Network.Routes[i].Bandwidth)
	}
	if slowest == 0 {
		return 0
	}
	return time.Duration(float64(bytes) / slowest * float64(time.Second))
}

// slowest is the least speed at which any step of a build may run.
func slowest(s *setting.Setting, build int) float64 {
	least := 0.0
	for node := range s.Nodes {
		for step := range s.Builds[build].Graph.Steps {
			if runs(s, node, build, step) {
				if bpu := s.Nodes[node].BPU; least == 0 || bpu < least {
					least = bpu
				}
				break
			}
		}
	}
	return least
}

// crewOf are the machines that may run every step of a build, from the
// beginning; as few of the slowest as its bound on jobs allows.
func crewOf(s *setting.Setting, build int) []workload.Machine {
	var crew []workload.Machine
	for node := range s.Nodes {
		if n := &s.Nodes[node]; n.Late == 0 && runsAll(s, node, build) {
			crew = append(crew, workload.Machine{BPU: n.BPU, Slots: n.Slots})
		}
	}
	jobs := bound(s, build)
	if jobs == 0 {
		return crew
	}
	slices.SortStableFunc(crew, func(a, b workload.Machine) int { return cmp.Compare(a.BPU, b.BPU) })
	for i := range crew {
		crew[i].Slots = min(crew[i].Slots, jobs)
		jobs -= crew[i].Slots
	}
	return slices.DeleteFunc(crew, func(m workload.Machine) bool { return m.Slots == 0 })
}

// bound is how many steps of a build may run at once, 0 if any number: another
// build whose results it waits for may be bound to less.
func bound(s *setting.Setting, build int) int {
	own := map[string]bool{}
	for i := range s.Builds[build].Graph.Steps {
		own[s.Builds[build].Graph.Steps[i].Content] = true
	}
	least := 0
	for i := range s.Builds {
		shares := slices.ContainsFunc(s.Builds[i].Graph.Steps, func(t workload.Step) bool { return own[t.Content] })
		if jobs := s.Builds[i].Modes.Jobs; shares && jobs > 0 && (least == 0 || jobs < least) {
			least = jobs
		}
	}
	return least
}

func runsAll(s *setting.Setting, node, build int) bool {
	for step := range s.Builds[build].Graph.Steps {
		if !runs(s, node, build, step) {
			return false
		}
	}
	return true
}
