package steal

import "testing"

func TestStepsStayAtHomeWhileTheInitiatorTakesWork(t *testing.T) {
	s := led(wide(20))
	s.home = true
	w := newWorld(t, s)
	w.finish()
	w.all()
	if n := w.ledger.by[w.ids[0]]; n != 21 {
		t.Errorf("the initiator ran %d of 21: %v", n, w.ledger.by)
	}
}

func TestStepsLeaveAnInitiatorThatTakesNoWork(t *testing.T) {
	s := led(wide(20))
	s.home, s.workless = true, map[int]bool{0: true}
	w := newWorld(t, s)
	w.finish()
	w.all()
	if n := w.ledger.by[w.ids[0]]; n != 0 {
		t.Errorf("an initiator without slots ran %d", n)
	}
}

func TestWorkersForgetWhatTheyMadeForSome(t *testing.T) {
	for _, c := range []struct {
		modes Modes
		want  bool
	}{
		{Modes{}, false}, {Modes{Exchange: GiveOnly, Copies: MakerKeeps}, false},
		{Modes{Exchange: TakeOnly}, true}, {Modes{Copies: InitiatorKeeps}, true},
	} {
		if got := c.modes.Forget(); got != c.want {
			t.Errorf("%+v: %v", c.modes, got)
		}
	}
}
