package replay

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/setting"
)

// host is a machine on which several recorded peers live, by its name. What
// their steps lacked of a core's time is taken for waiting for its cores. How
// many these must have been, and how much less a step got that ran for another
// peer than one of the initiator's own, is what brings the steps to the time of
// processors that was measured of both.
type host struct {
	setting.Host // without nodes
	peers        []int
	runs         []run
	// changes are the begins and the ends of the runs, in order.
	changes []change
}

type change struct {
	at  int64
	run int
	by  int
}

// run is a step on a core, in microseconds since the build began.
type run struct {
	step       int
	begun, end int64
	cpu        float64
	// lent runs are on other peers than the initiator.
	lent bool
	// needed is what the run would have taken on a core of its own.
	needed float64
}

const (
	// leastCores is less than anybody is left on a machine.
	leastCores = 0.02
	// leastLent is less than the kernel lets any step have beside another, and
	// usualLent what steps for others weigh beside the own (docs/scheduling.md).
	leastLent = 0.002
	usualLent = 0.1
	// halvings find the cores closely enough, and what is lent.
	halvings = 30
)

// hostsOf finds the hosts and how busy they were.
func hostsOf(rec *event.Recording) []*host {
	var hosts []*host
	at := map[string]*host{}
	for i := range rec.Peers {
		name := rec.Peers[i].Name
		if name == "" {
			continue
		}
		if at[name] == nil {
			at[name] = &host{}
			hosts = append(hosts, at[name])
		}
		at[name].peers = append(at[name].peers, i)
		// What peers measured of the same cores differs by chance, and by what went
		// on beside, which makes it less, never more.
		at[name].BPU = max(at[name].BPU, bpuOf(&rec.Peers[i]))
	}
	hosts = slices.DeleteFunc(hosts, func(h *host) bool { return len(h.peers) < 2 })
	for _, h := range hosts {
		h.collect(rec)
		h.fit(rec)
	}
	return hosts
}

func (h *host) collect(rec *event.Recording) {
	for i := range rec.Steps {
		s := &rec.Steps[i]
		if !slices.Contains(h.peers, s.Peer) || s.RunUS <= 0 {
			continue
		}
		cpu := min(s.CPUUS, s.RunUS)
		if cpu <= 0 {
			cpu = s.RunUS // not every system tells it
		}
		end := s.FinishedUS - s.SecureUS - s.UploadUS
		h.changes = append(h.changes, change{end - s.RunUS, len(h.runs), 1}, change{end, len(h.runs), -1})
		h.runs = append(h.runs, run{step: i, begun: end - s.RunUS, end: end, cpu: float64(cpu), lent: s.Peer != 0})
	}
	slices.SortFunc(h.changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by), cmp.Compare(a.run, b.run))
	})
}

// fit looks for what is lent and for the number of cores, by halving: with more
// of the one, steps for other peers come to more, with more of the other all do.
func (h *host) fit(rec *event.Recording) {
	var own, lent float64
	for _, r := range h.runs {
		if r.lent {
			lent += r.cpu
		} else {
			own += r.cpu
		}
	}
	if h.Lent = usualLent; own > 0 && lent > 0 {
		h.Lent = halve(leastLent, 1, func(part float64) bool {
			h.Lent = part
			h.Cores = h.coresFor(rec, own+lent)
			_, got := h.need()
			return got < lent
		})
	}
	h.Cores = h.coresFor(rec, own+lent)
	h.need()
}

// coresFor are as many as bring the runs to a sum.
func (h *host) coresFor(rec *event.Recording, sum float64) float64 {
	most := leastCores
	for _, p := range h.peers {
		most += max(float64(rec.Peers[p].Slots), rec.Peers[p].Cores)
	}
	return halve(leastCores, most, func(cores float64) bool {
		h.Cores = cores
		own, lent := h.need()
		return own+lent < sum
	})
}

// halve returns the least value between two that is not too little.
func halve(low, high float64, little func(float64) bool) float64 {
	for range halvings {
		if middle := (low + high) / 2; little(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// need sets what each run would have needed on a core of its own, if the host
// were as it is now, and returns the sums of the initiator's runs and of others'.
func (h *host) need() (own, lent float64) {
	// done is what a run of the initiator that went on all the time would have
	// got, and one of others.
	var done [2]float64
	var running [2]int
	last := int64(0)
	for _, c := range h.changes {
		each, part := h.Shares(running[0], running[1])
		done[0] += float64(c.at-last) * each
		done[1] += float64(c.at-last) * part
		last = c.at
		r, kind := &h.runs[c.run], 0
		if r.lent {
			kind = 1
		}
		running[kind] += c.by
		if c.by > 0 {
			r.needed = -done[kind]
			continue
		}
		r.needed += done[kind]
		if r.lent {
			lent += r.needed
		} else {
			own += r.needed
		}
	}
	return own, lent
}

// costs are the run times of steps on cores of their own, in seconds, where
// that is not what was measured.
func costs(hosts []*host) map[int]float64 {
	own := map[int]float64{}
	for _, h := range hosts {
		for _, r := range h.runs {
			own[r.step] = r.needed / 1e6
		}
	}
	return own
}

// hosts are those of the nodes that are left.
func (t *town) hosts(recorded []*host) []setting.Host {
	var hosts []setting.Host
	for _, h := range recorded {
		one := h.Host
		for node, peer := range t.of {
			if slices.Contains(h.peers, peer) {
				one.Nodes = append(one.Nodes, node)
			}
		}
		hosts = append(hosts, one)
	}
	return hosts
}

// speeds are the peers' cores, in BPU.
func speeds(rec *event.Recording, hosts []*host) []float64 {
	bpu := make([]float64, len(rec.Peers))
	for i := range rec.Peers {
		bpu[i] = bpuOf(&rec.Peers[i])
	}
	for _, h := range hosts {
		for _, p := range h.peers {
			bpu[p] = h.BPU
		}
	}
	return bpu
}

// bpuOf is what a peer says of its speed, 1 where it is not known.
func bpuOf(p *event.RecordedPeer) float64 {
	if p.BPU > 0 {
		return p.BPU
	}
	return 1
}
