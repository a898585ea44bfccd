package sched_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

func TestWhoLendsNoSlotGivesBackWhatItHas(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		asker, lender := w.at(0), w.at(1)
		g := asker.compile(40)
		d := asker.diary(g, 6)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(0, 1, 2)...), d)
		<-d.reached
		lender.Lend(0)
		synctest.Wait()
		lent := time.Now()
		lender.Release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.complete()
		w.mu.Lock()
		defer w.mu.Unlock()
		before := 0
		for _, r := range w.runs {
			switch {
			case r.job.Foreign != (r.by != asker.id):
				t.Errorf("the job of step %s on %s is foreign: %v", r.job.Step, r.by.Short(), r.job.Foreign)
			case r.by != lender.id:
			case r.begun.After(lent):
				t.Errorf("step %s was begun %v after no slot was lent", r.job.Step, r.begun.Sub(lent))
			default:
				before++
			}
		}
		if before == 0 {
			t.Error("the lender never ran a step")
		}
	})
}

func TestOwnBuildsHaveAllSlotsWhateverIsLent(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		m.Lend(0)
		g := m.compile(4)
		d := m.diary(g, 5)
		if err := <-m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(0)...), d); err != nil {
			t.Fatal(err)
		}
		d.complete()
		if m.most != m.slots {
			t.Errorf("%d ran at once, want %d", m.most, m.slots)
		}
	})
}

func TestSlotsThatAreLentAgainAreUsed(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		asker, lender := w.at(0), w.at(1)
		lender.Lend(0)
		g := asker.compile(60)
		d := asker.diary(g, 10)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(0, 1)...), d)
		<-d.reached
		w.mu.Lock()
		for _, r := range w.runs {
			if r.by == lender.id {
				t.Errorf("step %s ran where no slot is lent", r.job.Step)
			}
		}
		w.mu.Unlock()
		lender.Lend(2)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.complete()
		w.mu.Lock()
		defer w.mu.Unlock()
		ran := 0
		for _, r := range w.runs {
			if r.by == lender.id {
				ran++
			}
		}
		if ran == 0 {
			t.Error("it lends slots again, and none is used")
		}
	})
}
