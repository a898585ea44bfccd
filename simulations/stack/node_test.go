package stack

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/packets"
)

// settled is when a mesh has trust in its members: none is a newcomer, and all
// have coordinates.
const settled = 20 * time.Second

// large is a build across many nodes; small one for a few.
var (
	large = Shape{Units: 150, Libraries: 30, Tests: 19, Bytes: 8 << 10, Seed: 1}
	small = Shape{Units: 60, Libraries: 12, Tests: 7, Bytes: 8 << 10, Seed: 2}
)

// office is n hosts on one Ethernet of a gigabit.
func office(n int) packets.Options {
	return packets.Options{Seed: 1, Config: network.Config{
		Sites: []network.Site{{Name: "office", Local: network.Path{
			Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 125e6,
		}}},
		Site: make([]int, n),
	}}
}

// reference is what a build of the shape leaves that ran on one node.
func reference(t *testing.T, s Shape) map[string]string {
	t.Helper()
	p := NewProject(t, s)
	Run(t, Options{Net: office(1), Slots: 8}, func(t *testing.T, f *Fleet) {
		f.StartAll()
		if s, err := f.Machine(0).Build(t.Context(), p.Root).Wait(); err != nil || !s.OK {
			t.Fatalf("reference: %+v, %v", s, err)
		}
	})
	return p.Outputs(t)
}

// succeeded waits for a build and checks what holds of every one that
// succeeds: each step is announced once, and the outputs are right.
func succeeded(t *testing.T, b *Build, p *Project, want map[string]string) event.BuildFinished {
	t.Helper()
	s, err := b.Wait()
	if err != nil || !s.OK || s.Failed+s.NotRun > 0 || s.Steps != len(p.Steps) {
		t.Fatalf("build: %+v, %v", s, err)
	}
	announced := map[string]int{}
	for _, a := range Finished(b.Events()) {
		announced[a.Step]++
	}
	for _, step := range p.Steps {
		if announced[step.ID] != 1 {
			t.Errorf("%s was announced %d times", step.ID, announced[step.ID])
		}
	}
	got := p.Outputs(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("output %s differs from the reference", name)
		}
	}
	return s
}

// notAgain checks that nothing is executed that was announced before, but for
// what may begin within slack of it, and what cannot know.
func notAgain(t *testing.T, f *Fleet, b *Build, slack time.Duration, unknowing ...func(Execution) bool) {
	t.Helper()
	announced := map[string]time.Time{}
	for _, a := range Finished(b.Events()) {
		announced[a.Step] = a.At
	}
	for _, e := range f.Executions() {
		if slices.ContainsFunc(unknowing, func(u func(Execution) bool) bool { return u(e) }) {
			continue
		}
		if at, ok := announced[e.Step]; ok && e.Began.After(at.Add(slack)) {
			t.Errorf("%s was announced after %v and began again on node %d after %v", e.Step, at.Sub(b.Asked), e.Node, e.Began.Sub(b.Asked))
		}
	}
}

// completions are the executions of each step that came to their end.
func completions(f *Fleet) map[string][]Execution {
	all := map[string][]Execution{}
	for _, e := range f.Executions() {
		if e.Done {
			all[e.Step] = append(all[e.Step], e)
		}
	}
	return all
}

// onceEach checks that no step was executed twice, unless one time was on a
// node that excuses it.
func onceEach(t *testing.T, f *Fleet, excuses func(node int) bool) {
	t.Helper()
	all := completions(f)
	for _, step := range slices.Sorted(maps.Keys(all)) {
		runs := slices.DeleteFunc(all[step], func(e Execution) bool { return excuses(e.Node) })
		if len(runs) > 1 {
			t.Errorf("%s was executed %d times: %+v", step, len(runs), runs)
		}
	}
}

func nobody(int) bool { return false }

// seeEachOther waits until each of the machines sees exactly n members alive,
// and returns how long that took.
func seeEachOther(t *testing.T, f *Fleet, machines []*Machine, n int, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		blind := slices.IndexFunc(machines, func(m *Machine) bool { return m.Sees() != n })
		if blind < 0 {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %v node %d sees %d members, not %d", within, machines[blind].Number, machines[blind].Sees(), n)
		}
		f.Pass(100 * time.Millisecond)
	}
}

// someAnnounced is for Build.Until: n steps are announced.
func someAnnounced(n int) func([]Told) bool {
	return func(events []Told) bool { return len(Finished(events)) >= n }
}
