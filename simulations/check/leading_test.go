package check

import (
	"testing"
	"time"

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
