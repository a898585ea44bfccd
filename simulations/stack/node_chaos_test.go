package stack

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	chaosSeeds = flag.Int("stack-chaos", 0, "seeds of builds under faults that are drawn")
	chaosFirst = flag.Uint64("stack-chaos-first", 1, "first of these seeds")
)

// endsWithin is enough for the small build on its initiator alone.
const endsWithin = 6 * time.Minute

// TestBuildsUnderDrawnFaults spares the initiator: without it no build ends.
func TestBuildsUnderDrawnFaults(t *testing.T) {
	if *chaosSeeds == 0 {
		t.Skip("-stack-chaos N runs N seeds")
	}
	want := reference(t, small)
	for i := range uint64(*chaosSeeds) {
		seed := *chaosFirst + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			net := office(4 + r.IntN(6))
			net.Seed = seed
			p := NewProject(t, small)
			Run(t, Options{Net: net, BPU: weakInitiator}, func(t *testing.T, f *Fleet) { underFaults(t, f, p, want, r) })
		})
	}
}

func underFaults(t *testing.T, f *Fleet, p *Project, want map[string]string, r *rand.Rand) {
	f.StartAll()
	f.Pass(settled)
	b := f.Machine(0).Build(t.Context(), p.Root)
	c := &chaos{f: f, b: b, r: r, off: map[int]bool{}, harmed: map[int]bool{}}
	defer func() {
		if t.Failed() {
			t.Logf("%d nodes: %s", len(f.Machines()), strings.Join(c.said, "; "))
		}
	}()
	for range 1 + r.IntN(6) {
		f.Pass(time.Duration(r.Int64N(int64(5 * time.Second))))
		c.strike()
	}
	select {
	case <-b.done:
	case <-time.After(endsWithin):
		t.Fatal("the build does not end")
	}
	succeeded(t, b, p, want)
	notAgain(t, f, b, endTime)
	onceEach(t, f, func(node int) bool { return c.harmed[node] })
}

// chaos draws faults and remembers whom they explain.
type chaos struct {
	f      *Fleet
	b      *Build
	r      *rand.Rand
	off    map[int]bool
	harmed map[int]bool
	said   []string
}

func (c *chaos) say(format string, args ...any) {
	c.said = append(c.said, time.Since(c.b.Asked).String()+" "+fmt.Sprintf(format, args...))
}

func (c *chaos) strike() {
	n := len(c.f.Machines())
	switch c.r.IntN(6) {
	case 0:
		if reigns := Leaders(c.b.Events()); len(reigns) > 0 {
			c.unplug(c.f.Whose(reigns[len(reigns)-1].Leader).Number)
		}
	case 1:
		c.unplug(1 + c.r.IntN(n-1))
	case 2:
		for _, node := range slices.Sorted(maps.Keys(c.off)) {
			c.f.Machine(node).Host.On()
		}
		clear(c.off)
		c.say("all plugged in")
	case 3:
		c.split(n)
	case 4:
		c.f.Net().Heal()
		c.say("healed")
	default:
		chance := c.r.Float64() / 5
		c.f.Net().Lose(chance)
		c.say("%.2f of the packets are lost", chance)
	}
}

func (c *chaos) unplug(node int) {
	if node == 0 {
		return
	}
	c.f.Machine(node).Host.Off()
	c.off[node], c.harmed[node] = true, true
	c.say("node %d unplugged", node)
}

func (c *chaos) split(n int) {
	var with, without []int
	for node := range n {
		if node > 0 && c.r.IntN(2) == 0 {
			without = append(without, node)
			c.harmed[node] = true
		} else {
			with = append(with, node)
		}
	}
	c.f.Net().Split(with, without)
	c.say("%v split off", without)
}
