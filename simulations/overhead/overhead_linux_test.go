package overhead

import (
	"crypto/ed25519"
	"flag"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

var actions = flag.Int("overhead.actions", 10_000, "how many actions a build has")

// BenchmarkMesh is 8 nodes: one that asks for the build, one that leads and does
// nothing else, six that work with the first. An action is a wait of 10 ms.
func BenchmarkMesh(b *testing.B) {
	kinds := []kind{pretending, leading}
	for len(kinds) < 8 {
		kinds = append(kinds, pretending)
	}
	measure(b, 10*time.Millisecond, kinds...)
}

// BenchmarkAlone is a node without a mesh, whose actions are nothing at all.
func BenchmarkAlone(b *testing.B) { measure(b, 0, pretending) }

func measure(b *testing.B, takes time.Duration, kinds ...kind) {
	f := start(b, takes, kinds...)
	dir := project(b, *actions)
	for b.Loop() {
		before := yardstick(b)
		took, done := f.build(dir)
		f.report(took, done)
		b.ReportMetric((before+yardstick(b))/2, "µs/signature-check")
		dir = project(b, *actions)
	}
}

// report tells what an action cost in all, and where. It returns the former, in
// microseconds.
func (f *fleet) report(took []spent, done event.BuildFinished) float64 {
	var all, workers, children time.Duration
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(done.Steps) }
	for i, p := range f.nodes {
		all, children = all+took[i].all(), children+took[i].Children
		switch {
		case i == 0:
			f.b.ReportMetric(each(took[i].all()), "initiator-µs/action")
		case p.peer == done.Leader:
			f.b.ReportMetric(each(took[i].all()), "leader-µs/action")
		default:
			workers += took[i].all()
		}
	}
	if len(f.nodes) > 1 {
		f.b.ReportMetric(each(workers), "workers-µs/action")
	}
	if children > 0 {
		f.b.ReportMetric(each(children), "children-µs/action")
	}
	f.b.ReportMetric(each(all), "µs/action")
	wall := time.Duration(done.WallMS*float64(time.Millisecond)) + afterwards
	f.b.ReportMetric(each(f.idle)*wall.Seconds(), "idle-µs/action")
	f.b.ReportMetric(float64(done.Steps)/all.Seconds(), "actions/core-s")
	f.b.ReportMetric(float64(done.Steps)/(done.WallMS/1000), "actions/s")
	f.b.Logf("%d steps, by peer %v, leader %s", done.Steps, done.ByPeer, done.Leader)
	return each(all)
}

// yardstick is what one check of a signature takes right now, in microseconds of
// CPU: on a machine that has other work, everything takes more.
func yardstick(b *testing.B) float64 {
	b.Helper()
	const checks = 2000
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signature := ed25519.Sign(private, []byte("yard"))
	start := spentSoFar()
	for range checks {
		if !ed25519.Verify(public, []byte("yard"), signature) {
			b.Fatal("a good signature is bad")
		}
	}
	return float64(spentSoFar().since(start).Self.Microseconds()) / checks
}
