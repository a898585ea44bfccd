package stack

import (
	"testing"
	"time"
)

func TestNodesBuildTogether(t *testing.T) {
	want := reference(t, large)
	p, again := NewProject(t, large), NewProject(t, large)
	n := *stackNodes
	Run(t, Options{Net: office(n)}, func(t *testing.T, f *Fleet) {
		f.StartAll()
		for _, m := range f.Machines() {
			if took := m.Ready.Sub(m.Born); took > readySoon {
				t.Errorf("node %d was ready after %v", m.Number, took)
			}
		}
		t.Logf("all %d see all after %v", n, seeEachOther(t, f, f.Machines(), n, time.Minute))
		f.Pass(settled)
		b := f.Machine(0).Build(t.Context(), p.Root)
		s := succeeded(t, b, p, want)
		if s.Executed != len(p.Steps) {
			t.Errorf("%d of %d steps were executed: %+v", s.Executed, len(p.Steps), s)
		}
		if 2*len(s.ByPeer) <= n {
			t.Errorf("%d of %d nodes took part", len(s.ByPeer), n)
		}
		onceEach(t, f, nobody)
		checkMakespan(t, f, b, p)
		ran := len(f.Executions())
		if s := succeeded(t, f.Machine(n-1).Build(t.Context(), again.Root), again, want); s.CachedMesh+s.CachedLocal != len(p.Steps) {
			t.Errorf("a build of the same elsewhere: %+v", s)
		}
		if now := len(f.Executions()); now != ran {
			t.Errorf("it executed %d steps again", now-ran)
		}
	})
}

// checkMakespan compares a build with what any greedy schedule keeps to
// (Graham, Bounds on multiprocessing timing anomalies, 1969): its work by the
// power, and its critical path. Each step on that path may cost overhead.
func checkMakespan(t *testing.T, f *Fleet, b *Build, p *Project) {
	t.Helper()
	events := b.Events()
	wall := events[len(events)-1].At.Sub(b.Asked)
	slots := len(f.Machines()) * f.opts.Slots
	least := max(p.CriticalPath(), p.Work()/time.Duration(slots))
	most := p.CriticalPath() + p.Work()/time.Duration(slots) + levels*overhead
	t.Logf("makespan %v: %.2f of the lower bound %v", wall, wall.Seconds()/least.Seconds(), least)
	if wall < least || wall > most {
		t.Errorf("makespan %v is not between %v and %v", wall, least, most)
	}
}

const (
	// readySoon is some round trips, and no round of gossip.
	readySoon = 100 * time.Millisecond
	// levels is the longest chain of steps in a Shape.
	levels = 4
	// overhead bounds what a step costs beside its run: to resolve, fetch,
	// report, log and announce it.
	overhead = 250 * time.Millisecond
)

func TestNodeFetchesALargeOutputNearLinkSpeed(t *testing.T) {
	const bytes, speed = 32 << 20, 12.5e6 // a byte a second, of a link
	shape := Shape{Units: 1, Bytes: bytes, Seed: 4}
	want := reference(t, shape)
	net := office(3)
	net.Sites[0].Local.Bandwidth = speed
	Run(t, Options{Net: net}, func(t *testing.T, f *Fleet) {
		for i := range 3 {
			p := NewProject(t, shape)
			b := f.Start(i).Build(t.Context(), p.Root)
			s := succeeded(t, b, p, want)
			if i == 0 {
				f.Pass(settled)
				continue
			}
			if s.Executed != 0 || s.BytesIn < bytes {
				t.Errorf("node %d: %+v", i, s)
			}
			took := time.Duration(s.WallMS * float64(time.Millisecond))
			share := bytes / speed / took.Seconds()
			t.Logf("node %d has %d bytes after %v: %.2f of the link's speed", i, bytes, took, share)
			if share < 0.8 {
				t.Errorf("node %d fetched at %.2f of the link's speed", i, share)
			}
		}
	})
}
