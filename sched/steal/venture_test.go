package steal

import (
	"testing"
	"time"
)

// growing is a build of a few steps of half a BPU-second to which more may come, led
// by the initiator, which has one slot and takes two steps. Outputs are thought to
// take nine seconds from peer1, which pays for none of them.
func growing(t *testing.T, steps int) *paper {
	r := beside(t, steps+1, time.Millisecond, func(p *Plan) { p.Open = true }) // the last one waits for the others
	m := r.l.crew["peer1"]
	m.arrival, m.line.homing = 500*time.Millisecond, 9*time.Second
	r.wants(2, "peer0")
	return r
}

func TestWhoIsIdleGetsAStepWhereTheInitiatorHasEnoughToDo(t *testing.T) {
	for _, c := range []struct {
		steps, gets int
		shut        bool
	}{
		{1, 0, false}, // the initiator begins it
		{2, 0, false}, // and does that one next
		{3, 1, false},
		{5, 1, false}, // no more before it is seen how soon that one is back
		{5, 0, true},
	} {
		r := growing(t, c.steps)
		if c.shut {
			r.hears("peer0", Shut{})
		}
		r.wants(2, "peer1")
		if got := len(r.given["peer1"]); got != c.gets {
			t.Errorf("of %d steps, shut %v: gets %d, want %d", c.steps, c.shut, got, c.gets)
		}
	}
}

func TestWhatIsVenturedIsTold(t *testing.T) {
	r := growing(t, 5)
	r.wants(2, "peer1")
	got := r.choiceOf(r.does("peer1", 0, 0))
	if got.Why != Ventured || got.Peer != "peer1" || got.There <= got.Here {
		t.Errorf("what was ventured is told as %+v", got)
	}
}

// What steps elsewhere have saved may be risked in part; what was lost while the
// initiator waited for them may not.
func TestNoMoreIsRiskedThanAPartOfWhatWasSaved(t *testing.T) {
	r := growing(t, 10)
	r.wants(2, "peer1")
	before := r.l.risk()
	r.does("peer1", 0, 0)
	saved := r.l.savings.saved
	if saved < 400*time.Millisecond || r.l.risk()-before < saved/4 {
		t.Errorf("a step that ran for half a second elsewhere has saved %v, the risk went from %v to %v", saved, before, r.l.risk())
	}
	for saved, gets := range map[time.Duration]int{time.Minute: 2, 0: 1, -time.Second: 0} {
		r := growing(t, 10)
		r.l.savings.saved = saved
		r.wants(2, "peer1")
		if got := len(r.given["peer1"]); got != gets {
			t.Errorf("gets %d steps when %v were saved, want %d", got, saved, gets)
		}
	}
}

func TestTheInitiatorsWaitIsALoss(t *testing.T) {
	r := growing(t, 3)
	r.wants(2, "peer1")
	s := r.starts("peer1")
	for range 2 {
		at := r.starts("peer0")
		r.passes(500 * time.Millisecond)
		r.reports("peer0", at, Failure{})
	}
	r.passes(4 * time.Second)
	r.reports("peer1", s, Failure{})
	if saved := r.l.savings.saved; saved > -2500*time.Millisecond {
		t.Errorf("the initiator waited for four seconds, %v were saved", saved)
	}
}
