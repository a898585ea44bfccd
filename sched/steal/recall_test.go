package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/place"
)

// behind is a build in which members have two steps each, of which one runs; the
// others have nothing to do.
func behind(t *testing.T, members int, busy ...peer.ID) *paper {
	r := rule(t, 2*len(busy)+1, members)
	for _, id := range busy {
		r.wants(2, id)
		r.starts(id)
		if len(r.given[id]) == 1 { // the other one is kept for whoever is done first
			r.l.begin(r.now)
			r.l.give(r.l.queued[0][0], r.l.crew[id])
			r.do(r.l.finish())
		}
	}
	r.passes(300 * time.Millisecond)
	return r
}

func (r *paper) recalls() (all []Send) {
	for _, s := range r.sent {
		if _, is := s.Msg.(Recall); is {
			all = append(all, s)
		}
	}
	return all
}

func TestNoMoreIsCalledBackForAMemberThanItHasSlots(t *testing.T) {
	r := behind(t, 5, "peer2", "peer3", "peer4")
	r.wants(2, "peer0")
	r.passes(time.Second / 2)
	all := r.recalls()
	expect(t, "called back", len(all), 1)
	s := all[0].Msg.(Recall).Step
	expect(t, "for it", r.l.crew["peer0"].meant, 1)
	r.hears(all[0].To, Return{Step: s})
	expect(t, "is there", r.given["peer0"], []Step{s})
	expect(t, "and meant no more", r.l.crew["peer0"].meant, 0)
	r.starts("peer0")
	r.reports("peer0", s, Failure{})
	r.passes(time.Second / 2)
	expect(t, "then another", len(r.recalls()), 2)
}

func TestWhatBeganIsMeantForNobodyElse(t *testing.T) {
	for name, comes := range map[string]func(r *paper, id peer.ID, s Step){
		"it began":      func(r *paper, id peer.ID, s Step) { r.hears(id, Started{Step: s}) },
		"it is done":    func(r *paper, id peer.ID, s Step) { r.reports(id, s, Failure{}) },
		"it went wrong": func(r *paper, id peer.ID, s Step) { r.reports(id, s, Failure{Kind: Broken, Text: "it broke"}) },
		"its stream broke": func(r *paper, id peer.ID, _ Step) {
			var has []Running
			for _, s := range r.given[id] {
				has = append(has, Running{Step: s, Action: garbageDone(int(s)).Entry.Action})
			}
			r.l.stopping = true // or it is called back again at once
			r.hears(id, Join{Slots: 1, BPU: 1, Running: has})
		},
	} {
		r := behind(t, 3, "peer2")
		r.wants(1, "peer0")
		r.passes(100 * time.Millisecond)
		all := r.recalls()
		expect(t, name+": called back", len(all), 1)
		comes(r, all[0].To, all[0].Msg.(Recall).Step)
		expect(t, name, r.l.crew["peer0"].meant, 0)
	}
}

func TestWhatIsCalledBackGoesToWhomItIsMeantFor(t *testing.T) {
	for _, c := range []struct {
		name     string
		strategy place.Strategy
		busy     bool
		to       peer.ID
	}{
		{"it has nothing better", place.Smart, false, "peer0"},
		{"it has", place.Smart, true, "peer1"},
		{"the strategy is another", place.Fastest, false, "peer1"},
	} {
		r := behind(t, 3, "peer2")
		r.l.opts.Plan.Modes.Policy.Strategy = c.strategy
		r.wants(1, "peer0")
		r.passes(100 * time.Millisecond)
		all := r.recalls()
		expect(t, c.name+": called back", len(all), 1)
		s := all[0].Msg.(Recall).Step
		r.l.crew["peer1"].join.BPU = 4 // by which it would be the better one
		r.wants(1, "peer1")
		if c.busy {
			r.l.crew["peer0"].hands[s+1] = struct{}{}
		}
		r.hears("peer2", Return{Step: s})
		expect(t, c.name, r.given[c.to], []Step{s})
	}
}

func TestInputsThatAreOnTheirWayAreNotSentElsewhere(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		bpu      float64       // of who has it
		coming   time.Duration // for so long
		from, to float64       // the bandwidths, 0 if they are not known
		idle     peer.ID
		gains    bool
	}{
		{"it would come as late", 1, 2000 * ms, 0, 0, "peer1", false},
		{"it runs sooner all the same", 0.1, 2000 * ms, 0, 0, "peer1", true},
		{"not by so much", 0.1, 9000 * ms, 0, 0, "peer1", false},
		{"the other line is faster", 0.1, 9000 * ms, 1e3, 2e3, "peer1", false},
		{"by far", 0.1, 9000 * ms, 1e3, 1e4, "peer1", true},
		{"or may be", 0.1, 9000 * ms, 1e3, 0, "peer1", false},
		{"its inputs are there", 0.1, 9000 * ms, 0, 0, "peer0", true},
	} {
		r := rule(t, 3, 3)
		r.wants(1, "peer2")
		m, idle := r.l.crew["peer2"], r.l.crew[c.idle]
		m.join.BPU, m.outlook.bandwidth, idle.outlook.bandwidth = c.bpu, c.from, c.to
		r.now = r.now.Add(c.coming)
		r.l.begin(r.now)
		r.l.rounds++
		list := r.l.burdensOf(m)
		expect(t, c.name+": has it", len(list), 1)
		expect(t, c.name, r.l.quickest(list[0], []*member{idle}) == idle, c.gains)
	}
}

func TestAStepCountsOnceOnItsWayHome(t *testing.T) {
	r := rule(t, 3, 3)
	m := r.l.crew["peer2"]
	r.wants(1, "peer2")
	expect(t, "it has", r.given["peer2"], []Step{0})
	r.l.exp.bytes = 25e6
	expect(t, "of what it has", r.l.home(0, m), 2*time.Second)
	expect(t, "of another", r.l.home(1, m), 4*time.Second)
	expect(t, "with who has nothing", r.l.home(1, r.l.crew["peer1"]), 2*time.Second)
}

func TestEqualsDoNotPassAStepOn(t *testing.T) {
	r := rule(t, 2, 4)
	r.wants(1, "peer2")
	expect(t, "it has", r.given["peer2"], []Step{0})
	r.l.exp.bytes = 50e6 // by which its way home is longer than its run
	r.wants(1, "peer1", "peer3")
	r.passes(5 * time.Second)
	expect(t, "called back", len(r.recalls()), 0)
}
