package check

import (
	"fmt"
	"time"

	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// unsure is how long after a change the members may disagree on who owns an
// action: the time in which a death is noticed and told.
const unsure = 10 * time.Second

// Shared is the rule that an action which two builds want is executed by one of
// them. The second may execute it as well when the first has nothing to give:
// its execution was lost (see hands), or failed, or its build was over before
// the result was told; when the claims of the first ended with its leader; when
// the two have, or may have had, different owners of the action; when one of
// them is forced to execute, and claims nothing; or when one went ahead of its claim
// and has not got it, where that may be: its leader has no neighbours.
type Shared struct {
	unsettled
	hands  *hands
	wrong  *troubles
	runs   map[uint64][]shared
	claims map[claimOf]claimed
	// ahead are what is executed beside a claim that is not given, by the leader.
	ahead map[claimOf]int
	// reopened are steps whose results were taken back.
	reopened map[stepOf]bool
	// published actions, by when an owner kept them first.
	published map[uint64]time.Duration
	led, over map[int]time.Duration // builds, by when it happened last
	epochs    map[int]trace.Epoch   // of builds, the last that began
	unrest    map[int]time.Duration // of the membership, by whom it is of, when it was last
	families  trace.Families
	reborn    map[int]bool // nodes that were started again
	stalled   map[int]bool
}

type shared struct {
	build   int
	attempt *attempt
}

type claimOf struct {
	build  int
	action uint64
}

type claimed struct {
	owner, leader int
	at            time.Duration
}

// NewShared returns the rule for one run.
func NewShared() *Shared {
	return &Shared{
		hands: newHands(), wrong: newTroubles(), runs: map[uint64][]shared{}, claims: map[claimOf]claimed{}, ahead: map[claimOf]int{},
		reopened: map[stepOf]bool{}, reborn: map[int]bool{}, unrest: map[int]time.Duration{},
		published: map[uint64]time.Duration{}, stalled: map[int]bool{}, led: map[int]time.Duration{}, over: map[int]time.Duration{}, epochs: map[int]trace.Epoch{},
	}
}

// Name names the rule.
func (*Shared) Name() string { return "no action is executed by two builds" }

// Observe looks at each execution.
func (r *Shared) Observe(w World, e *trace.Event) string {
	if len(w.Setting().Builds) < 2 {
		return ""
	}
	r.wrong.Observe(w, e)
	r.families.Fold(*e)
	now := r.hands.Observe(e)
	if e.Kind == trace.Up && e.Value > 0 {
		r.reborn[e.Node] = true
	}
	switch e.Kind {
	case trace.Up, trace.Down, trace.Suspected, trace.Believed, trace.Split, trace.Joined:
		if e.Kind != trace.Up || e.At > 0 {
			r.unrest[e.Node] = e.At
		}
	case trace.Slowed:
		if e.Value == 0 || r.stalled[e.Node] {
			r.unrest[e.Node], r.stalled[e.Node] = e.At, e.Value == 0
		}
	case trace.Led:
		r.led[e.Build], r.epochs[e.Build] = e.At, e.Epoch
	case trace.Deposed:
		// One who hears late of the next leader gives steps away until then.
		if e.Epoch.Less(r.epochs[e.Build]) {
			r.led[e.Build] = e.At
		}
	case trace.Over:
		r.over[e.Build] = e.At
	case trace.Ahead:
		r.ahead[claimOf{e.Build, e.Digest}] = e.Node
	case trace.Claimed:
		delete(r.ahead, claimOf{e.Build, e.Digest})
		c := claimed{e.Peer, e.Node, e.At}
		if before, again := r.claims[claimOf{e.Build, e.Digest}]; again {
			c.at = before.at // it may have been had, and waited with, since
		}
		r.claims[claimOf{e.Build, e.Digest}] = c
	case trace.Published:
		if _, again := r.published[e.Digest]; !again {
			r.published[e.Digest] = e.At
		}
	case trace.Logged:
		if e.Text == trace.OpReopened {
			r.reopened[stepOf{e.Build, e.Step}] = true
		}
	case trace.RunBegan:
		if r.reopened[stepOf{e.Build, e.Step}] {
			return "" // it had the result, and its outputs were lost
		}
		return r.began(w, e, now)
	}
	return ""
}

func (r *Shared) began(w World, e *trace.Event, now *attempt) string {
	second := shared{e.Build, now}
	step := &w.Setting().Builds[e.Build].Graph.Steps[e.Step]
	if step.Here || step.Nature == workload.Failing {
		return "" // it is not shared
	}
	for _, first := range r.runs[e.Digest] {
		if first.build != e.Build && r.excuse(w, first, second, e.Digest) == "" {
			return fmt.Sprintf("action %016x, step %d of build %d, is executed on node %d, and build %d had it executed on node %d (given at %v)",
				e.Digest, e.Step, e.Build, e.Node, first.build, first.attempt.node, first.attempt.assigned)
		}
	}
	r.runs[e.Digest] = append(r.runs[e.Digest], second)
	return ""
}

// restless reports whether the members of a node's cell may not have agreed on
// who is there at any time after since: there own the actions, and claim them.
func (r *Shared) restless(s *setting.Setting, of int, since time.Duration) bool {
	for i := range s.Nodes {
		if at, ever := r.unrest[i]; ever && at > since && s.Nodes[i].Cell == s.Nodes[of].Cell {
			return true
		}
	}
	return false
}

// races reports whether a build has an action executed beside a claim that it has not
// got, and may.
func (r *Shared) races(s *setting.Setting, build int, action uint64) bool {
	leader, ahead := r.ahead[claimOf{build, action}]
	return ahead && !r.hasNeighbour(s, leader)
}

// hasNeighbour reports whether a node that was never away is near another.
func (r *Shared) hasNeighbour(s *setting.Setting, of int) bool {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if i == of || n.Cell != s.Nodes[of].Cell || n.Late > 0 || r.wrong.of(i).down.ever {
			continue
		}
		if wayOf(s, i, of).trip() <= claim.Near {
			return true
		}
	}
	return false
}

