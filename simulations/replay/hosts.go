package replay

import (
	"cmp"
	"slices"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/setting"
)

// host is a machine on which several recorded peers live, by its name. What
// their steps lacked of a core's time is taken for waiting for its cores: cores
// is how many there must have been that the steps, all those that ran at a time
// having equal parts, came to the time of processors that was measured.
type host struct {
	peers []int
	cores float64
	runs  []run
	// changes are the begins and the ends of the runs, in order.
	changes []change
}

type change struct {
	at int64
	by int
}

// run is a step on a core, in microseconds since the build began.
type run struct {
	step       int
	begun, end int64
	cpu        int64
	// needed is what the run would have taken on cores of its own.
	needed float64
}

const (
	// leastCores is less than anybody is left on a machine.
	leastCores = 0.02
	// halvings find the cores closely enough.
	halvings = 40
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
		h.runs = append(h.runs, run{step: i, begun: end - s.RunUS, end: end, cpu: cpu})
		h.changes = append(h.changes, change{end - s.RunUS, 1}, change{end, -1})
	}
	slices.SortFunc(h.changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
}

// fit looks for the number of cores by halving: with more of them the same runs
// come to more.
func (h *host) fit(rec *event.Recording) {
	want := 0.0
	for _, r := range h.runs {
		want += float64(r.cpu)
	}
	low, high := leastCores, leastCores
	for _, p := range h.peers {
		high += max(float64(rec.Peers[p].Slots), rec.Peers[p].Cores)
	}
	for range halvings {
		middle := (low + high) / 2
		if h.need(middle) < want {
			low = middle
		} else {
			high = middle
		}
	}
	h.cores = high
	h.need(high)
}

// need sets what each run would have needed on cores of its own, if there were
// so many, and returns the sum.
func (h *host) need(cores float64) (sum float64) {
	// done is what one run that went on all the time would have got.
	done, running, last := 0.0, 0, int64(0)
	upTo := make(map[int64]float64, len(h.changes))
	for _, c := range h.changes {
		if running > 0 {
			done += float64(c.at-last) * min(1, cores/float64(running))
		}
		upTo[c.at], last = done, c.at
		running += c.by
	}
	for i := range h.runs {
		r := &h.runs[i]
		r.needed = upTo[r.end] - upTo[r.begun]
		sum += r.needed
	}
	return sum
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
		one := setting.Host{Cores: h.cores}
		for node, peer := range t.of {
			if slices.Contains(h.peers, peer) {
				one.Nodes = append(one.Nodes, node)
			}
		}
		hosts = append(hosts, one)
	}
	return hosts
}
