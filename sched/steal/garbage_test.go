package steal

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// garbage draws messages that a decoder lets through.
type garbage struct {
	t *rapid.T
	w *world
}

func (g garbage) step() Step { return Step(rapid.IntRange(-2, len(g.w.spec.deps)+2).Draw(g.t, "step")) }

func (g garbage) number() uint64 { return rapid.Uint64Range(0, 40).Draw(g.t, "number") }

func (g garbage) text() string { return rapid.SampledFrom([]string{"", "text"}).Draw(g.t, "text") }

func (g garbage) peer() peer.ID {
	return rapid.SampledFrom(append([]peer.ID{"stranger", ""}, g.w.ids...)).Draw(g.t, "peer")
}

// action is often one that is at stake.
func (g garbage) action() digest.Digest {
	if l := g.w.leader(); l != nil && rapid.Bool().Draw(g.t, "right action") {
		if s := g.step(); s >= 0 && int(s) < len(l.leader.tasks) {
			return l.leader.tasks[s].action
		}
	}
	return digestOf("no action", rapid.IntRange(0, 3).Draw(g.t, "action"))
}

func (g garbage) entry() action.Entry {
	return action.Entry{
		Action: g.action(), Executor: g.peer(),
		Result: action.Result{ExitCode: rapid.IntRange(0, 1).Draw(g.t, "exit"), Outputs: []action.Output{{
			Path: fmt.Sprintf("out%04d", g.step()), Kind: action.File, Digest: digestOf(g.text()),
		}}},
	}
}

func (g garbage) done() *Done {
	return &Done{Entry: g.entry(), Peer: g.peer(), How: How(rapid.IntRange(0, 3).Draw(g.t, "how")), Holders: []peer.ID{g.peer()}}
}

func (g garbage) running() (rs []Running) {
	for range rapid.IntRange(0, 4).Draw(g.t, "running") {
		rs = append(rs, Running{Step: g.step(), Action: g.action(), Started: rapid.Bool().Draw(g.t, "started")})
	}
	return rs
}

func (g garbage) toLeader() Message {
	switch rapid.IntRange(0, 20).Draw(g.t, "to leader") {
	case 0:
		return Join{Slots: rapid.IntRange(-1, 4).Draw(g.t, "slots"), OS: g.text(), BPU: -1, Running: g.running()}
	case 1:
		return Want{Seen: g.number(), Free: rapid.IntRange(-1, 1<<30).Draw(g.t, "free")}
	case 2:
		return Started{Step: g.step()}
	case 3:
		e := g.entry()
		return Report{Step: g.step(), Action: e.Action, Entry: &e}
	case 4:
		return Report{Step: g.step(), Action: g.action(), Failure: Failure{Kind: FailureKind(g.number()), Text: g.text()}}
	case 5:
		return Return{Step: g.step(), Taken: rapid.Bool().Draw(g.t, "taken")}
	case 6:
		return Ack{Index: g.number()}
	case 7:
		return Known{Step: g.step(), Done: *g.done(), Secured: rapid.Bool().Draw(g.t, "secured"), Failed: g.text()}
	case 8:
		return Secured{Step: g.step(), Action: g.action()}
	case 9:
		return Unsecured{Step: g.step(), Action: g.action(), Text: g.text()}
	case 10:
		return Follow{}
	case 11:
		return Progress{Step: g.step(), Percent: rapid.IntRange(-1, 101).Draw(g.t, "percent")}
	case 12:
		return Toll{Step: g.step(), Began: []peer.ID{g.peer(), g.peer()}, Fallen: []peer.ID{g.peer()}}
	case 13:
		return Decline{Text: g.text()}
	case 14:
		return Occupied{Build: "b", Initiator: g.peer()}
	case 15:
		return Status{Slots: -1, Busy: 1 << 30, Running: []Step{g.step()}, Share: -1}
	case 16:
		return Add{First: g.step(), Steps: g.steps()}
	case 17:
		return Drop{Step: g.step()}
	case 18:
		return Shut{}
	case 19:
		return Tools{Toolchains: []string{g.text()}}
	default:
		return Refuse{Epoch: Epoch{Number: 1, Leader: g.peer()}}
	}
}

