package sched_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// flat are n steps that read one source, as a graph without dependencies.
func (m *machine) flat(n int, argv ...string) *action.Graph {
	m.w.t.Helper()
	steps := m.compile(n, argv...).Steps()[:n]
	g, err := action.NewGraph(steps)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return g
}

// open begins an open build; the channel gives what Run returns.
func (m *machine) open(ctx context.Context, d *diary, leaders ...int) (*sched.Session, <-chan error) {
	m.w.t.Helper()
	none, err := action.NewGraph(nil)
	if err != nil {
		m.w.t.Fatal(err)
	}
	x, err := m.Open(ctx, sched.Build{ID: "b", Plan: m.plan(none, steal.Modes{}, m.w.ids(leaders...)...)}, d)
	if err != nil {
		m.w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- x.Run() }()
	return x, done
}

// running are the steps that run here.
func (m *machine) running() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy
}

// ran are how many runs began, and how many heirs there were.
func (w *world) ran() (runs, heirs int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs), len(w.estates)
}

// adds adds steps of a graph one by one.
func (d *diary) adds(x *sched.Session, from, to int) {
	t := d.m.w.t
	t.Helper()
	for i := from; i < to; i++ {
		if at, err := x.Add(d.graph.Steps()[i]); err != nil || at != steal.Step(i) {
			t.Errorf("step %d is added as %d: %v", i, at, err)
		}
	}
}

func TestASessionRunsStepsAsTheyCome(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, n, func(t *testing.T, w *world) {
				m := w.at(0)
				d := m.diary(m.flat(20), 10)
				x, done := m.open(t.Context(), d)
				d.adds(x, 0, 10)
				<-d.reached
				time.Sleep(10 * time.Second) // it rests
				d.adds(x, 10, 20)
				x.Close()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				d.complete()
				for step, times := range w.executions() {
					if times != 1 {
						t.Errorf("%s ran %d times", step, times)
					}
				}
				if _, err := x.Add(d.graph.Steps()[0]); !errors.Is(err, sched.ErrEnded) {
					t.Errorf("added to a build that is over: %v", err)
				}
			})
		})
	}
}

func TestASessionOutlivesItsLeader(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		m := w.at(0)
		d := m.diary(m.flat(40), 6)
		x, done := m.open(t.Context(), d, 1, 2, 3, 4, 0)
		d.adds(x, 0, 20)
		<-d.reached
		leader, second := w.at(1).id, w.at(2).id
		w.kill(leader)
		d.adds(x, 20, 30) // while nobody leads
		time.Sleep(2 * time.Second)
		d.adds(x, 30, 40)
		x.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.complete()
		if d.leader() != second {
			t.Errorf("%s leads, the first standby was %s", d.leader().Short(), second.Short())
		}
	})
}

func TestAFailedStepEndsNoSession(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		d := m.diary(m.flat(2, "false"), 1)
		x, done := m.open(t.Context(), d)
		d.adds(x, 0, 1)
		<-d.reached
		d.adds(x, 1, 2)
		x.Close()
		if err := <-done; err != nil || len(d.finished) != 2 {
			t.Errorf("%d steps are finished: %v", len(d.finished), err)
		}
	})
}

func TestAStepOfASessionIsCancelled(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.runTime = time.Hour
		m := w.at(0)
		d := m.diary(m.flat(3), 0)
		x, done := m.open(t.Context(), d)
		d.adds(x, 0, 3)
		time.Sleep(time.Second)
		for i := range 3 {
			x.Cancel(steal.Step(i))
		}
		x.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(d.failed) != 3 || d.failed[0] != steal.Unneeded || len(d.finished) != 0 {
			t.Errorf("failed %v, %d finished", d.failed, len(d.finished))
		}
		synctest.Wait()
		if n := m.running(); n != 0 {
			t.Errorf("%d steps still run", n)
		}
	})
}

func TestASessionEndsWithItsContext(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		m := w.at(0)
		d := m.diary(m.flat(20), 2)
		x, done := m.open(ctx, d)
		d.adds(x, 0, 20)
		<-d.reached
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		time.Sleep(2 * time.Second)
		for id, o := range w.nodes {
			if n := o.running(); n != 0 {
				t.Errorf("%d steps still run on %s", n, id.Short())
			}
		}
	})
}

