package makespan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// window is a client that has some commands going at once, as make has: it adds the
// next one when one of those is done. At a barrier it waits for
// the last one.
type window struct {
	name                 string
	steps, wide, barrier int
	cost                 float64
	hinted               bool
	way                  network.Path
	// around is what machines take for a step beside its run, twice and up to this.
	around time.Duration
	// Of the time alone it takes, in the median; of the steps so many run elsewhere, at least.
	most, elsewhere float64
}

// never is a barrier that does not come.
const never = 1 << 20

var lan = network.Path{Latency: 500 * time.Microsecond, Jitter: 500 * time.Microsecond, Bandwidth: 125e6}

// slowLAN is a LAN whose machines are busy: messages wait.
var slowLAN = network.Path{Latency: 2 * time.Millisecond, Jitter: 8 * time.Millisecond, Bandwidth: 4e6}

// A client on a machine of one slot, beside two others. Where it takes longer than
// alone it does so without sending anything: a log that is kept elsewhere, too.
var windows = []window{
	{"quick", 157, 5, never, 0.05, false, lan, 5 * time.Millisecond, 0.4, 0.6},
	{"machines that are busy", 157, 5, never, 0.05, false, slowLAN, 40 * time.Millisecond, 0.8, 0.35},
	{"of known cost", 157, 5, never, 0.05, true, slowLAN, 40 * time.Millisecond, 0.75, 0.4},
	{"more at once", 157, 8, never, 0.05, true, slowLAN, 40 * time.Millisecond, 0.6, 0.45},
	{"machines that crawl", 157, 8, never, 0.05, true, slowLAN, 150 * time.Millisecond, 0.65, 0.4},
	{"a barrier after each ten", 160, 5, 10, 0.05, true, slowLAN, 40 * time.Millisecond, 0.8, 0.35},
	{"a barrier after each five", 160, 5, 5, 0.05, true, slowLAN, 40 * time.Millisecond, 0.8, 0.35},
	{"a barrier after each eight, crawling", 120, 8, 8, 0.05, false, slowLAN, 150 * time.Millisecond, 0.8, 0.35},
	{"two chains", 100, 2, never, 0.05, true, slowLAN, 40 * time.Millisecond, 1.1, 0},
	{"far away", 157, 5, never, 0.05, true, far, 5 * time.Millisecond, 1.02, 0.2},
	{"far away, more at once", 157, 8, never, 0.1, false, far, 5 * time.Millisecond, 0.52, 0.45},
	{"far away, a barrier after each eight", 160, 8, 8, 0.05, true, far, 5 * time.Millisecond, 0.85, 0.35},
	{"twenty", 20, 8, never, 0.05, false, slowLAN, 40 * time.Millisecond, 0.85, 0.1},
}

func (c *window) setting(seed uint64, others int) *setting.Setting {
	var more []setting.Node
	for range others {
		more = append(more, setting.Node{BPU: 1, Slots: 1})
	}
	s := besides(seed, workload.Chains(c.steps, 1), c.cost, 5e3, c.way, more...)
	s.Nodes[0].Slots = 1
	for i := range s.Network.Sites {
		s.Network.Sites[i].Local = c.way
	}
	for _, span := range []*setting.Span{&s.Overheads.Prepare, &s.Overheads.Secure} {
		span.Least += c.around / 2
		span.Most += c.around
	}
	b := &s.Builds[0]
	if !c.hinted {
		for i := range b.Graph.Steps {
			b.Graph.Steps[i].Hint = 0
		}
	}
	b.Modes.KeepGoing = true
	b.Arrivals = setting.Flatten(b.Graph)
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := range b.Arrivals {
		a := &b.Arrivals[i]
		a.After = max(i-c.wide, setting.None)
		if i%c.barrier == 0 && i > 0 {
			a.After = i - 1
		}
		a.Delay = time.Duration(rng.IntN(3)) * time.Millisecond
	}
	return s
}

// ranAt counts where steps ran.
type ranAt struct{ here, there int }

// Observe implements trace.Sink.
func (r *ranAt) Observe(e *trace.Event) {
	if e.Kind == trace.RunEnded {
		if e.Node == 0 {
			r.here++
		} else {
			r.there++
		}
	}
}

func (c *window) run(t testing.TB, seed uint64, others int) (time.Duration, float64) {
	w, at := &watch{}, &ranAt{}
	o, err := simulations.Run(t.Context(), c.setting(seed, others), simulations.Options{Sinks: []trace.Sink{w, at}})
	switch {
	case err != nil:
		t.Fatal(err)
	case o.Violation != nil:
		t.Fatalf("%s, seed %d: %s: %s", c.name, seed, o.Violation.Rule, o.Violation.Text)
	case !w.completed:
		t.Fatalf("%s, seed %d: not completed", c.name, seed)
	}
	return w.last - w.first, float64(at.there) / float64(at.here+at.there)
}

// TestWhoIsIdleHelpsAClientThatTellsLittle holds the rule of package steal for what a
// client does not say: that more is to come.
func TestWhoIsIdleHelpsAClientThatTellsLittle(t *testing.T) {
	for _, c := range windows {
		var of, shares []float64
		for seed := range uint64(4) {
			alone, _ := c.run(t, seed, 0)
			took, share := c.run(t, seed, 2)
			of, shares = append(of, took.Seconds()/alone.Seconds()), append(shares, share)
		}
		if median, least := Of(of).Median, slices.Min(shares); median > c.most || least < c.elsewhere {
			t.Errorf("%s: takes %.3f of the time alone, of the steps %.3f run elsewhere; want %.2f and %.2f", c.name, of, shares, c.most, c.elsewhere)
		}
	}
}
