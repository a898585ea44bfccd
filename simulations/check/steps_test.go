package check

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/fault"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

func TestTurns(t *testing.T) {
	secured := stream{}.add(1, trace.Secured, func(e *trace.Event) { e.Node, e.Step = 0, 0 }).
		add(1, trace.Secured, func(e *trace.Event) { e.Node, e.Step = 0, 1 })
	try(t, func() Rule { return NewTurns() }, &mesh{setting: plain()},
		trial{"in order", secured.announced(2, 0, 1, 1).announced(2, 1, 1, 1), ""},
		trial{"the wrong way round", secured.announced(2, 1, 1, 1), "before step 0"},
		trial{"not here", secured[1:].announced(2, 0, 1, 1), "before its outputs"},
		trial{"a failure has none", stream{}.announced(2, 0, 1, 0), ""},
	)
	try(t, func() Rule { return NewTurns() }, &mesh{setting: plain(), lacks: 1},
		trial{"it only says so", secured.announced(2, 0, 1, 1), "the initiator does not have"},
		trial{"another is here", secured.announced(2, 0, 1, 2), ""},
		trial{"it was lost", secured.add(1, trace.LostBlobs, on(0)).announced(2, 0, 1, 1), ""},
		trial{"another node lost it", secured.add(1, trace.LostBlobs, on(1)).announced(2, 0, 1, 1), "the initiator does not have"},
	)
}

func TestFinal(t *testing.T) {
	done := stream{}.given(1, 1, 1, 0, 2).run(2, trace.RunBegan, 2, 0).announced(9, 0, 1, 1)
	lost := stream{}.given(1, 1, 1, 0, 3).logged(5, trace.OpGone, 1, trace.None, 3, 0).announced(2000, 0, 1, 1)
	stopped := func(at int, s stream) stream {
		return s.add(at, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 3, 0 })
	}
	try(t, func() Rule { return NewFinal() }, &mesh{setting: plain()},
		trial{"announced twice", done.announced(10, 0, 2, 1), "announced twice"},
		trial{"given up afterwards", done.add(10, trace.GaveUp, func(e *trace.Event) { e.Step = 0 }), "announced twice"},
		trial{"executed again", done.given(10, 1, 1, 0, 3).run(11, trace.RunBegan, 3, 0), "was announced at 9ms"},
		trial{"another is executed", done.given(10, 1, 1, 1, 3).run(11, trace.RunBegan, 3, 1), ""},
		trial{"a worker that was lost begins late, for no reason", lost.run(2001, trace.RunBegan, 3, 0), "was announced"},
		trial{"a worker that was stopped begins late", stopped(4, lost).run(2001, trace.RunBegan, 3, 0), ""},
		trial{"the revocation is on its way",
			stream{}.given(1, 1, 1, 0, 3).
				add(5, trace.Revoked, func(e *trace.Event) { e.Node, e.Peer, e.Step = 1, 3, 0 }).
				announced(9, 0, 1, 1).run(12, trace.RunBegan, 3, 0), ""},
	)
}

