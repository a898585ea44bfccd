package sched

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatComesToAnInboxIsTakenInOrder(t *testing.T) {
	b := newInbox()
	var got []int
	for i := range 5 {
		b.put(func() { got = append(got, i) }, 1, i == 3)
	}
	<-b.filled
	all, urgent := b.take()
	for _, f := range all {
		f()
	}
	if !urgent || len(got) != 5 || got[0] != 0 || got[4] != 4 {
		t.Errorf("it gave %v, and one of them pressing: %v", got, urgent)
	}
	if all, urgent := b.take(); len(all) > 0 || urgent {
		t.Errorf("there are %d more, pressing: %v", len(all), urgent)
	}
}

func TestAFullInboxIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox()
		for range maxInbox {
			b.put(func() {}, 0, false)
		}
		put := make(chan bool)
		go func() { put <- b.put(func() {}, 0, true) }()
		synctest.Wait()
		if b.presses() {
			t.Error("more is in it than may be")
		}
		b.close()
		if <-put {
			t.Error("it takes something after its end")
		}
	})
}

func TestAnInboxIsFullByBytesAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox()
		b.put(func() {}, 2*maxInboxBytes, false) // alone
		put := make(chan bool)
		go func() { put <- b.put(func() {}, maxInboxBytes/2, true) }()
		go func() { put <- b.put(func() {}, maxInboxBytes/2, true) }()
		synctest.Wait()
		if b.presses() {
			t.Error("more is in it than may be")
		}
		b.take()
		if first, second := <-put, <-put; !first || !second {
			t.Error("it is not taken in when there is room")
		}
		go func() { put <- b.put(func() {}, 1, false) }()
		synctest.Wait()
		if all, _ := b.take(); len(all) != 2 || !<-put {
			t.Errorf("%d are in it, want 2", len(all))
		}
	})
}

func TestTurnsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurns(false)
		defer tt.stop()
		for i := range turnBurst + 1 {
			if !tt.due(time.Now(), true) {
				t.Fatalf("turn %d after a rest has to wait", i)
			}
			tt.begin(time.Now(), true)
		}
		begun := time.Now()
		if tt.due(begun, false) || tt.due(begun, true) {
			t.Fatal("one more may begin at once")
		}
		<-tt.timer.C
		if got := time.Since(begun); got != turnEvery {
			t.Errorf("it waited %v", got)
		}
		tt.begin(time.Now(), true)
	})
}

func TestWhatPressesNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := newTurns(false)
		defer tt.stop()
		begun := time.Now()
		if tt.due(begun, false) {
			t.Fatal("a beat begins a turn")
		}
		time.Sleep(turnEvery / 2)
		if tt.due(time.Now(), false) {
			t.Fatal("a second one does")
		}
		<-tt.timer.C
		if got := time.Since(begun); got != turnEvery {
			t.Errorf("the first waited %v", got)
		}
	})
}
