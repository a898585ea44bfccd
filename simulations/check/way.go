package check

import (
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
)

// way is what lies between two nodes: see network.Config.
type way struct {
	latency, jitter time.Duration
	arrives         float64 // the chance that a packet is not lost
}

func wayOf(s *setting.Setting, a, b int) way {
	c := &s.Network
	if len(c.Site) == 0 {
		return way{arrives: 1}
	}
	from, to := c.Site[a], c.Site[b]
	near, far := &c.Sites[from].Local, &c.Sites[to].Local
	w := way{near.Latency, near.Jitter, 1 - near.Loss}
	if from == to {
		return w
	}
	for i := range c.Routes {
		if r := &c.Routes[i]; min(r.A, r.B) == min(from, to) && max(r.A, r.B) == max(from, to) {
			w = way{
				(near.Latency+far.Latency)/2 + r.Latency, (near.Jitter+far.Jitter)/2 + r.Jitter,
				(1 - near.Loss) * (1 - r.Loss) * (1 - far.Loss),
			}
		}
	}
	return w
}

// never is a chance that a message of any run may be neglected for.
const never = 1e-7

// late reports whether something that takes so long on this way may take longer
// than a time allows, for packets that are lost: each time in a row they are
// sent again later (see network.Stream).
func (w way) late(takes, allowed time.Duration) bool {
	again := 2*w.latency + 4*w.jitter
	for lost := 1.0; lost > never; lost *= 1 - w.arrives {
		if takes >= allowed {
			return true
		}
		takes += again
		again = network.Backoff(again)
	}
	return false
}

// opens is what a stream takes to open, to carry Hello there and Join back.
func (w way) opens() time.Duration { return 4*w.latency + 3*w.jitter }

// trip is what a round trip takes on average.
func (w way) trip() time.Duration { return 2*w.latency + w.jitter }

// silent reports whether a Lease may pass without a beat.
func (w way) silent() bool { return w.late(w.latency+w.jitter, steal.Lease-2*steal.BeatEvery) }

// far reports whether a hearing may pass without a Join.
func (w way) far() bool { return w.late(w.opens(), steal.HearingTime-steal.BeatEvery) }

// fragile reports whether a Lease may pass before a stream that broke stands
// again.
func (w way) fragile() bool {
	return w.late(w.opens()+2*w.latency+w.jitter+steal.Redial, steal.Lease-2*steal.BeatEvery)
}

// anySilent reports whether there are nodes that may not hear each other for a
// Lease although nothing goes wrong.
func anySilent(s *setting.Setting) bool {
	for a := range s.Nodes {
		for b := range a {
			if wayOf(s, a, b).silent() {
				return true
			}
		}
	}
	return false
}
