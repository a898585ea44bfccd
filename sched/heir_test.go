package sched_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// heirs keeps what builds of others need with a machine.
type heirs struct{ m *machine }

// withHeirs runs test in a world of n machines that may keep the builds of others.
func withHeirs(t *testing.T, n int, test func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, 0, func(t *testing.T, w *world) {
		w.heirs = true
		for i := range n {
			w.join(byte(i + 1))
		}
		test(t, w)
	})
}

func (w *world) heirsOf(m *machine) sched.Heirs {
	if !w.heirs {
		return nil
	}
	return &heirs{m}
}

func (h *heirs) Custody(_ steal.BuildID, initiator peer.ID, p *steal.Plan) sched.Custody {
	e := &estate{diary: h.m.diary(p.Graph, 0), of: initiator, tries: map[steal.Step]int{}}
	h.m.w.mu.Lock()
	defer h.m.w.mu.Unlock()
	h.m.w.estates = append(h.m.w.estates, e)
	return e
}

func (h *heirs) Alive(_ context.Context, _ steal.BuildID, initiator peer.ID) bool {
	m := h.m.w.nodes[initiator]
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.dead
}

// estate is what an heir has of one build. All sources of the tests are with the
// initiator.
type estate struct {
	*diary
	of peer.ID

	mu    sync.Mutex
	tries map[steal.Step]int
	has   int // outputs of so many steps

	inherited, closed bool
}

var errBusyHolder = errors.New("the holder is busy")

// Secure fails once for each step.
func (e *estate) Secure(ctx context.Context, s steal.Step, d *steal.Done) error {
	e.mu.Lock()
	e.tries[s]++
	first := e.tries[s] == 1
	e.mu.Unlock()
	if first && !slices.Contains(d.Holders, e.of) {
		e.m.w.t.Errorf("step %d is looked for at %v alone", s, d.Holders)
	}
	if first {
		return errBusyHolder
	}
	if !e.takes() {
		return sched.ErrTooMuch
	}
	e.m.w.mu.Lock()
	e.m.w.securedByHeir++
	e.m.w.mu.Unlock()
	return e.diary.Secure(ctx, s, d)
}

// takes makes room for the outputs of one more step, if there is any.
func (e *estate) takes() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m.room > 0 && e.has >= e.m.room {
		return false
	}
	e.has++
	return true
}

func (e *estate) Sources(context.Context) error {
	if e.m.keepless {
		return sched.ErrTooMuch
	}
	from := e.m.w.nodes[e.of]
	from.mu.Lock()
	blobs := maps.Clone(from.blobs)
	from.mu.Unlock()
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	maps.Copy(e.m.blobs, blobs)
	return nil
}

func (e *estate) Inherit(steal.BuildID) (sched.Observer, func(error)) {
	e.mu.Lock()
	e.inherited = true
	e.mu.Unlock()
	return e.diary, func(err error) {
		if err != nil || len(e.finished) != e.graph.Len() {
			e.m.w.t.Errorf("what was inherited: %d of %d steps are finished: %v", len(e.finished), e.graph.Len(), err)
		}
	}
}

