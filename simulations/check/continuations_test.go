package check

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

func TestContinuations(t *testing.T) {
	inherit := func(s stream, at, node, build, old int) stream {
		return s.add(at, trace.Inherited, func(e *trace.Event) { e.Node, e.Build, e.Value = node, build, int64(old) }).
			add(at, trace.Began, func(e *trace.Event) { e.Node, e.Build = node, build })
	}
	late := int(Parallel / time.Millisecond)
	tick := func(s stream, at int) stream { return s.add(at, trace.Looked, on(3)) }
	first := stream{}.began(0, 0)
	died := first.add(500, trace.Down, on(0))
	two := inherit(inherit(died, 1000, 1, 1, 0), 2000, 2, 2, 0)
	rule := func() Rule { return NewContinuations() }
	try(t, rule, &mesh{setting: plain()},
		trial{"one", tick(inherit(died, 1000, 1, 1, 0), 9000+late), ""},
		trial{"two for a while", tick(two, 2000+late-1), ""},
		trial{"two for good", tick(two, 2000+late), "build 0 goes on twice: as build 1 of node 1, and for"},
		trial{"one of them yields", tick(two.over(3000, 2, 2), 2000+late), ""},
		trial{"the heir of one is another", tick(inherit(inherit(died, 1000, 1, 1, 0).add(1500, trace.Down, on(1)), 2000, 2, 2, 1), 2000+late), ""},
		trial{"the heir of one goes on beside it", tick(inherit(inherit(died, 1000, 1, 1, 0), 2000, 2, 2, 1), 2000+late), "goes on twice"},
		trial{"the initiator lives", tick(inherit(first, 1000, 1, 1, 0), 1000+late), "as build 0 of node 0"},
		trial{"they met a moment ago", tick(two.between(5000, trace.Joined, 1, 2), 2000+late), ""},
	)
	try(t, rule, &mesh{setting: plain(), apart: true}, trial{"on two sides", tick(two, 2000+late), ""})
	s := plain()
	s.HealAt = time.Hour
	try(t, rule, &mesh{setting: s}, trial{"before the faults are over", tick(two, 2000+late), ""})
}
