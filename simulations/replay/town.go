package replay

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
)

const (
	// maxApart peers have a way of their own between each two; more share one
	// site, and what its ways take in the middle.
	maxApart = 200
	// lan is the round trip where none was ever measured.
	lan = 400 * time.Microsecond
	// inside is the bandwidth within a machine, in bytes a second.
	inside = 10 << 30
)

// town is the mesh of a replay: the recorded peers without those that are
// removed, and those that are added.
type town struct {
	rec *event.Recording
	m   *measures
	// of has the place of a node among the recorded peers, -1 for a new one.
	of    []int
	nodes []setting.Node
	ways  map[[2]int]time.Duration // between places in nodes, one way
}

func newTown(rec *event.Recording, m *measures, c Changes) (*town, error) {
	t := &town{rec: rec, m: m, ways: map[[2]int]time.Duration{}}
	gone := map[int]bool{}
	for _, name := range c.Remove {
		peer, err := find(rec, name)
		if err != nil {
			return nil, err
		}
		if peer == 0 {
			return nil, fmt.Errorf("%w: %s asked for the build and cannot be removed; remove another one of %s", ErrChange, name, namesOf(rec))
		}
		gone[peer] = true
	}
	for i := range rec.Peers {
		if !gone[i] {
			t.of, t.nodes = append(t.of, i), append(t.nodes, t.nodeOf(i))
		}
	}
	for _, a := range c.Add {
		t.add(a)
	}
	return t, t.stretch(c.Ways)
}

func (t *town) nodeOf(peer int) setting.Node {
	p := &t.rec.Peers[peer]
	n := setting.Node{Name: nameOf(t.rec, peer), BPU: bpuOf(p), Slots: p.Slots, Probe: t.m.probeOf(peer)}
	for i, label := range t.rec.Toolchains {
		if !slices.Contains(p.Lacks, i+1) {
			n.Toolchains = append(n.Toolchains, label)
		}
	}
	return n
}

// add puts machines into the mesh that have every toolchain.
func (t *town) add(a Machines) {
	for range a.Count {
		n := setting.Node{Name: fmt.Sprintf("new-%d", 1+len(t.nodes)-len(t.known())), BPU: a.BPU, Slots: a.Slots, Probe: t.m.probeOf(-1)}
		if n.Slots == 0 {
			n.Slots = max(1, t.rec.Peers[0].Slots)
		}
		n.Toolchains = t.rec.Toolchains
		t.of, t.nodes = append(t.of, -1), append(t.nodes, n)
	}
}

// known are the nodes that were there.
func (t *town) known() []setting.Node {
	n := 0
	for _, peer := range t.of {
		if peer >= 0 {
			n++
		}
	}
	return t.nodes[:n]
}

// stretch sets the latencies that are asked for.
func (t *town) stretch(ways []Way) error {
	for _, w := range ways {
		a, err := t.find(w.A)
		if err != nil {
			return err
		}
		b, err := t.find(w.B)
		if err != nil {
			return err
		}
		switch {
		case a == b:
			return fmt.Errorf("%w: %s and %s are the same peer; name two of %s", ErrChange, w.A, w.B, namesOf(t.rec))
		case len(t.nodes) > maxApart:
			return fmt.Errorf("%w: the latency between two of %d peers; beyond %d they share one site", ErrChange, len(t.nodes), maxApart)
		}
		t.ways[[2]int{min(a, b), max(a, b)}] = w.Latency
	}
	return nil
}

// find returns the place of a node, which may be a new one.
func (t *town) find(name string) (int, error) {
	for i := range t.nodes {
		if t.of[i] < 0 && t.nodes[i].Name == name {
			return i, nil
		}
	}
	peer, err := find(t.rec, name)
	if err != nil {
		return 0, err
	}
	at := slices.Index(t.of, peer)
	if at < 0 {
		return 0, fmt.Errorf("%w: %s is removed; leave it, or name another one", ErrChange, name)
	}
	return at, nil
}

// network gives every node a site of its own, and every two a way.
func (t *town) network() network.Config {
	n := len(t.nodes)
	c := network.Config{Site: make([]int, n)}
	if n > maxApart {
		c.Sites = []network.Site{{Name: "mesh", Local: network.Path{Latency: usual(t.rec) / 2, Bandwidth: t.m.bandwidth}}}
		return c
	}
	for i := range n {
		c.Site[i] = i
		c.Sites = append(c.Sites, network.Site{Name: t.nodes[i].Name, Local: network.Path{Bandwidth: inside}})
		for j := range i {
			c.Routes = append(c.Routes, network.Route{A: j, B: i, Path: network.Path{Latency: t.latency(j, i), Bandwidth: t.m.bandwidth}})
		}
	}
	return c
}

// latency is one way, from a node to a later one.
func (t *town) latency(a, b int) time.Duration {
	if d, set := t.ways[[2]int{a, b}]; set {
		return d
	}
	if t.of[a] < 0 || t.of[b] < 0 {
		return usual(t.rec) / 2
	}
	return rtt(t.rec, t.of[a], t.of[b]) / 2
}

// rtt is the round trip between two recorded peers, or what is usual between
// peers where it is not known.
func rtt(rec *event.Recording, a, b int) time.Duration {
	if a == b {
		return 0
	}
	for _, w := range rec.Ways {
		if (w.A == a && w.B == b || w.A == b && w.B == a) && w.RTTUS > 0 {
			return micros(w.RTTUS)
		}
	}
	if d := rec.Peers[max(a, b)].RTTUS; min(a, b) == 0 && d > 0 {
		return micros(d)
	}
	return usual(rec)
}

// usual is the round trip in the middle of those that are known.
func usual(rec *event.Recording) time.Duration {
	var known []time.Duration
	for _, w := range rec.Ways {
		if w.RTTUS > 0 {
			known = append(known, micros(w.RTTUS))
		}
	}
	for i := range rec.Peers {
		if d := rec.Peers[i].RTTUS; len(rec.Ways) == 0 && d > 0 {
			known = append(known, micros(d))
		}
	}
	if len(known) == 0 {
		return lan
	}
	slices.Sort(known)
	return quantile(known, 0.5)
}

// namesOf lists the peers, for errors.
func namesOf(rec *event.Recording) string {
	const most = 10
	var names []string
	for i := range rec.Peers[:min(len(rec.Peers), most)] {
		names = append(names, nameOf(rec, i))
	}
	text := strings.Join(names, ", ")
	if more := len(rec.Peers) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