func (e *estate) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// TestWhoeverTakesTheNameOfABuildDoesNotEndWhatIsInherited has another member
// than the lost initiator ask for a build of that name, and live.
func TestWhoeverTakesTheNameOfABuildDoesNotEndWhatIsInherited(t *testing.T) {
	withHeirs(t, 4, func(t *testing.T, w *world) {
		asker, other := w.at(0), w.at(3)
		g := asker.compile(120)
		d := asker.diary(g, 20)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(1, 2)...), d)
		<-d.reached
		w.kill(asker.id)
		<-done
		goesOn := func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.ContainsFunc(w.runs, func(r run) bool { return r.job.Build == "b.2" })
		}
		for !goesOn() {
			time.Sleep(runTime)
		}
		small := other.compile(1, "ld")
		if err := <-other.start(t.Context(), "b", other.plan(small, steal.Modes{}, w.ids(3)...), other.diary(small, 0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// TestWhatIsInheritedHasNoMoreOfAMachineThanAnyBuildOfOthers has the machine of
// the heir lend one slot of two.
func TestWhatIsInheritedHasNoMoreOfAMachineThanAnyBuildOfOthers(t *testing.T) {
	withHeirs(t, 3, func(t *testing.T, w *world) {
		asker := w.at(0)
		for _, i := range []int{1, 2} {
			w.at(i).Lend(1)
		}
		g := asker.compile(60)
		d := asker.diary(g, 10)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(1, 2)...), d)
		<-d.reached
		w.kill(asker.id)
		<-done
		time.Sleep(time.Minute) // until its heir has built it
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		inherited := 0
		for _, r := range w.runs {
			if r.job.Build != "b.2" {
				continue
			}
			inherited++
			if !r.job.Foreign {
				t.Errorf("step %s on %s counts as its own", r.job.Step, r.by.Short())
			}
		}
		if inherited == 0 {
			t.Fatal("nobody goes on with it")
		}
		for _, id := range w.order {
			if m := w.nodes[id]; m.most > 1 {
				t.Errorf("%d ran at once on %s, which lends one slot", m.most, id.Short())
			}
		}
	})
}

// TestAnHeirThatCannotKeepABuildIsReplaced has the first standby fetch nothing.
func TestAnHeirThatCannotKeepABuildIsReplaced(t *testing.T) {
	withHeirs(t, 4, func(t *testing.T, w *world) {
		asker := w.at(0)
		w.at(2).keepless = true
		g := asker.compile(240)
		d := asker.diary(g, 150)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(1, 2, 3)...), d)
		<-d.reached
		w.kill(asker.id)
		<-done
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		goesOn := slices.ContainsFunc(w.runs, func(r run) bool { return r.job.Build == "b.2" })
		if !goesOn || w.securedByHeir == 0 {
			t.Errorf("somebody goes on: %v, with the outputs of %d steps", goesOn, w.securedByHeir)
		}
	})
}

// TestWhoServesABuildDoesNotServeItsHeirs has another member go on with a build
// that is under way.
func TestWhoServesABuildDoesNotServeItsHeirs(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		asker, heir := w.at(0), w.at(3)
		g := asker.compile(120)
		d := asker.diary(g, 20)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(1, 2)...), d)
		<-d.reached
		more := heir.compile(120, "ld")
		again := heir.start(t.Context(), "b.2", heir.plan(more, steal.Modes{}, w.ids(3)...), heir.diary(more, 0))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		over := time.Now()
		if err := <-again; err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		after := 0
		for _, r := range w.runs {
			switch {
			case r.job.Build != "b.2" || r.by == heir.id:
			case r.begun.Before(over):
				t.Errorf("%s runs %s while it serves the build itself", r.by.Short(), r.job.Step)
			default:
				after++
			}
		}
		if after == 0 {
			t.Error("nobody works for the heir when the build is over")
		}
	})
}

// TestAnHeirThatIsFullIsReplaced has the first heir be ready, and have room for
// the outputs of a few steps.
func TestAnHeirThatIsFullIsReplaced(t *testing.T) {
	withHeirs(t, 4, func(t *testing.T, w *world) {
		asker, full := w.at(0), w.at(2)
		full.room = 5
		g := asker.compile(240)
		d := asker.diary(g, 200)
		done := asker.start(t.Context(), "b", asker.plan(g, steal.Modes{}, w.ids(1, 2, 3)...), d)
		<-d.reached
		w.mu.Lock()
		first := w.estates[0]
		w.mu.Unlock()
		first.mu.Lock()
		if first.m != full || first.has != full.room || !first.closed {
			t.Errorf("%s keeps the outputs of %d steps, and has let go of them: %v", first.m.id.Short(), first.has, first.closed)
		}
		first.mu.Unlock()
		w.kill(asker.id)
		<-done
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.ContainsFunc(w.estates, func(e *estate) bool { return e.m != full && e.inherited }) {
			t.Error("nobody else goes on")
		}
	})
}
