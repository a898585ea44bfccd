package sched

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestSlotsAreLentUpToABoundThatMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		s.lend(1)
		began := make(chan whose, 8)
		begin := func(w whose) {
			go func() {
				if s.acquire(t.Context(), w) == nil {
					began <- w
				}
			}()
			synctest.Wait()
		}
		expect := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if len(began) != want {
				t.Errorf("%s: %d have begun, want %d", what, len(began), want)
			}
		}
		begin(theirs)
		begin(theirs)
		expect("one is lent", 1)
		begin(ours)
		expect("the other is the owner's", 2)
		s.release(ours)
		expect("a free slot is not lent", 2)
		s.lend(2)
		expect("it is lent now", 3)
		s.lend(0)
		s.release(theirs)
		s.release(theirs)
		begin(theirs)
		expect("none is lent", 3)
		begin(ours)
		expect("the owner has one still", 4)
		s.lend(2)
		expect("lent again", 5)
	})
}

func TestWhoWaitsNoLongerLeavesTheSlotToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if err := s.acquire(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- s.acquire(ctx, theirs) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil {
			t.Error("a slot without a release")
		}
		s.release(ours)
		if err := s.acquire(t.Context(), theirs); err != nil {
			t.Error(err)
		}
	})
}
