package sched_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// compile is a graph of n steps and one that reads what they make.
func (m *machine) compile(n int, argv ...string) *action.Graph {
	m.w.t.Helper()
	if len(argv) == 0 {
		argv = []string{"cc"}
	}
	link := action.Step{ID: "link", Outputs: []string{"app"}}
	var steps []action.Step
	for i := range n {
		name := fmt.Sprintf("o%02d", i)
		steps = append(steps, action.Step{ID: action.StepID(name), Outputs: []string{name}})
		link.Deps = append(link.Deps, action.Dep{Step: action.StepID(name)})
	}
	steps = append(steps, link)
	source := []byte("source")
	file, err := action.EncodeBlob(&repb.Directory{Files: []*repb.FileNode{{
		Name: "a.c", Digest: action.ReapiDigest(digest.Of(digest.BLAKE3, source)),
	}}})
	if err != nil {
		m.w.t.Fatal(err)
	}
	_ = (*shelf)(m).Put(m.w.t.Context(), file, action.Blob{Digest: digest.Of(digest.BLAKE3, source), Content: source})
	for i := range steps {
		s := &steps[i]
		s.Argv, s.Inputs, s.Timeout = append(slices.Clone(argv), string(s.ID)), file.Digest, time.Minute
		s.Reach, s.Sharing = action.Anywhere, action.Shared
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return g
}

// diary is an Observer that brings outputs here and writes down what it hears.
type diary struct {
	m     *machine
	graph *action.Graph

	mu       sync.Mutex
	leaders  []peer.ID
	standbys []peer.ID
	epoch    uint64
	finished map[steal.Step]*steal.Done
	at       map[steal.Step]time.Time
	failed   map[steal.Step]string
	notes    []string
	// reached is closed when so many steps are finished.
	goal    int
	reached chan struct{}
	// hold, if set, is received from before outputs are brought here.
	hold chan struct{}
}

func (m *machine) diary(g *action.Graph, goal int) *diary {
	return &diary{
		m: m, graph: g, finished: map[steal.Step]*steal.Done{}, at: map[steal.Step]time.Time{},
		failed: map[steal.Step]string{}, goal: goal, reached: make(chan struct{}),
	}
}

func (d *diary) Elected(leader peer.ID, standbys []peer.ID, epoch uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaders, d.standbys, d.epoch = append(d.leaders, leader), standbys, epoch
}

func (d *diary) Started(steal.Step, peer.ID) {}

func (d *diary) Secure(ctx context.Context, _ steal.Step, done *steal.Done) error {
	if d.hold != nil {
		<-d.hold
	}
	files, _ := done.Entry.Result.Blobs()
	return d.m.fetch(ctx, files, done.Holders)
}

func (d *diary) Finished(s steal.Step, done *steal.Done) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.finished[s] != nil || d.failed[s] != "" {
		d.m.w.t.Errorf("step %d is announced twice", s)
	}
	for _, dep := range d.graph.Steps()[s].Deps {
		i := slices.IndexFunc(d.graph.Steps(), func(o action.Step) bool { return o.ID == dep.Step })
		if d.finished[steal.Step(i)] == nil {
			d.m.w.t.Errorf("step %d is announced before %s", s, dep.Step)
		}
	}
	d.finished[s], d.at[s] = done, time.Now()
	if len(d.finished) == d.goal {
		close(d.reached)
	}
}

func (d *diary) Failed(s steal.Step, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed[s] = why
}

func (d *diary) Note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, text)
}

func (d *diary) Weakened(steal.Mode, []peer.ID) {}

func (d *diary) Watched(*steal.Event) {}

func (d *diary) leader() peer.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.leaders) == 0 {
		return ""
	}
	return d.leaders[len(d.leaders)-1]
}

func (d *diary) reign() (standbys []peer.ID, epoch uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.standbys, d.epoch
}

// complete checks that every step is done, its outputs are here, and that none
// was begun after it had been announced.
func (d *diary) complete() {
	t := d.m.w.t
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range d.graph.Steps() {
		done := d.finished[steal.Step(i)]
		if done == nil {
			t.Errorf("step %s is not finished: %s", s.ID, d.failed[steal.Step(i)])
			continue
		}
		for _, o := range done.Entry.Result.Outputs {
			if _, err := (*shelf)(d.m).Get(t.Context(), o.Digest, o.Digest.Size()); err != nil {
				t.Errorf("output %s of %s is not here", o.Path, s.ID)
			}
		}
		d.m.w.mu.Lock()
		for _, r := range d.m.w.runs {
			if r.job.Step == s.ID && r.begun.After(d.at[steal.Step(i)]) && r.job.Build == "b" {
				t.Errorf("step %s was begun again after it had been announced", s.ID)
			}
		}
		d.m.w.mu.Unlock()
	}
	if t.Failed() {
		t.Log(d.notes)
	}
}

func (m *machine) plan(g *action.Graph, modes steal.Modes, leaders ...peer.ID) *steal.Plan {
	return &steal.Plan{Graph: g, Modes: modes, Candidates: leaders}
}