func TestTwice(t *testing.T) {
	once := stream{}.given(1, 1, 1, 0, 2).run(2, trace.RunBegan, 2, 0)
	again := func(s stream) stream { return s.given(3000, 1, 1, 0, 3).run(3001, trace.RunBegan, 3, 0) }
	heir := func(s stream) stream { return s.given(3000, 3, 2, 0, 3).run(3001, trace.RunBegan, 3, 0) }
	hasty := func(s stream) stream { return s.given(2499, 3, 2, 0, 3).run(3001, trace.RunBegan, 3, 0) }
	pace := func(s stream, to int64) stream {
		return s.add(2500, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 2, to })
	}
	tookOver := once.add(1000, trace.Down, on(1)).led(2000, trace.Led, 3, 2)
	s := plain()
	s.Flaky = 0.1
	try(t, func() Rule { return NewTwice() }, &mesh{setting: s},
		trial{"once", once, ""},
		trial{"twice", again(once), "is executed on node 3"},
		trial{"on one worker", once.run(5, trace.RunEnded, 2, 0).run(6, trace.RunBegan, 2, 0), "is executed on node 2"},
		trial{"its worker died", again(once.add(5, trace.Down, on(2))), ""},
		trial{"its worker died too late", again(once).add(4000, trace.Down, on(2)), "is executed"},
		trial{"its worker was lost", again(once.logged(5, trace.OpGone, 1, trace.None, 2, 0)), ""},
		trial{"another worker was lost", again(once.logged(5, trace.OpGone, 1, trace.None, 0, 0)), "is executed"},
		trial{"its try came to nothing", again(once.logged(5, trace.OpTried, 1, 0, 2, 0)), ""},
		trial{"its result was lost", again(once.logged(5, trace.OpReopened, 1, 0, trace.None, 0)), ""},
		trial{"another leader", heir(tookOver), "in epoch 2"},
		trial{"another leader that could not hear", heir(tookOver.between(2400, trace.Split, 2, 3)), ""},
		trial{"another leader that did not listen", hasty(tookOver.between(1900, trace.Split, 2, 3)), "in epoch 2"},
		trial{"another leader that believed it dead", hasty(tookOver.between(1900, trace.Split, 2, 3).between(1950, trace.Suspected, 3, 2)), ""},
		trial{"another leader that could have heard long ago",
			heir(stream{}.between(0, trace.Split, 2, 3).between(1, trace.Joined, 2, 3).given(1, 1, 1, 0, 2).run(2, trace.RunBegan, 2, 0)), "is executed"},
		trial{"an old leader goes on", stream{}.between(1, trace.Split, 1, 3).given(3000, 3, 2, 0, 3).run(3001, trace.RunBegan, 3, 0).
			given(3100, 1, 1, 0, 2).run(3101, trace.RunBegan, 2, 0), ""},
		trial{"an old leader goes on, for no reason", stream{}.given(3000, 3, 2, 0, 3).run(3001, trace.RunBegan, 3, 0).
			given(3100, 1, 1, 0, 2).run(3101, trace.RunBegan, 2, 0), "in epoch 2"},
		trial{"its worker was stopped", again(pace(once, 0)), ""},
		trial{"its worker was slow", again(pace(once, 100)), "is executed on node 3"},
	)
	s = plain()
	s.Flaky, s.Nodes[2].Late = 0.1, time.Millisecond
	try(t, func() Rule { return NewTwice() }, &mesh{setting: s},
		trial{"another leader that has not heard that it came", hasty(tookOver.between(1900, trace.Split, 2, 3)), ""},
		trial{"another leader that has", hasty(tookOver.between(1800, trace.Believed, 3, 2).between(1900, trace.Split, 2, 3)), "in epoch 2"},
	)
	try(t, func() Rule { return NewTwice() }, &mesh{setting: plain()},
		trial{"once, and nothing goes wrong", once, ""},
		trial{"its worker was lost, and nothing goes wrong", again(once.logged(5, trace.OpGone, 1, trace.None, 2, 0)), "is executed on node 3"},
	)
}

func TestResults(t *testing.T) {
	s := plain()
	ref := workload.Refer(s.Builds[0].Graph)
	out := func(i int) uint64 { return workload.Short(ref.Outputs[i]) }
	good := stream{}.announced(1, 0, 1, out(0)).announced(2, 1, 2, out(1)).announced(3, 2, 3, out(2))
	rule := func() Rule { return NewResults() }
	try(t, rule, &mesh{setting: s},
		trial{"what it makes", good.over(4, 0, int64(steal.Completed)), ""},
		trial{"something else", good[:1].announced(2, 1, 2, 99), "of what was announced it makes"},
		trial{"a failure", good[:1].announced(2, 1, 2, 0), "it failed: true"},
		trial{"one is left out", good[:2].over(4, 0, int64(steal.Completed)), "completed without step 2"},
		trial{"cancelled", good[:2].over(4, 0, int64(steal.Cancelled)), ""},
	)
	bad := plain()
	bad.Builds[0].Graph.Steps[1].Nature = workload.Failing
	try(t, rule, &mesh{setting: bad},
		trial{"it fails", good[:1].announced(2, 1, 2, 0).over(4, 0, int64(steal.Completed)), ""},
		trial{"it does not", good[:2], "it failed: false"},
		trial{"what waits for it runs", stream{}.run(1, trace.RunBegan, 2, 2), "waits for one that fails"},
	)
	careless := plain()
	careless.Builds[0].Graph.Steps[0].Nature = workload.Careless
	g := careless.Builds[0].Graph
	made := workload.Short(g.Steps[1].Output(g.Steps[1].ActionOf([]uint64{55}), 0))
	try(t, rule, &mesh{setting: careless},
		trial{"of what was announced", stream{}.announced(1, 0, 1, 55).announced(2, 1, 2, made), ""},
		trial{"of what was not", stream{}.announced(1, 0, 1, 56).announced(2, 1, 2, made), "of what was announced it makes"},
	)
}

