package check

import (
	"cmp"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

func TestSlots(t *testing.T) {
	two := stream{}.run(1, trace.RunBegan, 2, 0).run(1, trace.RunBegan, 2, 1)
	rule := func() Rule { return NewSlots() }
	try(t, rule, &mesh{setting: plain()},
		trial{"as many as it has", two, ""},
		trial{"more", two.run(2, trace.RunBegan, 2, 2), "runs 3 steps in 2 slots"},
		trial{"more than it lends", stream{}.add(1, trace.Lent, on(2)).run(1, trace.RunBegan, 2, 0), "lends no slot"},
		trial{"it lends again", stream{}.add(1, trace.Lent, on(2)).add(2, trace.Lent, func(e *trace.Event) { e.Node, e.Value = 2, 1 }).run(3, trace.RunBegan, 2, 0), ""},
		trial{"its own", stream{}.add(1, trace.Lent, on(0)).run(1, trace.RunBegan, 0, 0), ""},
		trial{"what it goes on with", stream{}.add(1, trace.Lent, on(0)).add(1, trace.Inherited, func(e *trace.Event) { e.Node, e.Value = 0, 7 }).
			run(1, trace.RunBegan, 0, 0), "lends no slot"},
		trial{"one after another", two.run(2, trace.RunCut, 2, 0).run(2, trace.RunBegan, 2, 2), ""},
	)
	s := plain()
	s.Builds[0].Modes.Jobs = 1
	taken := func(at int) stream {
		return stream{}.run(1, trace.RunBegan, 2, 0).add(at, trace.Revoked, func(e *trace.Event) { e.Node, e.Peer, e.Step = 1, 2, 0 }).run(1500, trace.RunBegan, 2, 1)
	}
	try(t, rule, &mesh{setting: s},
		trial{"more than asked for", two, "no more than 1"},
		trial{"one was taken back a moment ago", taken(600), ""},
		trial{"and long ago", taken(400), "no more than 1"},
		trial{"and two more", taken(600).run(1500, trace.RunBegan, 3, 2), "2 steps of build 0 run"},
		trial{"it was taken back before it began", stream{}.add(1, trace.Revoked, func(e *trace.Event) { e.Node, e.Peer, e.Step = 1, 2, 0 }).
			run(2, trace.RunBegan, 2, 0).run(3, trace.RunBegan, 3, 1), ""},
		trial{"and given again", stream{}.add(1, trace.Revoked, func(e *trace.Event) { e.Node, e.Peer, e.Step = 1, 2, 0 }).given(1, 1, 1, 0, 2).
			run(2, trace.RunBegan, 2, 0).run(3, trace.RunBegan, 3, 1), "no more than 1"},
	)
}

func TestCommands(t *testing.T) {
	s := plain()
	s.Commands = make([]setting.Command, 4)
	command := func(of stream, at int, k trace.Kind, node, number int) stream {
		return of.add(at, k, func(e *trace.Event) { e.Node, e.Value = node, int64(number) })
	}
	waits := func(node int) stream {
		return command(command(nil, 1, trace.CommandBegan, node, 0), 1, trace.CommandCame, node, 1)
	}
	full := stream{}.run(1, trace.RunBegan, 2, 0).run(1, trace.RunBegan, 2, 1)
	steps := func(of stream, node, n int) stream {
		for i := range n {
			of = of.run(2+i, trace.RunBegan, node, i).run(2+i, trace.RunEnded, node, i)
		}
		return of
	}
	try(t, func() Rule { return NewCommands() }, &mesh{setting: s},
		trial{"beside stolen steps", command(command(full, 2, trace.CommandBegan, 2, 0), 2, trace.CommandBegan, 2, 1), ""},
		trial{"too many", command(command(command(full, 2, trace.CommandBegan, 2, 0), 2, trace.CommandBegan, 2, 1), 3, trace.CommandBegan, 2, 2), "0 own steps and 3 commands in 2 slots"},
		trial{"after another", command(command(command(command(full, 2, trace.CommandBegan, 2, 0), 2, trace.CommandBegan, 2, 1), 3, trace.CommandEnded, 2, 0), 3, trace.CommandBegan, 2, 2), ""},
		trial{"with own steps", command(command(stream{}.run(1, trace.RunBegan, 0, 0), 2, trace.CommandBegan, 0, 0), 3, trace.CommandBegan, 0, 1), "1 own steps and 2 commands"},
		trial{"an own step begins", command(command(nil, 1, trace.CommandBegan, 0, 0), 1, trace.CommandBegan, 0, 1).run(2, trace.RunBegan, 0, 0), "1 own steps and 2 commands"},
		trial{"a stolen step begins", command(full[:1], 1, trace.CommandBegan, 2, 0).run(100, trace.RunBegan, 2, 1), "runs 3 steps and commands in 2 slots"},
		trial{"which had its slot before", command(full[:1], 60, trace.CommandBegan, 2, 0).run(100, trace.RunBegan, 2, 1), ""},
		trial{"stolen steps pass a command", steps(waits(2), 2, 3), "3 stolen steps have begun"},
		trial{"two had their slots", steps(waits(2), 2, 2), ""},
		trial{"own steps pass a command", steps(waits(0), 0, 3), "3 own steps have begun"},
		trial{"it waits for nothing", command(full, 2, trace.CommandCame, 2, 0).run(60, trace.RunEnded, 2, 0), "command 0 waits on node 2 since 2ms"},
		trial{"it waited", command(command(full, 2, trace.CommandCame, 2, 0), 10, trace.CommandBegan, 2, 0).run(60, trace.RunEnded, 2, 0), ""},
		trial{"of a life before", steps(command(nil, 1, trace.CommandCame, 2, 1).add(1, trace.Down, on(2)), 2, 3), ""},
	)
}

// insert puts events where they belong by their times.
func insert(s, more stream) stream {
	all := slices.Concat(s, more)
	slices.SortStableFunc(all, func(a, b trace.Event) int { return cmp.Compare(a.At, b.At) })
	return all
}

func TestEpidemic(t *testing.T) {
	s := plain()
	s.Builds[0].Graph.Steps[1].Nature = workload.Killing
	kill := func(times, step int) stream {
		var all stream
		for i := range times {
			at := 1000 * i
			all = all.given(at, 9, 1, step, i).run(at, trace.RunBegan, i, step).run(at+900, trace.RunCut, i, step).add(at+900, trace.Down, on(i))
		}
		return all
	}
	cut := kill(steal.MaxLost, 1).run(9000, trace.RunBegan, 9, 1).run(9001, trace.RunCut, 9, 1).add(9002, trace.Down, on(9))
	// Node 1 leads, and runs it itself; the next one's log is so long.
	leader := func(upTo int64) stream {
		own := stream{}.given(0, 1, 1, 1, 1).run(1, trace.RunBegan, 1, 1).logged(1, trace.OpStarted, 7, 1, 1, 0).run(9, trace.RunCut, 1, 1).add(9, trace.Down, on(1)).
			led(10, trace.Led, 9, 2)
		own[len(own)-1].Value = upTo
		return append(own, kill(steal.MaxLost, 1)...)
	}
	try(t, func() Rule { return NewEpidemic() }, &mesh{setting: s},
		trial{"a leader, and its successor knows", leader(7), "has killed 5 workers"},
		trial{"a leader, and its successor cannot know", leader(6), ""},
		trial{"as many as may be", kill(steal.MaxLost, 1), ""},
		trial{"one more", kill(steal.MaxLost+1, 1), "has killed 5 workers"},
		trial{"another step", kill(steal.MaxLost+1, 0), ""},
		trial{"it was cut before", cut, ""},
		trial{"its leader died as well", insert(kill(steal.MaxLost+1, 1), stream{}.add(600, trace.Down, on(9))), "has killed 5 workers"},
		trial{"its leader died at once", insert(kill(steal.MaxLost+1, 1), stream{}.add(10, trace.Down, on(9))), ""},
		trial{"nobody could hear it",
			append(stream{}.between(0, trace.Split, 9, 0), kill(steal.MaxLost+1, 1)...), ""},
		trial{"the initiator could not hear the leader of one",
			append(stream{}.between(0, trace.Split, 0, 9).between(950, trace.Joined, 0, 9), kill(steal.MaxLost+1, 1)...), ""},
		trial{"the initiator could not hear the leader of one, and there are two more",
			append(stream{}.between(0, trace.Split, 0, 9).between(950, trace.Joined, 0, 9), kill(steal.MaxLost+2, 1)...), "has killed 5"},
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
		trial{"the first of several is named", tick(insert(over, stream{}.run(2, trace.RunBegan, 3, 0).run(2, trace.RunBegan, 1, 1)), 7001), "step 1 of build 0 runs on node 1"},
		trial{"it was ended", tick(over.run(6000, trace.RunCut, 2, 0), 7001), ""},
		trial{"its node died", tick(over.add(6000, trace.Down, on(2)), 9001), ""},
		trial{"the initiator died", tick(runs.add(5000, trace.Down, on(0)), 9001), "runs on node 2"},
		trial{"the leader died as well", tick(over.add(6000, trace.Down, on(1)), 8999), ""},
		trial{"and that was long ago", tick(over.add(6000, trace.Down, on(1)), 9001), "runs on node 2"},
		trial{"it is stopped", tick(over.add(4000, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 2, 0 }), 9001), ""},
	)
}
