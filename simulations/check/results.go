package check

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// Results is the rule that a build on a mesh comes to what it comes to on one
// node: steps that fail there fail, what waits for them is not run, everything
// else is made of what was announced and is what that makes. A build that
// completes leaves nothing out without a reason; for what reasons a step may be
// given up says Reasons.
type Results struct {
	builds map[int]*reference
}

// reference is what one build has to come to, and what it came to so far.
type reference struct {
	*workload.Reference
	outputs  []uint64 // announced; 0 of what is not, or failed
	announce []bool
	gaveUp   []bool
	// stopped says that something went wrong that ends a build which does not
	// keep going.
	stopped bool
}

// NewResults returns the rule for one run.
func NewResults() *Results { return &Results{builds: map[int]*reference{}} }

// Name names the rule.
func (*Results) Name() string { return "results are those of one node" }

// Settle says nothing.
func (*Results) Settle(World) string { return "" }

func (r *Results) of(w World, build int) *reference {
	if r.builds[build] == nil {
		g := w.Setting().Builds[build].Graph
		n := len(g.Steps)
		r.builds[build] = &reference{
			Reference: workload.Refer(g), outputs: make([]uint64, n), announce: make([]bool, n), gaveUp: make([]bool, n),
		}
	}
	return r.builds[build]
}

// Observe compares what happens with the reference.
func (r *Results) Observe(w World, e *trace.Event) string {
	switch e.Kind {
	case trace.RunBegan:
		if r.of(w, e.Build).Ends[e.Step] == workload.Behind {
			return fmt.Sprintf("step %d of build %d is run on node %d, and waits for one that fails", e.Step, e.Build, e.Node)
		}
	case trace.Announced:
		return r.of(w, e.Build).announced(&w.Setting().Builds[e.Build].Graph.Steps[e.Step], e)
	case trace.GaveUp:
		b := r.of(w, e.Build)
		b.gaveUp[e.Step], b.stopped = true, true
	case trace.Over:
		if steal.Reason(e.Value) == steal.Completed {
			return r.of(w, e.Build).complete(&w.Setting().Builds[e.Build], e.Build)
		}
	}
	return ""
}

func (b *reference) announced(s *workload.Step, e *trace.Event) string {
	b.announce[e.Step], b.outputs[e.Step] = true, e.Digest
	where := fmt.Sprintf("step %d of build %d, executed by node %d,", e.Step, e.Build, e.Peer)
	fails := b.Ends[e.Step] == workload.Failed
	switch {
	case b.Ends[e.Step] == workload.Behind:
		return where + " was announced, and waits for one that fails"
	case fails != (e.Digest == 0):
		return fmt.Sprintf("%s was announced; it failed: %v, and on one node: %v", where, e.Digest == 0, fails)
	case fails:
		b.stopped = true
		return ""
	}
	inputs := make([]uint64, len(s.Deps))
	for i, on := range s.Deps {
		if inputs[i] = b.outputs[on]; inputs[i] == 0 {
			return fmt.Sprintf("%s was announced, and step %d, of which it is made, was not", where, on)
		}
	}
	if want := workload.Short(s.Output(s.ActionOf(inputs), 0)); s.Nature != workload.Careless && e.Digest != want {
		return fmt.Sprintf("%s came to %016x; of what was announced it makes %016x", where, e.Digest, want)
	}
	return ""
}

// complete says what a build that completed left out.
func (b *reference) complete(spec *setting.Build, build int) string {
	if b.stopped && !spec.Modes.KeepGoing {
		return ""
	}
	behind := make([]bool, len(b.Ends))
	for i := range spec.Graph.Steps {
		for _, on := range spec.Graph.Steps[i].Deps {
			behind[i] = behind[i] || behind[on] || b.gaveUp[on] || b.Ends[on] != workload.Made
		}
		if !b.announce[i] && !b.gaveUp[i] && !behind[i] {
			return fmt.Sprintf("build %d completed without step %d", build, i)
		}
	}
	return ""
}

// troubled reports whether anything goes wrong in a setting.
func troubled(s *setting.Setting) bool {
	if len(s.Faults) > 0 || s.Flaky > 0 || anySilent(s) {
		return true
	}
	for i := range s.Builds {
		for k := range s.Builds[i].Graph.Steps {
			if n := s.Builds[i].Graph.Steps[k].Nature; n == workload.Killing || n == workload.Losing {
				return true
			}
		}
	}
	return false
}

// runs reports whether a node can run a step of a build.
func runs(s *setting.Setting, node, build, step int) bool {
	b, n := &s.Builds[build], &s.Nodes[node]
	t := &b.Graph.Steps[step]
	if n.Slots == 0 || n.Cell != s.Nodes[b.Initiator].Cell || (t.Here || b.Modes.Local) && node != b.Initiator {
		return false
	}
	if t.Toolchain == "" {
		return true
	}
	for _, has := range n.Toolchains {
		if has == t.Toolchain {
			return true
		}
	}
	return false
}
