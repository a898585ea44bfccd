package check

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

func TestEpochs(t *testing.T) {
	hear := func(s stream, at, node int, number uint64, leader int, k trace.Kind) stream {
		return s.add(at, k, func(e *trace.Event) {
			e.Node, e.Peer, e.Epoch = node, leader, trace.Epoch{Number: number, Leader: leader}
		})
	}
	old := func(s stream) stream {
		s = hear(hear(s, 3, 2, 1, 1, trace.Heard), 3, 2, 1, 1, trace.Obeyed)
		return s
	}
	end := func(s stream, number uint64, leader int) stream {
		s = hear(s, 2, 2, number, leader, trace.Heard)
		s[len(s)-1].Text = "End"
		return s
	}
	both := hear(hear(nil, 1, 2, 1, 1, trace.Heard), 2, 2, 2, 3, trace.Heard)
	try(t, func() Rule { return NewEpochs() }, &mesh{setting: plain()},
		trial{"the same epoch", old(old(nil)), ""},
		trial{"a higher one came", old(both), "obeyed epoch 1"},
		trial{"it refuses", hear(hear(both, 3, 2, 1, 1, trace.Heard), 3, 2, 1, 1, trace.Refused), ""},
		trial{"it has another life", old(both.add(2, trace.Down, on(2)).add(2, trace.Up, on(2))), ""},
		trial{"it has forgotten the build", old(both.add(2, trace.Forgot, on(2))), ""},
		trial{"the higher one ended", old(hear(end(both, 2, 3), 2, 2, 2, 3, trace.Obeyed)), ""},
		trial{"its end was not obeyed", old(end(both, 2, 3)), "obeyed"},
		trial{"another node has another life", old(both.add(2, trace.Down, on(3))), "obeyed"},
	)
}

func TestHeirs(t *testing.T) {
	says := func(s stream, at, node int, number uint64, leader int, text string) stream {
		return s.add(at, trace.Heard, func(e *trace.Event) {
			e.Node, e.Peer, e.Text, e.Epoch = node, leader, text, trace.Epoch{Number: number, Leader: leader}
		})
	}
	leads := func(s stream, from int64, how string) stream {
		s = s.led(9, trace.Led, 2, 2)
		s[len(s)-1].Value, s[len(s)-1].Text = from, how
		return s
	}
	keeps := says(stream{}.began(0, 0), 1, 2, 1, 1, "Hello").kept(2, 2, 7)
	obeyed := says(keeps, 3, 2, 1, 1, "End").add(3, trace.Obeyed, func(e *trace.Event) { e.Node, e.Epoch = 2, trace.Epoch{Number: 1, Leader: 1} })
	try(t, func() Rule { return NewHeirs() }, &mesh{setting: plain()},
		trial{"all of it", leads(keeps, 7, ""), ""},
		trial{"more is on its way", leads(keeps, 8, ""), ""},
		trial{"less", leads(keeps, 6, ""), "from a log of 6, and said that it keeps 7"},
		trial{"nothing", leads(keeps, 0, ""), "from a log of 0"},
		trial{"nothing, and it was asked", leads(keeps, 0, trace.Asked), ""},
		trial{"it has another life", leads(keeps.add(5, trace.Down, on(2)), 0, ""), ""},
		trial{"another node has", leads(keeps.add(5, trace.Down, on(3)), 0, ""), "from a log of 0"},
		trial{"it has forgotten the build", leads(keeps.add(5, trace.Forgot, on(2)), 0, ""), ""},
		trial{"it follows another, of whom it keeps nothing yet", leads(says(keeps, 4, 2, 2, 1, "Hello"), 0, ""), ""},
		trial{"a lower epoch calls", leads(says(keeps, 4, 2, 1, 0, "Hello"), 0, ""), "from a log of 0"},
		trial{"the build ended", leads(obeyed, 0, ""), ""},
	)
}

func TestStandbys(t *testing.T) {
	late := 101 + int(steal.Lease/time.Millisecond)
	named := func(s stream, at, n int) stream { return s.logged(at, trace.OpStandbys, 1, trace.None, trace.None, n) }
	tick := func(s stream, at int) stream { return s.add(at, trace.Looked, on(3)) }
	led := stream{}.led(100, trace.Led, 1, 1)
	rule := func() Rule { return NewStandbys() }
	try(t, rule, &mesh{setting: plain()},
		trial{"both", tick(named(led, 200, 2), late), ""},
		trial{"one of two", tick(named(led, 200, 1), late), "has 1 standbys; there are members for 2"},
		trial{"none is named", tick(led, late), "has 0 standbys"},
		trial{"it may take a while", tick(led, late-1), ""},
		trial{"it leads no more", tick(led.led(200, trace.Deposed, 1, 1), late), ""},
		trial{"one is given up later", named(tick(named(led, 200, 2), late), late+9, 1), "has 1 standbys"},
	)
	few, local, bad := plain(), plain(), plain()
	few.Nodes, local.Builds[0].Modes.Local, bad.Flaky = few.Nodes[:3], true, 0.1
	try(t, rule, &mesh{setting: few}, trial{"there is one more", tick(named(led, 200, 1), late), ""})
	try(t, rule, &mesh{setting: local}, trial{"a local build", tick(led, late), ""})
	try(t, rule, &mesh{setting: bad}, trial{"something goes wrong", tick(led, late), ""})
}

