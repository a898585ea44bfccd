package sched_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// occupies has commands occupy so many slots of m.
func occupies(t *testing.T, m *machine, n int) []*sched.Occupancy {
	t.Helper()
	var all []*sched.Occupancy
	for range n {
		before := time.Now()
		o, err := m.Occupy(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited > 0 {
			t.Errorf("a command waited for %v", waited)
		}
		all = append(all, o)
	}
	return all
}

// begunBy counts the runs on m that began after a time.
func (w *world) begunBy(m *machine, after time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.by == m.id && r.begun.After(after) {
			n++
		}
	}
	return n
}

func TestACommandKeepsStolenWorkAway(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		asker, lender := w.at(0), w.at(1)
		g := asker.compile(60)
		d := asker.diary(g, 8)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(0, 1, 2)...), d)
		<-d.reached
		occupied := occupies(t, lender, lender.slots) // beside what runs
		synctest.Wait()
		from := time.Now()
		<-time.After(4 * runTime)
		if n := w.begunBy(lender, from); n > 0 {
			t.Errorf("%d steps began while commands had all slots", n)
		}
		from = time.Now()
		for _, o := range occupied {
			o.Release()
			o.Release() // once more does nothing
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.complete()
		if n := w.begunBy(lender, from); n == 0 {
			t.Error("the slots are back, and nothing began in them")
		}
		if lender.most > lender.slots {
			t.Errorf("%d steps ran at once in %d slots", lender.most, lender.slots)
		}
	})
}

func TestCommandsAndOwnStepsTakeTurns(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(20)
		d := m.diary(g, 1)
		done := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(0)...), d)
		<-d.reached
		ran := make(chan int)
		ctx, cancel := context.WithCancel(t.Context())
		for range m.slots {
			go func() { // a command after the other, with no pause between
				for n := 0; ; n++ {
					o, err := m.Occupy(ctx, nil)
					if err != nil {
						ran <- n
						return
					}
					<-time.After(runTime)
					o.Release()
				}
			}()
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		cancel()
		commands := 0
		for range m.slots {
			commands += <-ran
		}
		if commands < 5 {
			t.Errorf("%d commands ran beside 21 steps", commands)
		}
		d.complete()
	})
}

func TestAnOccupancyThatIsWaitedForMayBeGivenUp(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		all := occupies(t, m, m.slots)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Occupy(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a slot that nobody gave back: %v", err)
		}
		part, err := m.Occupy(t.Context(), all[0])
		if err != nil {
			t.Fatal(err)
		}
		all[0].Release() // its part goes on
		waits := make(chan error, 1)
		go func() {
			o, err := m.Occupy(t.Context(), nil)
			if err == nil {
				o.Release()
			}
			waits <- err
		}()
		synctest.Wait()
		if len(waits) > 0 {
			t.Error("a slot that a part has was given to another")
		}
		part.Release()
		if err := <-waits; err != nil {
			t.Error(err)
		}
		go func() {
			_, err := m.Occupy(t.Context(), nil)
			if err == nil {
				_, err = m.Occupy(t.Context(), nil)
			}
			waits <- err
		}()
		synctest.Wait()
		m.stop()
		if err := <-waits; !errors.Is(err, sched.ErrClosed) {
			t.Errorf("the node stops: %v", err)
		}
	})
}