// start begins a build; the channel gives what Build returns.
func (m *machine) start(ctx context.Context, id steal.BuildID, p *steal.Plan, d *diary) <-chan error {
	done := make(chan error, 1)
	go func() { done <- m.Build(ctx, sched.Build{ID: id, Plan: p}, d) }()
	return done
}

func (w *world) at(i int) *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[w.order[i]]
}

// ids returns the members in the order in which the candidates of a plan are
// to be: the i-th first.
func (w *world) ids(order ...int) []peer.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]peer.ID, 0, len(order))
	for _, i := range order {
		ids = append(ids, w.order[i])
	}
	return ids
}

func TestBuildRunsEveryStepOnceOnAllNodes(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, n, func(t *testing.T, w *world) {
				m := w.at(0)
				g := m.compile(20)
				d := m.diary(g, 0)
				if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{})}, d); err != nil {
					t.Fatal(err)
				}
				d.complete()
				by := map[peer.ID]int{}
				for _, done := range d.finished {
					by[done.Peer]++
				}
				if len(by) != n {
					t.Errorf("steps ran on %d nodes, want %d", len(by), n)
				}
				for step, times := range w.executions() {
					if times != 1 {
						t.Errorf("%s ran %d times", step, times)
					}
				}
				for id, o := range w.nodes {
					if o.most > o.slots {
						t.Errorf("%s ran %d actions at once, it has %d slots", id.Short(), o.most, o.slots)
					}
				}
			})
		})
	}
}

func TestAlone(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(6)
		d := m.diary(g, 0)
		if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{Local: true})}, d); err != nil {
			t.Fatal(err)
		}
		d.complete()
		if leader := d.leader(); leader != m.id {
			t.Errorf("leader = %s, want the initiator", leader)
		}
		for _, r := range w.runs {
			if r.by != m.id {
				t.Errorf("%s ran on %s", r.job.Step, r.by.Short())
			}
		}
		for id, o := range w.nodes {
			if id != m.id && len(o.blobs) > 0 {
				t.Errorf("%s was given blobs", id.Short())
			}
		}
	})
}

func TestSecondBuildExecutesNothingUnlessForced(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		for i, tc := range []struct {
			from int
			mode steal.Modes
			want int
		}{{0, steal.Modes{}, 1}, {1, steal.Modes{}, 1}, {2, steal.Modes{Force: true}, 2}} {
			m := w.at(tc.from)
			g := m.compile(8)
			d := m.diary(g, 0)
			id := steal.BuildID(fmt.Sprint("build", i))
			if err := m.Build(t.Context(), sched.Build{ID: id, Plan: m.plan(g, tc.mode)}, d); err != nil {
				t.Fatal(err)
			}
			d.complete()
			for step, times := range w.executions() {
				if times != tc.want {
					t.Errorf("build %d: %s has run %d times, want %d", i, step, times, tc.want)
				}
			}
		}
	})
}

func TestTwoBuildsOfTheSameActionsExecuteThemOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		second int
		mode   steal.Modes
	}{
		"OnTwoNodes": {1, steal.Modes{}},
		"OnOneNode":  {0, steal.Modes{}},
		"Alone":      {0, steal.Modes{Local: true}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				var ended []<-chan error
				var diaries []*diary
				for i, from := range []int{0, tc.second} {
					m := w.at(from)
					g := m.compile(10)
					d := m.diary(g, 0)
					diaries = append(diaries, d)
					ended = append(ended, m.start(t.Context(), steal.BuildID(fmt.Sprint("build", i)), m.plan(g, tc.mode), d))
				}
				for i, c := range ended {
					if err := <-c; err != nil {
						t.Fatal(err)
					}
					diaries[i].complete()
				}
				for step, times := range w.executions() {
					if times != 1 {
						t.Errorf("%s ran %d times", step, times)
					}
				}
			})
		})
	}
}

func TestFailedStepIsAnnouncedAndItsDependantsAreNotRun(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(4, "false")
		d := m.diary(g, 0)
		if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{KeepGoing: true})}, d); err != nil {
			t.Fatal(err)
		}
		if len(d.finished) != 4 || d.finished[4] != nil {
			t.Errorf("%d steps are finished, want the four that fail", len(d.finished))
		}
	})
}

func TestReducedResultsServeTheirOwnMachineAlone(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for i, want := range []int{1, 2} {
			m := w.at(i)
			g := m.compile(3, "secret")
			d := m.diary(g, 0)
			mode := steal.Modes{Local: true}
			if err := m.Build(t.Context(), sched.Build{ID: steal.BuildID(fmt.Sprint(i)), Plan: m.plan(g, mode)}, d); err != nil {
				t.Fatal(err)
			}
			for step, times := range w.executions() {
				if times != want {
					t.Errorf("%s ran %d times, want %d", step, times, want)
				}
			}
		}
	})
}

func TestDrainGivesBackWhatHasNotBegun(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(40)
		d := m.diary(g, 3)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 0)...), d)
		<-d.reached
		leaver := w.at(2)
		if err := leaver.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		drained := time.Now()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		for _, r := range w.runs {
			if r.by == leaver.id && r.begun.After(drained) {
				t.Errorf("%s began after the drain", r.job.Step)
			}
		}
	})
}
