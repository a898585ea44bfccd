package check

import (
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// attempt is a step in the hands of one worker, from its assignment on.
type attempt struct {
	node     int
	epoch    trace.Epoch
	action   uint64
	assigned time.Duration
	began    bool
	beganAt  time.Duration
	ended    bool
	// cut says that its execution was ended early, or its report dropped, at
	// cutAt, when its worker served the leader of served.
	cut    bool
	cutAt  time.Duration
	served trace.Epoch
	// backup says that its leader declared it as a second one.
	backup bool
	// freed says why the step may be given to another since freedAt; it is ""
	// while it may not.
	freed   string
	freedAt time.Duration
}

func (a *attempt) free(now time.Duration, why string) {
	if a.freed == "" {
		a.freed, a.freedAt = why, now
	}
}

// freeAt reports whether the step was free at a time.
func (a *attempt) freeAt(t time.Duration) bool { return a.freed != "" && a.freedAt <= t }

// hands keep who was given which step, in order.
type hands struct {
	attempts map[stepOf][]*attempt
	at       map[int]map[stepOf]bool // by node
	serves   map[place]trace.Epoch
	claimed  map[int]bool // whose owners want all of the machine
}

func newHands() *hands {
	return &hands{attempts: map[stepOf][]*attempt{}, at: map[int]map[stepOf]bool{}, serves: map[place]trace.Epoch{}, claimed: map[int]bool{}}
}

// Observe takes note of an event. It returns the attempt that began to run.
func (h *hands) Observe(e *trace.Event) *attempt {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.Assigned:
		h.attempts[of] = append(h.attempts[of], &attempt{node: e.Peer, epoch: e.Epoch, action: e.Digest, assigned: e.At})
		if h.at[e.Peer] == nil {
			h.at[e.Peer] = map[stepOf]bool{}
		}
		h.at[e.Peer][of] = true
	case trace.Revoked:
		h.free(of, e.Peer, e.At, "it was taken back")
	case trace.Lacked:
		for _, a := range h.attempts[of] {
			a.free(e.At, "its outputs could not be had")
		}
	case trace.Down:
		h.lost(trace.None, e.Node, e.At, "its worker died")
		delete(h.claimed, e.Node)
	case trace.Lent:
		h.claimed[e.Node] = e.Value == 0
	case trace.Logged:
		h.logged(of, e)
	case trace.RunBegan:
		return h.began(of, e)
	case trace.Heard:
		if at := (place{e.Build, e.Node}); !e.Epoch.Less(h.serves[at]) {
			h.serves[at] = e.Epoch
		}
		if e.Text == "End" {
			h.quits(e)
		}
	case trace.Forgot:
		h.quits(e)
	case trace.RunCut:
		if a := h.last(of, e.Node); a != nil {
			h.drop(a, e)
			if h.claimed[e.Node] {
				a.free(e.At, "the owner of its worker wanted the machine back")
			}
		}
	case trace.RunEnded:
		if a := h.last(of, e.Node); a != nil {
			a.ended = true
		}
	}
	return nil
}

// quits drops all that a node has of a build.
func (h *hands) quits(e *trace.Event) {
	for of := range h.at[e.Node] {
		if of.build != e.Build {
			continue
		}
		if a := h.last(of, e.Node); a != nil {
			h.drop(a, e)
		}
	}
}

func (h *hands) drop(a *attempt, e *trace.Event) {
	if !a.cut {
		a.cut, a.cutAt, a.served = true, e.At, h.serves[place{e.Build, e.Node}]
	}
}

// logged takes what a leader says that frees a step.
func (h *hands) logged(of stepOf, e *trace.Event) {
	switch e.Text {
	case trace.OpBackup:
		if a := h.last(of, e.Peer); a != nil {
			a.backup = true
		}
	case trace.OpGone:
		h.lost(e.Build, e.Peer, e.At, "its worker was taken for lost")
	case trace.OpTried:
		h.free(of, e.Peer, e.At, "its try came to nothing")
	case trace.OpReopened:
		for _, a := range h.attempts[of] {
			a.free(e.At, "its result was taken back")
		}
	}
}

// free frees a step that a node has.
func (h *hands) free(of stepOf, node int, now time.Duration, why string) {
	for _, a := range h.attempts[of] {
		if a.node == node {
			a.free(now, why)
		}
	}
}

// lost frees all that a node has, of one build or of all.
func (h *hands) lost(build, node int, now time.Duration, why string) {
	for of := range h.at[node] {
		if build == trace.None || of.build == build {
			h.free(of, node, now, why)
		}
	}
}

// last is the newest attempt of a node at a step.
func (h *hands) last(of stepOf, node int) *attempt {
	for i := len(h.attempts[of]) - 1; i >= 0; i-- {
		if a := h.attempts[of][i]; a.node == node {
			return a
		}
	}
	return nil
}

// began notes that a node runs a step. One that runs what it was given once
// for a second time makes a second attempt of it.
func (h *hands) began(of stepOf, e *trace.Event) *attempt {
	a := h.last(of, e.Node)
	if a == nil || a.began || a.action != e.Digest {
		again := &attempt{node: e.Node, action: e.Digest, assigned: e.At}
		if a != nil {
			again.epoch, again.assigned = a.epoch, a.assigned
		}
		h.attempts[of] = append(h.attempts[of], again)
		a = again
	}
	a.began, a.beganAt = true, e.At
	return a
}
