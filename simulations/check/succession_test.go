package check

import (
	"testing"

	"github.com/buildnet/buildnet/simulations/trace"
)

func TestSuccession(t *testing.T) {
	s := plain()
	s.Builds = append(s.Builds, s.Builds[0]) // with which node 2 goes on
	leads := func(s stream, at int, number uint64, log int64) stream {
		return s.add(at, trace.Led, func(e *trace.Event) { e.Node, e.Epoch, e.Value = 3, trace.Epoch{Number: number, Leader: 3}, log })
	}
	in := func(number uint64, s stream) stream { // the last one is of another epoch
		s[len(s)-1].Epoch = trace.Epoch{Number: number, Leader: 3}
		return s
	}
	goesOn := func(s stream) stream {
		return s.add(5000, trace.Inherited, func(e *trace.Event) { e.Node, e.Peer, e.Build, e.Value = 2, 0, 1, 0 })
	}
	runs := func(s stream) stream {
		return s.add(5001, trace.RunBegan, func(e *trace.Event) { e.Build, e.Node, e.Step = 1, 2, 0 })
	}
	says := func(s stream, digest uint64) stream {
		return s.add(5001, trace.Announced, func(e *trace.Event) { e.Build, e.Node, e.Step, e.Digest = 1, 2, 0, digest })
	}
	named := stream{}.led(0, trace.Led, 1, 1).logged(500, trace.OpHeir, 4, trace.None, 2, 0)
	ready := named.logged(600, trace.OpReady, 5, trace.None, 2, 0)
	known := ready.announced(700, 0, 6, 9)
	later := func(log int64) stream { return in(2, leads(ready, 1000, 2, log).announced(1100, 0, 2, 9)) }
	const again = "is executed on node 2, and was announced"
	try(t, func() Rule { return NewSuccession() }, &mesh{setting: s},
		trial{"it has all", says(goesOn(known), 9), ""},
		trial{"it runs what was announced", runs(goesOn(known)), again},
		trial{"it makes something else of it", says(goesOn(known), 8), "came to 0000000000000008, and to 0000000000000009"},
		trial{"it was not ready", runs(goesOn(named.announced(700, 0, 6, 9))), ""},
		trial{"another was named since", runs(goesOn(known.logged(800, trace.OpHeir, 7, trace.None, 3, 0))), ""},
		trial{"a later leader that knows of it announces", runs(goesOn(later(5))), again},
		trial{"a later leader that does not", runs(goesOn(later(4))), ""},
		trial{"what was announced before that", runs(goesOn(leads(known, 1000, 2, 4))), again},
		trial{"a leader after one that named nobody", runs(goesOn(in(3, leads(leads(ready, 1000, 2, 5), 2000, 3, 9).announced(2100, 0, 2, 9)))), ""},
		trial{"a later leader names it again", runs(goesOn(in(2, in(2, later(4).logged(1200, trace.OpHeir, 7, trace.None, 2, 0)).
			logged(1300, trace.OpReady, 8, trace.None, 2, 0)))), again},
		trial{"the old leader names it, beside a later one", runs(goesOn(in(2, leads(stream{}.led(0, trace.Led, 1, 1), 400, 2, 3).
			logged(500, trace.OpHeir, 4, trace.None, 2, 0).logged(600, trace.OpReady, 5, trace.None, 2, 0).announced(1100, 0, 2, 9)))), ""},
	)
	try(t, func() Rule { return NewSuccession() }, &mesh{setting: s, lacks: 9}, trial{"nobody has it", runs(goesOn(known)), ""})
}
