package sched_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

func TestDeaths(t *testing.T) {
	for name, tc := range map[string]struct {
		victims func(w *world, d *diary) []peer.ID
		epoch   uint64 // at least
	}{
		"Worker": {func(w *world, d *diary) []peer.ID {
			standbys, _ := d.reign()
			for _, m := range w.nodes {
				if m.id != d.leader() && m.id != d.m.id && !slices.Contains(standbys, m.id) {
					return []peer.ID{m.id}
				}
			}
			return nil
		}, 1},
		"Leader": {func(_ *world, d *diary) []peer.ID { return []peer.ID{d.leader()} }, 2},
		"LeaderAndStandby": {func(_ *world, d *diary) []peer.ID {
			standbys, _ := d.reign()
			return []peer.ID{d.leader(), standbys[0]}
		}, 2},
		"LeaderAndAllStandbys": {func(_ *world, d *diary) []peer.ID {
			standbys, _ := d.reign()
			return append([]peer.ID{d.leader()}, standbys...)
		}, 2},
	} {
		for _, after := range []int{1, 9, 21} {
			t.Run(fmt.Sprint(name, after), func(t *testing.T) {
				inWorld(t, 5, func(t *testing.T, w *world) {
					m := w.at(0)
					g := m.compile(24)
					d := m.diary(g, after)
					ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 4, 0)...), d)
					<-d.reached
					for _, id := range tc.victims(w, d) {
						w.kill(id)
					}
					if err := <-ended; err != nil {
						t.Fatal(err)
					}
					d.complete()
					if _, epoch := d.reign(); epoch < tc.epoch {
						t.Errorf("epoch = %d, want at least %d", epoch, tc.epoch)
					}
				})
			})
		}
	}
}

func TestOutputsThatAreLostAreMadeAgain(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(20)
		d := m.diary(g, 0)
		d.hold = make(chan struct{})
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 0)...), d)
		time.Sleep(runTime * 5 / 2) // two rounds have run, nothing was brought here
		w.kill(w.at(3).id)
		close(d.hold)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		twice := 0
		for _, times := range w.executions() {
			twice += times - 1
		}
		if twice == 0 {
			t.Error("nothing was made again")
		}
	})
}

func TestNodesThatComeBackWorkAgain(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.runTime = 3 * time.Second
		m := w.at(0)
		g := m.compile(40)
		d := m.diary(g, 4)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 0)...), d)
		<-d.reached
		leader, worker := w.at(1), w.at(3)
		w.kill(leader.id)
		w.kill(worker.id)
		time.Sleep(2 * detectTime)
		back := time.Now()
		w.join(2)
		w.join(4)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		again := map[peer.ID]bool{}
		for _, r := range w.runs {
			again[r.by] = again[r.by] || r.begun.After(back)
		}
		if !again[leader.id] || !again[worker.id] {
			t.Error("they were given nothing to do")
		}
	})
}

func TestCancellationEndsEveryJobWithinTwoSeconds(t *testing.T) {
	for name, end := range map[string]func(w *world, m *machine, cancel func()){
		"Cancelled": func(_ *world, _ *machine, cancel func()) { cancel() },
		"Killed":    func(w *world, m *machine, _ func()) { w.kill(m.id) },
		"KilledWithLeader": func(w *world, m *machine, _ func()) {
			w.kill(w.at(1).id)
			w.kill(m.id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				w.runTime = time.Hour
				m := w.at(0)
				g := m.compile(40)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				d := m.diary(g, 0)
				ended := m.start(ctx, "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 0)...), d)
				time.Sleep(2 * time.Second)
				if n := w.busy(); n < 6 {
					t.Fatalf("%d actions run, want more", n)
				}
				end(w, m, cancel)
				time.Sleep(2*time.Second - time.Millisecond)
				synctest.Wait()
				if n := w.busy(); n != 0 {
					t.Errorf("%d actions still run", n)
				}
				if err := <-ended; err == nil || name == "Cancelled" && !errors.Is(err, context.Canceled) {
					t.Errorf("Build = %v", err)
				}
				if busy := w.busy(); busy != 0 {
					t.Errorf("%d actions run after the end", busy)
				}
			})
		})
	}
}

func TestPartitionedLeaderIsReplaced(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(40)
		d := m.diary(g, 9)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 4, 0)...), d)
		<-d.reached
		leader := w.at(1)
		for _, i := range []int{0, 2, 3} { // one worker stays with it
			w.part(leader.id, w.at(i).id, true)
		}
		time.Sleep(4 * time.Second)
		for _, i := range []int{0, 2, 3} {
			w.part(leader.id, w.at(i).id, false)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		if _, epoch := d.reign(); epoch < 2 {
			t.Errorf("epoch = %d, want a successor's", epoch)
		}
	})
}

// An initiator that was started again has no build any more, though it answers.
func TestBuildEndsWhenItsInitiatorIsStartedAgain(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		m := w.at(0)
		w.runTime = time.Second
		g := m.compile(90)
		d := m.diary(g, 3)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 3, 0)...), d)
		<-d.reached
		w.kill(m.id)
		if err := <-ended; err == nil {
			t.Error("the build did not end with its node")
		}
		w.join(1)
		time.Sleep(2 * time.Second)
		w.mu.Lock()
		before := len(w.runs)
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if after := len(w.runs); after > before {
			t.Errorf("%d actions began 2 s after the build's end", after-before)
		}
	})
}
