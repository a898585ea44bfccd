package sched

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/buildnet/buildnet/sched/steal"
)

func TestSlotsAreLentUpToABoundThatMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		s.lend(1)
		began := make(chan *steal.Turn, 8)
		has := map[steal.Whose][]*steal.Turn{}
		begun := 0
		look := func() {
			synctest.Wait()
			for len(began) > 0 {
				turn := <-began
				has[turn.Whose] = append(has[turn.Whose], turn)
				begun++
			}
		}
		begin := func(w steal.Whose) {
			go func() {
				if turn, err := s.acquire(t.Context(), w, nil); err == nil {
					began <- turn
				}
			}()
			look()
		}
		release := func(w steal.Whose) {
			s.release(has[w][0])
			has[w] = has[w][1:]
		}
		expect := func(what string, want int) {
			t.Helper()
			if look(); begun != want {
				t.Errorf("%s: %d have begun, want %d", what, begun, want)
			}
		}
		begin(steal.Theirs)
		begin(steal.Theirs)
		expect("one is lent", 1)
		begin(steal.Ours)
		expect("the other is the owner's", 2)
		release(steal.Ours)
		expect("a free slot is not lent", 2)
		s.lend(2)
		expect("it is lent now", 3)
		s.lend(0)
		release(steal.Theirs)
		release(steal.Theirs)
		begin(steal.Theirs)
		expect("none is lent", 3)
		begin(steal.Ours)
		expect("the owner has one still", 4)
		s.lend(2)
		expect("lent again", 5)
	})
}

func TestWhoWaitsNoLongerLeavesTheSlotToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		first, err := s.acquire(t.Context(), steal.Ours, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() {
			_, err := s.acquire(ctx, steal.Theirs, nil)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil {
			t.Error("a slot without a release")
		}
		s.release(first)
		if _, err := s.acquire(t.Context(), steal.Theirs, nil); err != nil {
			t.Error(err)
		}
	})
}
