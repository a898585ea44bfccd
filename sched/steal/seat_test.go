package steal

import (
	"testing"
	"time"
)

// isSo compares what a round knows of its members with what they are.
func isSo(t *testing.T, when string, round *round) {
	t.Helper()
	l := round.l
	for _, m := range round.able {
		st, g := l.seat(m), l.gateOf(m)
		expect(t, when+", speed", st.speed, m.speed())
		expect(t, when+", arrives", st.arrives, m.arrives())
		expect(t, when+", takes", st.takes, l.takes(m))
		expect(t, when+", way", g.way, l.way(m))
		expect(t, when+", unproven", g.unproven, l.waitsFor(m))
		if !st.booked {
			expect(t, when+", wait", round.wait(m), l.freeAt(m)[0].Sub(l.now))
		}
		if waits := l.queued[0][0]; m != l.initiator {
			expect(t, when+", back", g.back(l.outputs(waits)), l.home(waits, m))
		}
	}
}

func TestWhatARoundKnowsOfMembersIsSo(t *testing.T) {
	r := rule(t, 40, 3)
	for range 3 {
		r.wants(1, "peer1", "peer2")
		r.passes(70 * time.Millisecond)
		r.reports("peer2", r.starts("peer2"), Failure{})
	}
	far := r.l.crew["peer2"]
	far.outlook.rtt, far.line.owed, r.l.exp.bytes = 9*time.Millisecond, 1<<20, 1<<18
	for _, m := range r.l.order {
		m.want(Want{Seen: m.given, Free: 2})
	}
	queued := r.l.queued[0]
	round := r.l.newRound(r.l.needOf[queued[0]])
	isSo(t, "at first", round)
	for range 2 {
		round.l.localize(queued[0])
		round.give(queued[0], far)
		queued = r.l.queued[0]
		isSo(t, "when something was given", round)
	}
	expect(t, "it takes more", far.seat.takes, false)
	round.reserve(far, time.Hour)
	expect(t, "it is booked for", round.wait(far), time.Hour)
	round = r.l.newRound(0)
	isSo(t, "in the next round", round)
	expect(t, "it is booked still", far.seat.booked, false)
	far.try(r.l.now)
	r.l.handsChanged(far)
	isSo(t, "when it is to be found out about", round)
}