func TestReasons(t *testing.T) {
	after := func(s stream, op string, times int) stream {
		for range times {
			s = s.logged(20_000, op, 1, 2, trace.None, 0)
		}
		return s.logged(20_000, trace.OpFailed, 1, 2, trace.None, 0).add(20_001, trace.GaveUp, func(e *trace.Event) { e.Step = 2 })
	}
	rule := func() Rule { return NewReasons() }
	try(t, rule, &mesh{setting: plain()},
		trial{"for nothing", after(nil, trace.OpTried, 0), "without a reason"},
		trial{"it was tried often", after(nil, trace.OpTried, steal.MaxTries), ""},
		trial{"it was tried less often", after(nil, trace.OpTried, steal.MaxTries-1), "without a reason"},
		trial{"it took many with it", after(nil, trace.OpLost, steal.MaxLost), ""},
		trial{"it took fewer", after(nil, trace.OpLost, steal.MaxLost-1), "without a reason"},
		trial{"no log says so", stream{}.add(1, trace.GaveUp, func(e *trace.Event) { e.Step = 2 }), "without a reason"},
	)
	two := plain()
	two.Builds = append(two.Builds, two.Builds[0])
	heir := func(s stream, step int) stream {
		return s.add(30_000, trace.Inherited, func(e *trace.Event) { e.Node, e.Build, e.Value = 1, 1, 0 }).
			add(30_001, trace.GaveUp, func(e *trace.Event) { e.Build, e.Step = 1, step })
	}
	try(t, rule, &mesh{setting: two},
		trial{"an heir keeps to it", heir(after(nil, trace.OpTried, steal.MaxTries), 2), ""},
		trial{"an heir gives another up", heir(after(nil, trace.OpTried, steal.MaxTries), 1), "without a reason"},
		trial{"an heir gives up what was not", heir(nil, 2), "without a reason"},
	)
	special := plain()
	special.Builds[0].Graph.Steps[2].Toolchain = "special"
	try(t, rule, &mesh{setting: special}, trial{"nobody has its toolchain", after(nil, trace.OpTried, 0), ""})
	special.Nodes[3].Toolchains = []string{"special"}
	try(t, rule, &mesh{setting: special},
		trial{"somebody has", after(nil, trace.OpTried, 0), "without a reason"},
		trial{"who died", after(stream{}.add(19_000, trace.Down, on(3)), trace.OpTried, 0), ""},
		trial{"who came back long ago", after(stream{}.add(1000, trace.Down, on(3)).add(2000, trace.Up, on(3)), trace.OpTried, 0), "without a reason"},
		trial{"another one died", after(stream{}.add(19_000, trace.Down, on(2)), trace.OpTried, 0), "without a reason"},
	)
}

func TestShared(t *testing.T) {
	s := plain()
	s.Builds = append(s.Builds, setting.Build{Initiator: 1, Graph: workload.Chain(3)})
	in := func(build int, s stream) stream {
		for i := range s {
			s[i].Build = build
		}
		return s
	}
	first := stream{}.given(10_000, 1, 1, 0, 2).run(10_001, trace.RunBegan, 2, 0)
	second := in(1, stream{}.given(20_000, 1, 1, 0, 3).run(20_001, trace.RunBegan, 3, 0))
	between := func(more stream) stream { return append(append(append(stream{}, first...), more...), second...) }
	rule := func() Rule { return NewShared() }
	try(t, rule, &mesh{setting: s},
		trial{"by two", between(nil), "build 0 had it executed on node 2"},
		trial{"lost", between(stream{}.add(11_000, trace.Down, on(2))), ""},
		trial{"the first was over", between(stream{}.over(11_000, 0, 2)), ""},
		trial{"it was published before", between(stream{}.run(10_500, trace.Published, 3, 0).over(11_000, 0, 2)), "had it executed"},
		trial{"another leader", between(stream{}.led(11_000, trace.Led, 3, 2)), ""},
		trial{"one who gave it away after another led, and has heard of that", append(stream{}.led(9_000, trace.Led, 3, 2), between(stream{}.led(11_000, trace.Deposed, 1, 1))...), ""},
		trial{"a leader that ends, and has no other", append(stream{}.led(9_000, trace.Led, 1, 1), between(stream{}.led(11_000, trace.Deposed, 1, 1))...), "had it executed"},
		trial{"a member is slow", between(stream{}.add(11_000, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 3, 100 })), "had it executed"},
		trial{"a member is stopped", between(stream{}.add(11_000, trace.Slowed, func(e *trace.Event) { e.Node, e.Value = 3, 0 })), ""},
		trial{"a member is suspected", between(stream{}.between(11_000, trace.Suspected, 0, 3)), ""},
		trial{"twice in one build", first.given(20_000, 1, 1, 0, 3).run(20_001, trace.RunBegan, 3, 0), ""},
	)
	ahead := func(s stream, at, build int) stream {
		return s.add(at, trace.Ahead, func(e *trace.Event) { e.Node, e.Peer, e.Build, e.Digest = 1, 3, build, 7 })
	}
	claimed := ahead(stream{}, 10_500, 0).add(10_600, trace.Claimed, func(e *trace.Event) { e.Node, e.Peer, e.Digest = 1, 3, 7 })
	far := plain()
	far.Builds = append(far.Builds, s.Builds[1])
	far.Network.Site = []int{0, 1, 0, 2}
	far.Network.Sites = make([]network.Site, 3)
	for _, r := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		far.Network.Routes = append(far.Network.Routes, network.Route{A: r[0], B: r[1], Path: network.Path{Latency: 10 * time.Millisecond}})
	}
	try(t, rule, &mesh{setting: far},
		trial{"the first went ahead", between(ahead(nil, 10_500, 0)), ""},
		trial{"the second went ahead", between(ahead(nil, 15_000, 1)), ""},
		trial{"it went ahead, and has got its claim", between(claimed), "had it executed"},
		trial{"nobody went ahead", between(nil), "had it executed"},
	)
	far.Network.Site[1] = 0
	try(t, rule, &mesh{setting: far}, trial{"it went ahead beside a neighbour", between(ahead(nil, 10_500, 0)), "had it executed"})
	cells := plain()
	cells.Builds = append(cells.Builds, s.Builds[1])
	cells.Nodes[0].Cell, cells.Nodes[1].Cell, cells.Nodes[2].Cell = 1, 1, 1
	try(t, rule, &mesh{setting: cells},
		trial{"one of another cell is suspected", between(stream{}.between(11_000, trace.Suspected, 3, 3)), "had it executed"},
		trial{"one of the cell is suspected", between(stream{}.between(11_000, trace.Suspected, 2, 1)), ""},
	)
	forced := plain()
	forced.Builds = append(forced.Builds, s.Builds[1])
	forced.Builds[1].Modes.Force = true
	try(t, rule, &mesh{setting: forced}, trial{"forced", between(nil), ""})
}

