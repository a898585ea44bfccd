package check

import (
	"time"

	"github.com/buildnet/buildnet/sched/steal"
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

// silent reports whether a message may be lost as often in a row as a Lease
// lasts: each time it is sent again after twice as long (see network.Stream).
func (w way) silent() bool {
	wait, again := w.latency+w.jitter, 2*w.latency+4*w.jitter
	for lost := 1 - w.arrives; lost > never; lost *= 1 - w.arrives {
		if wait += again; wait >= steal.Lease-2*steal.BeatEvery {
			return true
		}
		again *= 2
	}
	return false
}

// far reports whether a stream may take longer than a hearing to open, to carry
// Hello there and Join back.
func (w way) far() bool { return 4*w.latency+3*w.jitter >= steal.HearingTime-steal.BeatEvery }
