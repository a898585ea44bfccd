package steal

import (
	"testing"
	"time"
)

// onItsWay is a build beside a member 20 ms away that has been given a step, and
// has not begun it for so long.
func onItsWay(t *testing.T, rtt, since time.Duration) (r *paper, s Step) {
	r = beside(t, 40, rtt)
	r.wants(2, "peer1")
	r.wants(1, "peer0")
	r.starts("peer0")
	if len(r.given["peer1"]) == 0 {
		t.Fatal("nothing is sent")
	}
	r.passes(since)
	return r, r.given["peer1"][0]
}

func TestWhatIsLateOnItsWayIsCalledBackOnce(t *testing.T) {
	const ms = time.Millisecond
	if r, s := onItsWay(t, 20*ms, 300*ms); r.told("peer1", Recall{Step: s}) {
		t.Error("it is called back before it should be there")
	}
	r, s := onItsWay(t, 20*ms, 2*time.Second)
	if !r.told("peer1", Recall{Step: s}) {
		t.Fatal("it is waited for")
	}
	r.hears("peer1", Return{Step: s})
	if !r.l.tasks[s].wasLate {
		t.Error("that it was late is forgotten")
	}
	if got := r.l.crew["peer1"].arrival; got < time.Second {
		t.Errorf("steps arrive there in %v", got)
	}
	if r, s := onItsWay(t, time.Millisecond, 2*time.Second); r.told("peer1", Recall{Step: s}) {
		t.Error("it is called back from a neighbour")
	}
}

func TestOneThatRunsIsNotCalledBack(t *testing.T) {
	r, _ := onItsWay(t, 20*time.Millisecond, 100*time.Millisecond)
	s := r.starts("peer1")
	r.passes(2 * time.Second)
	if r.told("peer1", Recall{Step: s}) {
		t.Error("it is called back")
	}
}

func TestAKindThatNobodyMeasuredIsSentFarWhenOneHasRunForLong(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		rtt, runs time.Duration
		gets      int
	}{{20 * ms, 100 * ms, 0}, {20 * ms, 300 * ms, 1}, {ms, 0, 2}} {
		r := beside(t, 40, c.rtt)
		for i := range r.l.opts.Plan.Graph.Steps() {
			r.l.opts.Plan.Graph.Steps()[i].Cost = 0
		}
		r.wants(2, "peer0")
		r.starts("peer0")
		r.passes(c.runs)
		r.wants(2, "peer1")
		if got := len(r.given["peer1"]); got != c.gets {
			t.Errorf("%v away, %v after one began: gets %d steps, want %d", c.rtt, c.runs, got, c.gets)
		}
	}
}

func TestAFarLineIsMeasuredByLittle(t *testing.T) {
	const ms = time.Millisecond
	far, near := &member{}, &member{}
	far.outlook.rtt, near.outlook.rtt = 20*ms, ms
	for _, m := range []*member{far, near} {
		m.homed(10<<10, 100*ms)
		m.line.homing = 100 * ms
	}
	if got := [2]float64{far.bandwidth(), near.bandwidth()}; got != [2]float64{unknownFar, unknownBandwidth} {
		t.Errorf("unknown lines carry %v", got)
	}
	for _, m := range []*member{far, near} {
		m.homed(200_000, 120*ms)
	}
	if got := far.bandwidth(); got < 1.9e6 || got > 2.1e6 || near.bandwidth() != unknownBandwidth {
		t.Errorf("200 kB in 120 ms: %v, %v nearby", got, near.bandwidth())
	}
	far.homed(200_000, 10*time.Second)
	if got := far.bandwidth(); got < 1.4e6 {
		t.Errorf("while others used it: %v", got)
	}
	far.homed(1_000_000, 120*ms)
	if got := far.bandwidth(); got < 9e6 {
		t.Errorf("1 MB in 120 ms: %v", got)
	}
}
