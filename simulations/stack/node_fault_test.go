package stack

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// third of the small build's steps.
	third = 27
	// successionTime bounds the time without a leader: its lease, the turn of the
	// last standby, and the hearing of the crew.
	successionTime = 3 * time.Second
	// endTime is how long a node without its initiator may go on with a build.
	endTime = 2 * time.Second
)

// weakInitiator keeps node 0 from leading the builds that it asks for.
func weakInitiator(node int) float64 {
	if node == 0 {
		return 0.5
	}
	return 1
}

// midway starts a build of node 0 and returns when a third of it is announced.
func midway(t *testing.T, f *Fleet, p *Project) (*Build, *Machine) {
	t.Helper()
	f.StartAll()
	f.Pass(settled)
	b := f.Machine(0).Build(t.Context(), p.Root)
	b.Until(someAnnounced(third))
	reigns := Leaders(b.Events())
	if len(reigns) != 1 {
		t.Fatalf("leaders: %+v", reigns)
	}
	leader := f.Whose(reigns[0].Leader)
	if leader == nil || leader.Number == 0 {
		t.Fatalf("the leader is %+v", leader)
	}
	return b, leader
}

func TestBuildOutlivesItsLeadersHost(t *testing.T) {
	want := reference(t, small)
	p := NewProject(t, small)
	Run(t, Options{Net: office(*stackNodes), BPU: weakInitiator}, func(t *testing.T, f *Fleet) {
		b, leader := midway(t, f, p)
		leader.Host.Off()
		cut := time.Now()
		succeeded(t, b, p, want)
		notAgain(t, f, b, 0)
		onceEach(t, f, func(node int) bool { return node == leader.Number })
		checkSuccession(t, b, cut)
	})
}

// checkSuccession checks that a build which lost its leader has one successor,
// soon.
func checkSuccession(t *testing.T, b *Build, cut time.Time) {
	t.Helper()
	reigns := Leaders(b.Events())
	if len(reigns) != 2 || reigns[1].Epoch <= reigns[0].Epoch {
		t.Fatalf("leaders: %+v", reigns)
	}
	elected := reigns[1].At.Sub(cut)
	var step time.Duration
	for _, e := range b.Events() {
		if _, ok := e.Event.(event.StepStarted); ok && e.At.After(reigns[1].At) {
			step = e.At.Sub(cut)
			break
		}
	}
	t.Logf("the next leader after %v, its first step after %v", elected, step)
	if elected > successionTime {
		t.Errorf("the next leader came after %v", elected)
	}
}

func TestPartitionWithTheLeaderOnTheMinoritysSide(t *testing.T) {
	want := reference(t, small)
	p := NewProject(t, small)
	Run(t, Options{Net: office(*stackNodes), BPU: weakInitiator}, func(t *testing.T, f *Fleet) {
		b, leader := midway(t, f, p)
		minority, majority := []int{leader.Number}, []int{}
		for _, m := range f.Machines() {
			switch {
			case m == leader:
			case m.Number != 0 && len(minority) < *stackNodes/3:
				minority = append(minority, m.Number)
			default:
				majority = append(majority, m.Number)
			}
		}
		f.Net().Split(minority, majority)
		cut := time.Now()
		b.Until(func(events []Told) bool { return len(Leaders(events)) > 1 })
		checkSuccession(t, b, cut)
		f.Pass(5 * time.Second)
		f.Net().Heal()
		healed := time.Now()
		seen := seeEachOther(t, f, f.Machines(), *stackNodes, time.Minute)
		succeeded(t, b, p, want)
		// The heir may be on the side of the old leader: it goes on there, and after
		// the healing with whom it meets, until the initiator's leader calls it.
		cutOff := func(node int) bool { return slices.Contains(minority, node) }
		notAgain(t, f, b, endTime, func(e Execution) bool {
			return cutOff(e.Node) && e.Began.Before(healed) || e.Began.After(healed) && e.Began.Before(healed.Add(steal.Rejoin+endTime))
		})
		onceEach(t, f, cutOff)
		t.Logf("all see all %v after the healing", seen)
	})
}

func TestBuildWithATenthOfThePacketsLost(t *testing.T) {
	want := reference(t, small)
	p := NewProject(t, small)
	Run(t, Options{Net: office(*stackNodes)}, func(t *testing.T, f *Fleet) {
		f.StartAll()
		f.Pass(settled)
		f.Net().Lose(0.1)
		b := f.Machine(0).Build(t.Context(), p.Root)
		s := succeeded(t, b, p, want)
		if 2*len(s.ByPeer) <= *stackNodes {
			t.Errorf("%d of %d nodes took part", len(s.ByPeer), *stackNodes)
		}
		notAgain(t, f, b, 0)
		t.Logf("built in %v, least is %v; %d executions of %d steps; leaders %+v", time.Since(b.Asked),
			p.CriticalPath(), len(f.Executions()), len(p.Steps), Leaders(b.Events()))
	})
}

func TestNobodyIsThoughtDeadWhileAllAreSaturated(t *testing.T) {
	n := *stackNodes
	const long = 5 * time.Minute
	p := NewProject(t, Shape{Units: n * 30, Bytes: 1 << 10, Seed: 3, Cost: 30 * time.Second})
	Run(t, Options{Net: office(n)}, func(t *testing.T, f *Fleet) {
		f.StartAll()
		f.Pass(settled)
		b := f.Machine(0).Build(t.Context(), p.Root)
		b.Until(someAnnounced(2 * n))
		for range int(long / time.Second) {
			f.Pass(time.Second)
			for _, m := range f.Machines() {
				if sees := m.Sees(); sees != n {
					t.Fatalf("after %v node %d sees %d members alive, not %d", time.Since(b.Asked), m.Number, sees, n)
				}
			}
		}
		if done := len(Finished(b.Events())); done == len(p.Steps) {
			t.Errorf("the build ended before the nodes were saturated for %v", long)
		}
		if reigns := Leaders(b.Events()); len(reigns) != 1 {
			t.Errorf("leaders: %+v", reigns)
		}
		busy := map[int]time.Duration{}
		for _, e := range f.Executions() {
			if e.Done {
				busy[e.Node] += e.Ended.Sub(e.Began)
			}
		}
		for _, m := range f.Machines() {
			if busy[m.Number] < long*time.Duration(f.opts.Slots)*8/10 {
				t.Errorf("node %d worked for %v only", m.Number, busy[m.Number])
			}
		}
	})
}
