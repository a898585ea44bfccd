package simulations

import (
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/trace"
)

// tell is the one place where events come from: they are hashed, judged, and
// passed on.
func (w *World) tell(e trace.Event) {
	if w.violation != nil {
		return // the run has ended within this step
	}
	e.At = w.clock.now
	w.hash.Observe(&e)
	w.recent.Observe(&e)
	for _, r := range w.opts.Rules {
		if text := r.Observe(w, &e); text != "" {
			w.violate(check.Violation{Rule: r.Name(), Text: text})
			break
		}
	}
	for _, s := range w.opts.Sinks {
		s.Observe(&e)
	}
}

func (w *World) violate(v check.Violation) {
	if w.violation == nil {
		w.violation = &v
	}
}

// settle asks the rules what is wrong at the end.
func (w *World) settle() {
	for _, r := range w.opts.Rules {
		if w.violation != nil {
			return
		}
		if text := r.Settle(w); text != "" {
			w.violate(check.Violation{Rule: r.Name(), Text: text})
		}
	}
}

// of begins an event of a node in no build.
func (n *node) of(k trace.Kind) trace.Event {
	return trace.Event{Kind: k, Node: n.place, Peer: trace.None, Build: trace.None, Step: trace.None}
}

// of begins an event of a build.
func (b *build) of(k trace.Kind, on *node) trace.Event {
	return trace.Event{Kind: k, Node: on.place, Peer: trace.None, Build: b.place, Step: trace.None}
}

func epochOf(e steal.Epoch) trace.Epoch {
	if e.Leader == "" {
		return trace.Epoch{Number: e.Number, Leader: trace.None}
	}
	return trace.Epoch{Number: e.Number, Leader: placeOf(e.Leader)}
}

func peerOf(id peer.ID) int {
	if id == "" {
		return trace.None
	}
	return placeOf(id)
}

// nameOf is the name of a leader's message.
func nameOf(m steal.Message) string {
	switch m.(type) {
	case steal.Hello:
		return "Hello"
	case steal.Append:
		return "Append"
	case steal.Beat:
		return "Beat"
	case steal.Assign:
		return "Assign"
	case steal.Revoke:
		return "Revoke"
	case steal.Recall:
		return "Recall"
	case steal.Confirm:
		return "Confirm"
	case steal.End:
		return "End"
	case steal.Ask:
		return "Ask"
	default:
		return "another"
	}
}

var opNames = [...]string{
	steal.OpStandbys: "standbys", steal.OpStarted: "started", steal.OpDone: "done", steal.OpTried: "tried",
	steal.OpLost: "lost", steal.OpGone: "gone", steal.OpReopened: "reopened", steal.OpSecured: "secured",
	steal.OpFailed: "failed", steal.OpNote: "note", steal.OpEnded: "ended",
	steal.OpStopped: "stopped", steal.OpBackup: "backup", steal.OpMode: "mode", steal.OpQuarantined: "quarantined",
	steal.OpTrusted: "trusted",
	steal.OpHeir:    "heir", steal.OpReady: "ready", steal.OpHeld: "held",
	steal.OpAdded: "added", steal.OpShut: "shut",
}
