package measure

import (
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// running names an execution: a node has a step of a build at most once.
type running struct{ node, build, step int }

// made is an action in a gossip group.
type made struct {
	cell   int
	action uint64
}

// work adds up executions.
type work struct {
	begun map[running]time.Duration
	// done are the actions that were executed and ended well.
	done  map[made]bool
	speed map[int]float64 // of slow nodes

	executed, cut, again       int
	useful, cutWork, againWork float64 // BPU-seconds
}

func (w *work) init() {
	w.begun, w.done, w.speed = map[running]time.Duration{}, map[made]bool{}, map[int]float64{}
}

func (w *work) slowed(node int, speed float64) { w.speed[node] = speed }

// begin reports whether the execution is a new one.
func (w *work) begin(e *trace.Event) bool {
	key := running{e.Node, e.Build, e.Step}
	_, twice := w.begun[key]
	w.begun[key] = e.At
	return !twice
}

// end reports whether the execution had begun. cost is what the step takes in
// all, in BPU-seconds.
func (w *work) end(e *trace.Event, on *setting.Node, cost float64) bool {
	key := running{e.Node, e.Build, e.Step}
	began, ok := w.begun[key]
	if !ok {
		return false
	}
	delete(w.begun, key)
	action := made{on.Cell, e.Digest}
	switch {
	case e.Kind == trace.RunCut:
		bpu := on.BPU
		if speed, slow := w.speed[e.Node]; slow {
			bpu *= speed
		}
		w.cut++
		w.cutWork += min(cost, (e.At-began).Seconds()*bpu)
	case w.done[action]:
		w.again++
		w.againWork += cost
	default:
		w.executed++
		w.useful += cost
		if e.Value == 0 {
			w.done[action] = true
		}
	}
	return true
}
