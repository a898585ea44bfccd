package fault

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Scope is what faults are drawn for.
type Scope struct {
	Nodes int
	// Initiators are the nodes that ask for builds, by build. They are mostly
	// spared: a build without one is none.
	Initiators []int
	// Until is before when everything strikes.
	Until time.Duration
}

// mostFaults bounds how often something is drawn that goes wrong: with more of
// them at once no failure shows which it was.
const mostFaults = 6

// takeOvers is one in how many runs in which a leader dies while a worker does not
// answer, and nothing else goes wrong: what else happens excuses much.
const takeOvers = 8

// Draw is a few things that go wrong in one run.
func Draw(rng *rand.Rand, s Scope) []Fault {
	d := drawer{rng: rng, Scope: s}
	if rng.IntN(takeOvers) == 0 {
		d.unheard()
		return d.faults
	}
	for range 1 + rng.IntN(mostFaults) {
		d.one()
	}
	return d.faults
}

type drawer struct {
	rng *rand.Rand
	Scope
	faults []Fault
}

// draws are what is drawn, each as often as its weight.
var draws = []struct {
	weight int
	draw   func(d *drawer)
}{
	{16, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.victim(), For: d.maybe(4 * time.Second)}) }},
	{22, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.role(Leader), For: d.maybe(4 * time.Second)}) }},
	{6, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.role(Standby), For: d.maybe(4 * time.Second)}) }},
	{8, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.role(Worker), For: d.maybe(4 * time.Second)}) }},
	{4, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.role(Holder)}) }},
	{5, (*drawer).leaderAndStandby},
	{6, (*drawer).unheard},
	{3, (*drawer).storm},
	{6, func(d *drawer) { d.add(Fault{Kind: Leave, Target: d.victim()}) }},
	{14, (*drawer).split},
	{6, func(d *drawer) {
		d.add(Fault{Kind: Slow, Target: d.anybody(), Factor: d.factor(), For: d.maybe(6 * time.Second)})
	}},
	{6, func(d *drawer) {
		d.add(Fault{Kind: Clog, Target: d.anybody(), Factor: d.factor(), For: d.maybe(6 * time.Second)})
	}},
	{10, func(d *drawer) { d.add(Fault{Kind: Stall, Target: d.anybody(), For: d.lasts(5 * time.Second)}) }},
	{8, func(d *drawer) { d.add(Fault{Kind: Break, Target: d.anybody()}) }},
	{8, func(d *drawer) {
		d.add(Fault{Kind: FailDisk, Target: d.victim(), Factor: d.factor(), For: d.maybe(6 * time.Second)})
	}},
	{8, func(d *drawer) { d.add(Fault{Kind: FailDisk, Target: d.role(Holder), Factor: d.factor()}) }},
	{6, func(d *drawer) { d.add(Fault{Kind: LoseBlobs, Target: d.victim()}) }},
	{4, func(d *drawer) { d.add(Fault{Kind: LoseBlobs, Target: d.role(Holder)}) }},
	{8, func(d *drawer) {
		d.add(Fault{Kind: Claim, Target: d.anybody(), Factor: d.factor(), For: d.maybe(4 * time.Second)})
	}},
	{2, func(d *drawer) { d.add(Fault{Kind: Kill, Target: d.role(Initiator)}) }},
	{2, func(d *drawer) { d.add(Fault{Kind: Cancel, Target: d.role(Initiator)}) }},
}

func (d *drawer) one() {
	total := 0
	for i := range draws {
		total += draws[i].weight
	}
	at := d.rng.IntN(total)
	for i := range draws {
		if at -= draws[i].weight; at < 0 {
			draws[i].draw(d)
			return
		}
	}
}

// add draws when the fault strikes: early more often than late, because builds
// are over at some time.
func (d *drawer) add(f Fault) {
	// A build is led while it is under way.
	often := 3
	if f.Target.Role != Node {
		often = 2
	}
	if d.rng.IntN(often) == 0 {
		f.Share, f.Build = float64(1+d.rng.IntN(99))/100, f.Target.Build
	} else {
		f.At = time.Duration(float64(d.Until) * d.rng.Float64() * d.rng.Float64()).Truncate(time.Millisecond)
	}
	d.faults = append(d.faults, f)
}

func (d *drawer) role(r Role) Target { return Target{Role: r, Build: d.rng.IntN(len(d.Initiators))} }

func (d *drawer) anybody() Target {
	if r := Role(d.rng.IntN(int(Initiator) + 3)); r > Node && r < Initiator {
		return d.role(r)
	}
	return Target{Node: d.rng.IntN(d.Nodes)}
}

// victim is a fixed node that asks for nothing, or a worker if all ask.
func (d *drawer) victim() Target {
	for range d.Nodes {
		if n := d.rng.IntN(d.Nodes); !slices.Contains(d.Initiators, n) {
			return Target{Node: n}
		}
	}
	return d.role(Worker)
}

func (d *drawer) lasts(most time.Duration) time.Duration {
	return time.Duration(1+d.rng.IntN(int(most/time.Millisecond))) * time.Millisecond
}

func (d *drawer) maybe(most time.Duration) time.Duration {
	if d.rng.IntN(2) == 0 {
		return 0
	}
	return d.lasts(most)
}

func (d *drawer) factor() float64 {
	factors := [...]float64{0.5, 0.2, 0.1, 0.01}
	return factors[d.rng.IntN(len(factors))]
}

// leaderAndStandby dies with its leader, within half a second.
func (d *drawer) leaderAndStandby() {
	d.add(Fault{Kind: Kill, Target: d.role(Leader)})
	both := d.faults[len(d.faults)-1]
	both.Target.Role = Standby
	if both.Share == 0 {
		both.At += time.Duration(d.rng.IntN(500)) * time.Millisecond
	}
	d.faults = append(d.faults, both)
}

// unheard is a leader that dies while a worker does not answer: its successor
// has to listen for a while before it gives away what that one has.
func (d *drawer) unheard() {
	d.add(Fault{Kind: Kill, Target: d.role(Leader)})
	stall := d.faults[len(d.faults)-1]
	stall.Kind, stall.Target.Role, stall.For = Stall, Worker, d.lasts(2*time.Second)
	d.faults = append(d.faults, stall)
}

// storm takes a third of the nodes away at once, and back again one by one.
func (d *drawer) storm() {
	at := time.Duration(d.rng.Int64N(int64(d.Until))).Truncate(time.Millisecond)
	for range (d.Nodes + 2) / 3 {
		v := d.victim()
		d.faults = append(d.faults, Fault{
			Kind: Kill, Target: v, At: at + time.Duration(d.rng.IntN(300))*time.Millisecond, For: d.lasts(5 * time.Second),
		})
	}
}

func (d *drawer) split() {
	f := Fault{Kind: Split, Target: d.role(Leader), For: d.lasts(6 * time.Second)}
	if d.rng.IntN(2) == 0 {
		f.Target = Target{}
		for n := range d.Nodes {
			if d.rng.IntN(3) == 0 {
				f.Group = append(f.Group, n)
			}
		}
	}
	switch d.rng.IntN(4) {
	case 0:
		f.OneWay = true
	case 1:
		f.Deaf = true
	}
	if len(f.Group) == 0 && f.Target.Role == Node {
		f.Group = []int{d.rng.IntN(d.Nodes)}
	}
	d.add(f)
}