func TestLeaders(t *testing.T) {
	late := int(Overlap / time.Millisecond)
	two := stream{}.led(0, trace.Led, 1, 1).led(1000, trace.Led, 2, 2)
	tick := func(s stream, at int) stream { return s.add(at, trace.Looked, on(3)) }
	rule := func() Rule { return NewLeaders() }
	try(t, rule, &mesh{setting: plain()},
		trial{"for a while", tick(two, 1000+late-1), ""},
		trial{"for good", tick(two, 1000+late), "two leaders"},
		trial{"one leads no more", tick(two.led(2000, trace.Deposed, 1, 1), 1000+late), ""},
		trial{"one is dead", tick(two.add(2000, trace.Down, on(2)), 3000+late), ""},
		trial{"they met a moment ago", tick(two.between(3000, trace.Joined, 1, 2), 1000+late), ""},
	)
	try(t, rule, &mesh{setting: plain(), apart: true}, trial{"on two sides", tick(two, 1000+late), ""})
	s := plain()
	s.HealAt = time.Hour
	try(t, rule, &mesh{setting: s}, trial{"before the faults are over", tick(two, 1000+late), ""})
}

func TestCommits(t *testing.T) {
	log := stream{}.began(0, 0).logged(1, trace.OpStandbys, 1, trace.None, trace.None, 2)
	try(t, func() Rule { return NewCommits() }, &mesh{setting: plain()},
		trial{"both keep it", log.kept(2, 0, 5).kept(3, 2, 5).committed(4, 5), ""},
		trial{"the initiator does not", log.kept(2, 0, 4).kept(3, 2, 5).committed(4, 5), "the initiator keeps it up to 4"},
		trial{"no standby does", log.kept(2, 0, 5).kept(3, 2, 4).committed(4, 5), "none of its 2 standbys"},
		trial{"nobody stands by", log.logged(2, trace.OpStandbys, 2, trace.None, trace.None, 0).kept(3, 0, 5).committed(4, 5), ""},
		trial{"it was so while nobody stood by",
			log.logged(2, trace.OpStandbys, 2, trace.None, trace.None, 0).kept(3, 0, 5).committed(4, 5).
				logged(5, trace.OpStandbys, 6, trace.None, trace.None, 1).committed(6, 5), ""},
		trial{"the last is lost and another one found in one moment",
			log.kept(2, 0, 5).logged(4, trace.OpStandbys, 2, trace.None, trace.None, 0).
				logged(4, trace.OpStandbys, 3, trace.None, trace.None, 1).committed(4, 5), ""},
		trial{"another one was found a moment before",
			log.kept(2, 0, 5).logged(3, trace.OpStandbys, 2, trace.None, trace.None, 0).
				logged(4, trace.OpStandbys, 3, trace.None, trace.None, 1).committed(4, 5), "none of its 1 standbys"},
		trial{"another's death is no matter", log.kept(2, 0, 5).add(3, trace.Down, on(2)).committed(4, 5), "none of its 2 standbys"},
		trial{"the initiator is dead, and with it whoever could be told that nobody stands by",
			log.kept(2, 0, 5).add(3, trace.Down, on(0)).committed(4, 5), ""},
	)
}

func TestKept(t *testing.T) {
	log := stream{}.began(0, 0).logged(1, trace.OpStandbys, 1, trace.None, trace.None, 2).kept(2, 0, 9)
	try(t, func() Rule { return NewKept() }, &mesh{setting: plain()},
		trial{"a standby keeps it", log.kept(3, 3, 4).announced(4, 0, 4, 1), ""},
		trial{"none does", log.kept(3, 3, 3).announced(4, 0, 4, 1), "keep no more than 3"},
		trial{"there is no log", stream{}.began(0, 0).announced(4, 0, 4, 1), "has no log"},
		trial{"nobody stood by",
			stream{}.began(0, 0).logged(1, trace.OpStandbys, 1, trace.None, trace.None, 0).kept(2, 0, 4).committed(3, 4).announced(4, 0, 4, 1), ""},
	)
}
