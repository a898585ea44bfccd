package simulations

import (
	"errors"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// client is who asks for an open build: it adds the steps in their time, says of
// some that nobody needs them any more, and shuts the build behind the last. It
// lives on the initiator, and dies with it.
type client struct {
	b       *build
	n       *node
	added   int
	settled []bool
	waits   bool // for the time of the next one
	shut    bool
}

// opens makes the plan of an open build one without steps.
func (b *build) opens(n *node, plan *steal.Plan) {
	if b.spec.Arrivals == nil {
		return
	}
	none, err := action.NewGraph(nil)
	if err != nil {
		panic("simulations: a graph of nothing: " + err.Error())
	}
	plan.Graph, plan.Open, plan.Modes.KeepGoing = none, true, true
	b.client = &client{b: b, n: n, settled: make([]bool, len(b.spec.Arrivals))}
}

// settles notes that a step is announced or given up: others may wait for that.
func (c *client) settles(s steal.Step) {
	if c != nil {
		c.settled[s] = true
		c.next()
	}
}

// next adds the next step when its time has come.
func (c *client) next() {
	switch {
	case c.waits || c.shut || c.b.over:
		return
	case c.added == len(c.settled):
		c.shut = true
		c.n.later(0, func() { c.asks(func(o *steal.Origin) steal.OriginOutput { return o.Shut(c.n.clock()) }) })
		return
	}
	a := c.b.spec.Arrivals[c.added]
	if a.After != setting.None && !c.settled[a.After] {
		return
	}
	c.waits = true
	c.n.later(a.Delay, c.add)
}

func (c *client) add() {
	s := steal.Step(c.added)
	c.waits = false
	c.added++
	c.asks(func(o *steal.Origin) steal.OriginOutput {
		at, out, err := o.Add(c.n.clock(), c.b.graph.Steps()[s:s+1:s+1])
		switch {
		case errors.Is(err, steal.ErrShut): // the build was cancelled
		case err != nil:
			panic("simulations: a step that cannot be added: " + err.Error())
		case at != s:
			panic("simulations: steps are added in another order")
		default:
			c.tell(trace.Added, s)
		}
		return out
	})
	if d := c.b.spec.Arrivals[s].Dropped; d > 0 {
		c.n.later(d, func() { c.drop(s) })
	}
	c.next()
}

func (c *client) drop(s steal.Step) {
	c.asks(func(o *steal.Origin) steal.OriginOutput {
		c.tell(trace.Dropped, s)
		return o.Drop(c.n.clock(), s)
	})
}

func (c *client) tell(k trace.Kind, s steal.Step) {
	e := c.b.of(k, c.n)
	e.Step = int(s)
	c.b.w.tell(e)
}

// asks has the initiator's machine do something, while the build goes on.
func (c *client) asks(f func(o *steal.Origin) steal.OriginOutput) {
	for _, p := range c.n.parties {
		if p.b == c.b && p.origin != nil {
			p.doOrigin(f(p.origin.machine))
			p.leave()
			return
		}
	}
}