func TestEnds(t *testing.T) {
	s := plain()
	rule := func() Rule { return NewEnds() }
	try(t, rule, &mesh{setting: s},
		trial{"over", stream{}.began(0, 0).over(5, 0, int64(steal.Completed)), ""},
		trial{"not over", stream{}.began(0, 0), "is not over at 1m0s"},
		trial{"late", stream{}.began(0, 0).run(60_001, trace.RunBegan, 2, 0), "is not over"},
		trial{"given up", stream{}.began(0, 0).over(5, 0, int64(steal.Cancelled)), "nobody cancelled it"},
		trial{"its initiator is lost", stream{}.began(0, 0).add(5, trace.Down, on(0)), ""},
	)
	s = plain()
	for i := range s.Nodes {
		s.Nodes[i].Slots = i / 2
	}
	s.Builds[0].Initiator = 1
	gone := stream{}.began(0, 0).add(5, trace.Down, on(2))
	try(t, rule, &mesh{setting: s},
		trial{"somebody has slots", gone, "is not over"},
		trial{"nobody has", gone.add(6, trace.Down, on(3)), ""},
		trial{"until one comes", gone.add(6, trace.Down, on(3)).add(7, trace.Up, on(3)), "is not over"},
	)
	s = plain()
	s.Faults = []fault.Fault{{Kind: fault.Cancel}}
	try(t, rule, &mesh{setting: s}, trial{"cancelled", stream{}.began(0, 0).over(5, 0, int64(steal.Cancelled)), ""})
}

func TestMakespan(t *testing.T) {
	s := plain()
	bound := int(Greedy(s, 0) / time.Millisecond)
	ends := func(at int) stream { return stream{}.began(0, 0).over(at, 0, int64(steal.Completed)) }
	rule := func() Rule { return NewMakespan() }
	try(t, rule, &mesh{setting: s}, trial{"in time", ends(bound), ""}, trial{"too late", ends(bound + 1), "took"})
	for local, want := range map[bool]time.Duration{true: time.Second, false: 2 * time.Second} {
		s := plain()
		s.Network.Sites = []network.Site{{Local: network.Path{Bandwidth: 1e6}}}
		s.Builds[0].Modes.Local = local
		before := Greedy(s, 0)
		s.Builds[0].Graph.Steps[0].InputBytes += 1e6
		if more := Greedy(s, 0) - before; more != want {
			t.Errorf("a source that takes a second makes the bound %v longer; without an heir: %v", more, local)
		}
	}
	s = plain()
	s.Flaky = 0.1
	try(t, rule, &mesh{setting: s}, trial{"something went wrong", ends(bound + 1), ""})
	s = plain()
	s.Network = network.Config{Site: []int{0, 0, 0, 0}, Sites: []network.Site{{Local: network.Path{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}}}}
	if near := int(Greedy(s, 0) / time.Millisecond); near != bound {
		t.Errorf("the bound of a mesh whose messages take 25 ms is %d ms, and %d ms where they take no time", near, bound)
	}
	s.Network.Sites[0].Local.Latency = 95 * time.Millisecond
	if far := int(Greedy(s, 0) / time.Millisecond); far <= bound {
		t.Errorf("the bound of a mesh whose messages take 100 ms is %d ms", far)
	}
}