func (g garbage) op() Op {
	op := Op{Kind: OpKind(rapid.IntRange(0, int(OpShut)+1).Draw(g.t, "op")), Step: g.step(), Peer: g.peer(), Peers: []peer.ID{g.peer()}, Text: g.text()}
	if rapid.Bool().Draw(g.t, "with a result") {
		op.Done = g.done()
	}
	op.Steps = g.steps()
	return op
}

// steps are sometimes those that are added next.
func (g garbage) steps() (steps []action.Step) {
	if rapid.Bool().Draw(g.t, "right steps") {
		return g.w.steps[:min(len(g.w.steps), rapid.IntRange(0, 2).Draw(g.t, "steps"))]
	}
	for i := range rapid.IntRange(0, 2).Draw(g.t, "steps") {
		steps = append(steps, g.w.flat(i, func(s *action.Step) { s.Rank = rapid.Float64Range(0, 9).Draw(g.t, "rank") }))
	}
	return steps
}

func (g garbage) toMember() Message {
	switch rapid.IntRange(0, 8).Draw(g.t, "to member") {
	case 0:
		return Hello{Initiator: g.peer(), Specs: []Spec{{}}, Have: []byte{255}, Steps: int(g.number())}
	case 1:
		return Append{First: g.number(), Ops: []Op{g.op(), g.op()}, Commit: g.number()}
	case 2:
		return Assign{Step: g.step(), Action: g.action()}
	case 3:
		return Revoke{Step: g.step()}
	case 4:
		return Confirm{Step: g.step(), Action: g.action()}
	case 5:
		return Beat{Commit: g.number(), Calm: rapid.Bool().Draw(g.t, "calm")}
	case 6:
		return Tidings{
			Placements: []Placement{{Step: g.step(), Peer: g.peer()}}, Advances: []Advance{{Step: g.step(), Peer: g.peer(), Percent: 101}},
			Statuses: []PeerStatus{{Peer: g.peer(), Status: Status{Running: []Step{g.step(), g.step()}}}},
		}
	case 7:
		return Ask{Specs: make([]Spec, g.number())}
	default:
		return End{Reason: Reason(g.number())}
	}
}

// TestNoMessageStopsAMachine says what only has to be survived: a member, or a
// leader, that says anything at any time.
func TestNoMessageStopsAMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, specs(t))
		w.ledger.lenient = true
		g := garbage{t: t, w: w}
		for range rapid.IntRange(1, 40).Draw(t, "messages") {
			w.pass(time.Duration(rapid.IntRange(0, 200).Draw(t, "after ms")) * time.Millisecond)
			n := w.nodes[w.ids[rapid.IntRange(0, len(w.ids)-1).Draw(t, "node")]]
			if l := w.leader(); l != nil && rapid.Bool().Draw(t, "at the leader") {
				l.do(l.leader.Receive(w.now, n.id, g.toLeader()))
				continue
			}
			e := Epoch{Number: rapid.Uint64Range(0, 3).Draw(t, "epoch"), Leader: g.peer()}
			if l := w.leader(); l != nil && rapid.IntRange(0, 3).Draw(t, "true epoch") > 0 {
				e = l.epoch
			}
			msg := g.toMember()
			if n.hand != nil {
				n.doHand(n.hand.Receive(w.now, e, msg))
			}
			if n.keeper != nil {
				n.doKeeper(n.keeper.Receive(w.now, e, msg))
			}
			if n.origin != nil {
				n.doOrigin(n.origin.Receive(w.now, e, msg))
			}
		}
	})
}

func TestAForgedLogIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, specs(t))
		g := garbage{t: t, w: w}
		var log []Op
		for range rapid.IntRange(0, 30).Draw(t, "ops") {
			log = append(log, g.op())
		}
		l, err := NewLeader(LeaderOptions{Self: "peer0", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer0"}, Plan: w.plan, Log: log})
		if err == nil {
			l.Tick(w.now)
		}
	})
}