func TestNothingIsAddedToAClosedSession(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		d := m.diary(m.flat(2), 0)
		x, done := m.open(t.Context(), d)
		d.adds(x, 0, 1)
		x.Close()
		if _, err := x.Add(d.graph.Steps()[1]); !errors.Is(err, steal.ErrShut) {
			t.Errorf("Add = %v, want %v", err, steal.ErrShut)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestASessionEndsWithItsInitiator(t *testing.T) {
	withHeirs(t, 4, func(t *testing.T, w *world) {
		m := w.at(0)
		d := m.diary(m.flat(60), 8)
		x, done := m.open(t.Context(), d, 1, 2, 3, 0)
		d.adds(x, 0, 60)
		<-d.reached
		w.kill(m.id)
		<-done
		time.Sleep(5 * time.Second)
		runs, _ := w.ran()
		time.Sleep(5 * time.Second)
		if again, heirs := w.ran(); again != runs || heirs > 0 {
			t.Errorf("it goes on: %d more runs, %d heirs", again-runs, heirs)
		}
	})
}

func TestAnHeirGoesOnWithASessionThatIsClosed(t *testing.T) {
	withHeirs(t, 4, func(t *testing.T, w *world) {
		m := w.at(0)
		d := m.diary(m.flat(60), 24)
		x, done := m.open(t.Context(), d, 1, 2, 3, 0)
		d.adds(x, 0, 60)
		x.Close()
		<-d.reached
		w.kill(m.id)
		<-done
		time.Sleep(20 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.estates {
			if e.inherited {
				if n := len(e.finished); n != 60 || e.graph.Len() != 60 {
					t.Errorf("the heir finished %d of %d steps", n, e.graph.Len())
				}
				return
			}
		}
		t.Error("nobody went on with it")
	})
}

// BenchmarkLoneStep is how long a step takes that comes to an open build in which
// nothing else is to be done, beside its execution.
func BenchmarkLoneStep(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			w.runTime = 0
			defer w.close()
			for i := range n {
				w.join(byte(i + 1))
			}
			m := w.at(0)
			steps := m.flat(1).Steps()
			told := make(chan struct{}, 1)
			d := &teller{diary: m.diary(m.flat(1), 0), told: told}
			none, err := action.NewGraph(nil)
			if err != nil {
				b.Fatal(err)
			}
			x, err := m.Open(b.Context(), sched.Build{ID: "b", Plan: m.plan(none, steal.Modes{})}, d)
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- x.Run() }()
			for i := 0; b.Loop(); i++ {
				s := steps[0]
				s.ID, s.Argv = action.StepID(fmt.Sprint(i)), []string{"cc", fmt.Sprint(i)}
				if _, err := x.Add(s); err != nil {
					b.Fatal(err)
				}
				<-told
			}
			x.Close()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// teller says when a step is finished.
type teller struct {
	*diary
	told chan<- struct{}
}

func (t *teller) Finished(steal.Step, *steal.Done) { t.told <- struct{}{} }

// Whoever runs a loop adds a step when the one before it is announced: what each
// waits for, beside messages and its run, adds up.
func TestAStepOfASessionHardlyWaits(t *testing.T) {
	const most = 5 * time.Millisecond // a turn or two of its leader
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, n, func(t *testing.T, w *world) {
				m := w.at(0)
				d := m.diary(m.flat(30), 10)
				x, done := m.open(t.Context(), d)
				d.adds(x, 0, 10) // it is led then, and has standbys
				<-d.reached
				for i := 10; i < 30; i++ {
					d.mu.Lock()
					d.goal, d.reached = i+1, make(chan struct{})
					d.mu.Unlock()
					begun := time.Now()
					d.adds(x, i, i+1)
					<-d.reached
					if waited := time.Since(begun) - runTime; waited > most {
						t.Errorf("step %d waited %v beside its run", i, waited)
					}
				}
				x.Close()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Steps that run for a moment, one after the other, have used up the turns and frames that
// wait for nothing: what is left of waiting is little.
func TestShortStepsOfASessionHardlyWait(t *testing.T) {
	const run, steps, most = 2 * time.Millisecond, 200, 3 * time.Millisecond
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, n, func(t *testing.T, w *world) {
				w.runTime = run
				m := w.at(0)
				d := m.diary(m.flat(steps), 10)
				x, done := m.open(t.Context(), d)
				d.adds(x, 0, 10) // it is led then, and has standbys
				<-d.reached
				begun := time.Now()
				for i := 10; i < steps; i++ {
					d.mu.Lock()
					d.goal, d.reached = i+1, make(chan struct{})
					d.mu.Unlock()
					d.adds(x, i, i+1)
					<-d.reached
				}
				if waited := time.Since(begun)/(steps-10) - run; waited > most {
					t.Errorf("a step waited %v beside its run", waited)
				}
				x.Close()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