// excuse names why the second execution may be, or is "".
func (r *Shared) excuse(w World, first, second shared, action uint64) string {
	builds := w.Setting().Builds
	over, ended := r.over[first.build]
	told, published := r.published[action]
	a, b := r.claims[claimOf{first.build, action}], r.claims[claimOf{second.build, action}]
	begun := first.attempt.assigned
	for _, c := range [2]claimed{a, b} {
		if c.at > 0 {
			begun = min(begun, c.at) // what is claimed may wait for long
		}
	}
	switch {
	case builds[first.build].Modes.Force || builds[second.build].Modes.Force:
		return "a forced build claims nothing"
	case builds[second.build].Modes.Local || builds[first.build].Modes.Local:
		return "a local build asks nobody"
	case w.Setting().Nodes[builds[first.build].Initiator].Cell != w.Setting().Nodes[builds[second.build].Initiator].Cell:
		return "the builds are of different cells"
	case r.families.First(first.build) == r.families.First(second.build):
		return "they are one build, of which an heir has not heard all"
	case first.attempt.freed != "":
		return first.attempt.freed
	case ended && (!published || over < told):
		return "the first build was over before its result was told"
	case r.led[first.build] > first.attempt.assigned:
		return "the claim ended with the first build's leader"
	case r.led[second.build] > second.attempt.assigned:
		return "the claim ended with the second build's leader, after it had given the step away"
	case r.restless(w.Setting(), builds[first.build].Initiator, begun-unsure):
		return "the members may not agree on the owner, or have passed one over that did not answer"
	case r.races(w.Setting(), first.build, action) || r.races(w.Setting(), second.build, action):
		return "it was begun beside a claim on the other side of a slow line"
	}
	if a.owner != b.owner && (r.reborn[a.owner] || r.reborn[b.owner]) {
		return "the stream to an owner was one to its former life, and the next owner was asked"
	}
	for _, c := range [2]claimed{a, b} {
		if why := r.wrong.apart(c.leader, c.owner, max(0, begun-unsure)); c.at > 0 && why != "" {
			return why
		}
	}
	return ""
}
