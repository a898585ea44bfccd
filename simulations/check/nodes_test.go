package check

import (
	"testing"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

func TestSlots(t *testing.T) {
	two := stream{}.run(1, trace.RunBegan, 2, 0).run(1, trace.RunBegan, 2, 1)
	rule := func() Rule { return NewSlots() }
	try(t, rule, &mesh{setting: plain()},
		trial{"as many as it has", two, ""},
		trial{"more", two.run(2, trace.RunBegan, 2, 2), "runs 3 steps in 2 slots"},
		trial{"one after another", two.run(2, trace.RunCut, 2, 0).run(2, trace.RunBegan, 2, 2), ""},
	)
	s := plain()
	s.Builds[0].Modes.Jobs = 1
	try(t, rule, &mesh{setting: s}, trial{"more than asked for", two, "no more than 1"})
}

func TestEpidemic(t *testing.T) {
	s := plain()
	s.Builds[0].Graph.Steps[1].Nature = workload.Killing
	kill := func(times, step int) stream {
		var all stream
		for i := range times {
			all = all.given(10*i, 9, 1, step, i).run(10*i, trace.RunBegan, i, step).run(10*i+1, trace.RunCut, i, step).add(10*i+1, trace.Down, on(i))
		}
		return all
	}
	cut := kill(steal.MaxLost, 1).run(100, trace.RunBegan, 9, 1).run(101, trace.RunCut, 9, 1).add(102, trace.Down, on(9))
	try(t, func() Rule { return NewEpidemic() }, &mesh{setting: s},
		trial{"as many as may be", kill(steal.MaxLost, 1), ""},
		trial{"one more", kill(steal.MaxLost+1, 1), "has killed 5 workers"},
		trial{"another step", kill(steal.MaxLost+1, 0), ""},
		trial{"it was cut before", cut, ""},
		trial{"its leaders died as well", append(stream{}.add(0, trace.Down, on(9)), kill(steal.MaxLost+1, 1)...), "has killed 5 workers"},
		trial{"nobody could hear it",
			append(stream{}.between(0, trace.Split, 9, 0), kill(steal.MaxLost+1, 1)...), ""},
	)
}

func TestCauses(t *testing.T) {
	gone := func(s stream, at int) stream { return s.logged(at, trace.OpGone, 1, trace.None, 2, 0) }
	try(t, func() Rule { return NewCauses() }, &mesh{setting: plain()},
		trial{"for nothing", gone(nil, 5000), "took node 2 for lost"},
		trial{"it died", gone(stream{}.add(4000, trace.Down, on(2)), 5000), ""},
		trial{"it could not be heard", gone(stream{}.between(4000, trace.Split, 2, 1), 5000), ""},
		trial{"that was long ago", gone(stream{}.between(1, trace.Split, 2, 1).between(1000, trace.Joined, 2, 1), 5000), "took node 2 for lost"},
		trial{"somebody else died", gone(stream{}.add(4000, trace.Down, on(3)), 5000), "took node 2 for lost"},
	)
}

func TestQuiet(t *testing.T) {
	runs := stream{}.began(0, 0).run(1, trace.RunBegan, 2, 0)
	tick := func(s stream, at int) stream { return s.add(at, trace.Looked, on(3)) }
	over := runs.over(5000, 0, int64(steal.Cancelled))
	try(t, func() Rule { return NewQuiet() }, &mesh{setting: plain()},
		trial{"a moment later", tick(over, 7000), ""},
		trial{"too long", tick(over, 7001), "runs on node 2"},
		trial{"it was ended", tick(over.run(6000, trace.RunCut, 2, 0), 7001), ""},
		trial{"its node died", tick(over.add(6000, trace.Down, on(2)), 9001), ""},
		trial{"the initiator died", tick(runs.add(5000, trace.Down, on(0)), 9001), "runs on node 2"},
		trial{"the leader died as well", tick(over.add(6000, trace.Down, on(1)), 8999), ""},
		trial{"and that was long ago", tick(over.add(6000, trace.Down, on(1)), 9001), "runs on node 2"},
		trial{"it is stopped", tick(over.add(4000, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 2, 0 }), 9001), ""},
	)
}
