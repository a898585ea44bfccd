package measure

import (
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// reign is one leader's time in one build.
type reign struct {
	build, node int
	epoch       trace.Epoch
	from, to    time.Duration
	over        bool
	// messages that it sent and took; only who was not killed tells.
	messages int64
	told     bool
}

// reigns are all leaders of a run.
type reigns struct {
	all  []*reign
	open map[int][]*reign // by build, those that are not over
}

func (r *reigns) init() { r.open = map[int][]*reign{} }

func (r *reigns) begin(e *trace.Event) {
	one := &reign{build: e.Build, node: e.Node, epoch: e.Epoch, from: e.At}
	r.all = append(r.all, one)
	r.open[e.Build] = append(r.open[e.Build], one)
}

// close ends the open reigns of a build that match.
func (r *reigns) close(build int, at time.Duration, match func(*reign) bool) {
	kept := r.open[build][:0]
	for _, one := range r.open[build] {
		if match(one) {
			one.to, one.over = at, true
			continue
		}
		kept = append(kept, one)
	}
	r.open[build] = kept
}

func (r *reigns) end(e *trace.Event) {
	r.close(e.Build, e.At, func(one *reign) bool {
		if one.epoch != e.Epoch {
			return false
		}
		one.messages, one.told = e.Value, true
		return true
	})
}

func (r *reigns) endBuild(build int, at time.Duration) {
	r.close(build, at, func(*reign) bool { return true })
}

func (r *reigns) endOf(node int, at time.Duration) {
	for build := range r.open { // each build by itself: the order does not matter
		r.close(build, at, func(one *reign) bool { return one.node == node })
	}
}
