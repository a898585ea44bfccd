package simulations

import (
	"context"
	"slices"

	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// MaxShrinkRuns bounds how many smaller settings Shrink tries: a count and not
// a time, so that it finds the same one each time.
const MaxShrinkRuns = 500

// Shrink looks for a smaller setting that breaks the same rule: without some of
// the faults, builds, steps, nodes, natures and whatever else was drawn (Zeller
// and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002). It
// returns the smallest one that it found, which may be the given one.
func Shrink(ctx context.Context, s *setting.Setting, rule string) *Failure {
	k := &shrinker{ctx: ctx, rule: rule, left: MaxShrinkRuns}
	k.best = s
	k.failure = k.run(s)
	if k.failure == nil {
		return &Failure{Setting: s, Violation: check.Violation{Rule: rule, Text: "it is not broken when the setting is run again"}}
	}
	for before := -1; before != size(k.best); {
		before = size(k.best)
		k.pass()
	}
	k.failure.Smaller = k.best != s
	return k.failure
}

type shrinker struct {
	ctx     context.Context
	rule    string
	best    *setting.Setting
	failure *Failure
	left    int
}

// run returns how a setting breaks the rule, or nil.
func (k *shrinker) run(s *setting.Setting) *Failure {
	if s == nil || s.Validate() != nil || k.ctx.Err() != nil {
		return nil
	}
	if _, f := Twice(k.ctx, s); f != nil && f.Violation.Rule == k.rule {
		return f
	}
	return nil
}

func (k *shrinker) try(s *setting.Setting) bool {
	if k.left--; k.left < 0 {
		return false
	}
	f := k.run(s)
	if f == nil {
		return false
	}
	k.best, k.failure = s, f
	return true
}

// pass tries to leave out each kind of thing once.
func (k *shrinker) pass() {
	k.parts(func(s *setting.Setting) int { return len(s.Faults) }, func(s *setting.Setting, i int) {
		s.Faults = slices.Delete(s.Faults, i, i+1)
	})
	k.parts(func(s *setting.Setting) int { return len(s.Commands) }, func(s *setting.Setting, i int) {
		s.Commands = slices.Delete(s.Commands, i, i+1)
	})
	k.parts(func(s *setting.Setting) int { return len(s.Builds) }, dropBuild)
	for b := range k.best.Builds {
		k.parts(func(s *setting.Setting) int { return len(s.Builds[min(b, len(s.Builds)-1)].Graph.Steps) }, func(s *setting.Setting, i int) {
			dropStep(&s.Builds[min(b, len(s.Builds)-1)], i)
		})
	}
	k.parts(func(s *setting.Setting) int { return len(s.Nodes) }, dropNode)
	for _, simplify := range simplifications {
		s := copySetting(k.best)
		if simplify(s) {
			k.try(s)
		}
	}
	k.plain()
}

// parts tries to leave out stretches of n things, long ones first.
func (k *shrinker) parts(n func(*setting.Setting) int, drop func(s *setting.Setting, i int)) {
	for length := n(k.best); length > 0; length /= 2 {
		for at := 0; at < n(k.best); {
			s := copySetting(k.best)
			for i := min(at+length, n(s)) - 1; i >= at; i-- {
				drop(s, i)
			}
			// What cannot be left out stays: there is nothing to try.
			if size(s) == size(k.best) || !k.try(s) {
				at += length
			}
		}
	}
}

// plain tries to make single steps and nodes ordinary.
func (k *shrinker) plain() {
	for b := range k.best.Builds {
		for i := range k.best.Builds[b].Graph.Steps {
			s := copySetting(k.best)
			t := &s.Builds[b].Graph.Steps[i]
			if t.Nature != workload.Sound || t.Here || t.Toolchain != "" {
				t.Nature, t.Here, t.Toolchain = workload.Sound, false, ""
				k.try(s)
			}
		}
	}
}

// simplifications make one thing ordinary everywhere, and report whether it was
// not.
var simplifications = []func(s *setting.Setting) bool{
	func(s *setting.Setting) bool {
		had := s.Flaky > 0
		s.Flaky = 0
		return had
	},
	func(s *setting.Setting) bool {
		had := len(s.Network.Sites) > 1
		s.Network.Sites, s.Network.Routes = s.Network.Sites[:1], nil
		s.Network.Site = make([]int, len(s.Nodes))
		return had
	},
	func(s *setting.Setting) bool {
		return everyPath(s, func(p *network.Path) bool {
			had := p.Loss+p.Duplication+p.Reordering > 0 || p.Jitter > 0
			p.Loss, p.Duplication, p.Reordering, p.Jitter = 0, 0, 0, 0
			return had
		})
	},
	func(s *setting.Setting) bool {
		return everyNode(s, func(n *setting.Node) bool {
			had := n.Skew != 0 || n.Late != 0
			n.Skew, n.Late = 0, 0
			return had
		})
	},
	func(s *setting.Setting) bool {
		return everyNode(s, func(n *setting.Node) bool {
			had := n.BPU != 1 || n.Slots != 1
			n.BPU, n.Slots = 1, 1
			return had
		})
	},
	func(s *setting.Setting) bool {
		had := false
		for i := range s.Builds {
			b := &s.Builds[i]
			had = had || b.Modes.Jobs > 0 || b.Modes.KeepGoing || b.Modes.Force
			b.Modes.Jobs, b.Modes.KeepGoing, b.Modes.Force = 0, false, false
		}
		return had
	},
	func(s *setting.Setting) bool {
		had := false
		for i := range s.Builds {
			had = had || s.Builds[i].Arrivals != nil
			s.Builds[i].Arrivals = nil
		}
		return had
	},
}

func everyNode(s *setting.Setting, change func(*setting.Node) bool) bool {
	had := false
	for i := range s.Nodes {
		had = change(&s.Nodes[i]) || had
	}
	return had
}

func everyPath(s *setting.Setting, change func(*network.Path) bool) bool {
	had := false
	for i := range s.Network.Sites {
		had = change(&s.Network.Sites[i].Local) || had
	}
	for i := range s.Network.Routes {
		had = change(&s.Network.Routes[i].Path) || had
	}
	return had
}

// dropBuild leaves a build out, with the faults that are of it.
func dropBuild(s *setting.Setting, build int) {
	s.Builds = slices.Delete(s.Builds, build, build+1)
	s.Faults = slices.DeleteFunc(s.Faults, func(f fault.Fault) bool {
		return (f.Target.Role != fault.Node || f.Share > 0) && (f.Target.Build == build || f.Share > 0 && f.Build == build)
	})
	for i := range s.Faults {
		f := &s.Faults[i]
		f.Build, f.Target.Build = without1(f.Build, build), without1(f.Target.Build, build)
	}
}

// without1 is a place when the one called gone is left out.
func without1(place, gone int) int {
	if place > gone {
		return place - 1
	}
	return place
}

// dropStep leaves a step out: what it waited for is no matter to those that
// waited for it.
func dropStep(b *setting.Build, step int) {
	g := b.Graph
	g.Steps = slices.Delete(g.Steps, step, step+1)
	dropArrival(b, step)
	for i := step; i < len(g.Steps); i++ {
		deps := slices.DeleteFunc(g.Steps[i].Deps, func(on int) bool { return on == step })
		for k := range deps {
			deps[k] = without1(deps[k], step)
		}
		g.Steps[i].Deps = deps
	}
}

// dropArrival leaves out that a step of an open build comes.
func dropArrival(b *setting.Build, step int) {
	if b.Arrivals == nil {
		return
	}
	b.Arrivals = slices.Delete(b.Arrivals, step, step+1)
	for i := range b.Arrivals {
		if a := &b.Arrivals[i]; a.After == step {
			a.After = setting.None
		} else {
			a.After = without1(a.After, step)
		}
	}
}

// dropNode leaves a node out, with the faults that strike it. One that asks for
// a build stays.
func dropNode(s *setting.Setting, node int) {
	if slices.ContainsFunc(s.Builds, func(b setting.Build) bool { return b.Initiator == node }) {
		return
	}
	s.Nodes = slices.Delete(s.Nodes, node, node+1)
	s.Network.Site = slices.Delete(s.Network.Site, node, node+1)
	s.Faults = slices.DeleteFunc(s.Faults, func(f fault.Fault) bool {
		return f.Target.Role == fault.Node && len(f.Group) == 0 && f.Target.Node == node && f.Kind != fault.Heal
	})
	for i := range s.Faults {
		f := &s.Faults[i]
		f.Target.Node = without1(f.Target.Node, node)
		f.Group = slices.DeleteFunc(f.Group, func(n int) bool { return n == node })
		for k := range f.Group {
			f.Group[k] = without1(f.Group[k], node)
		}
	}
	s.Commands = slices.DeleteFunc(s.Commands, func(c setting.Command) bool { return c.Node == node })
	for i := range s.Commands {
		s.Commands[i].Node = without1(s.Commands[i].Node, node)
	}
	for i := range s.Builds {
		s.Builds[i].Initiator = without1(s.Builds[i].Initiator, node)
	}
}

// size is how much there is to look at in a setting.
func size(s *setting.Setting) int {
	n := len(s.Faults) + len(s.Nodes) + len(s.Commands)
	for i := range s.Builds {
		n += 1 + len(s.Builds[i].Graph.Steps)
	}
	return n
}

// copySetting is a setting that shares nothing with s that shrinking changes.
func copySetting(s *setting.Setting) *setting.Setting {
	c := *s
	c.Nodes, c.Builds, c.Faults = slices.Clone(s.Nodes), slices.Clone(s.Builds), slices.Clone(s.Faults)
	c.Commands = slices.Clone(s.Commands)
	c.Network.Sites, c.Network.Routes = slices.Clone(s.Network.Sites), slices.Clone(s.Network.Routes)
	c.Network.Site = slices.Clone(s.Network.Site)
	for i := range c.Faults {
		c.Faults[i].Group = slices.Clone(c.Faults[i].Group)
	}
	for i := range c.Builds {
		g := &workload.Graph{Steps: slices.Clone(s.Builds[i].Graph.Steps)}
		for k := range g.Steps {
			g.Steps[k].Deps = slices.Clone(g.Steps[k].Deps)
		}
		c.Builds[i].Graph, c.Builds[i].Arrivals = g, slices.Clone(s.Builds[i].Arrivals)
	}
	return &c
}
