package steal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

func origin(deps [][]int, candidates ...int) (*world, *Origin) {
	w := &world{spec: spec{deps: deps, candidates: candidates}, ids: nil}
	w.ids = append(w.ids, "peer0", "peer1", "peer2")
	return w, NewOrigin(OriginOptions{Self: "peer0", Plan: w.makePlan(), PlanDigest: digestOf("plan")})
}

func TestOriginAsksCandidatesAndThenLeadsItself(t *testing.T) {
	_, o := origin(chain(1), 1, 2, 0)
	out := o.Tick(start)
	one := Epoch{Number: 1, Leader: "peer1"}
	expect(t, "asks", out.Leads, []Asking{{Epoch: one, Lead: Lead{Plan: digestOf("plan")}}})
	expect(t, "asks the next one when it cannot be reached", o.Unled(start, one).Leads[0].Epoch, Epoch{Number: 2, Leader: "peer2"})
	if out := o.Tick(start.Add(LeadTime - 1)); len(out.Leads) > 0 || out.TakeOver != nil {
		t.Error("it does not wait")
	}
	out = o.Tick(start.Add(LeadTime))
	expect(t, "leads itself", out.TakeOver, &TakeOver{Epoch: Epoch{Number: 3, Leader: "peer0"}, Initiator: "peer0", Plan: digestOf("plan")})
	expect(t, "refuses who comes late", o.Receive(start.Add(LeadTime), one, Hello{}).Replies,
		[]Reply{{To: one, Msg: Refuse{Epoch: out.TakeOver.Epoch}}})
}

func TestOriginGivesUpWhenItCannotLeadItself(t *testing.T) {
	_, o := origin(chain(1), 0)
	at, reigns := start, 0
	for range 2 * maxOwn {
		out := o.Tick(at)
		if out.TakeOver != nil {
			reigns++
		}
		if out.Over {
			expect(t, "outcome", out.Outcome, Cancelled)
			expect(t, "reigns", reigns, maxOwn)
			return
		}
		at = at.Add(LeadTime)
	}
	t.Error("it never ends")
}

func TestOriginTellsANewLeaderWhatItDecided(t *testing.T) {
	_, o := origin([][]int{{}, {0}, {}, {}}, 1)
	o.Tick(start)
	one := Epoch{Number: 1, Leader: "peer1"}
	expect(t, "a first leader has nothing to learn", said(o.Receive(start, one, Hello{}).Replies), []Message{Follow{}})
	g := garbageDone
	done := []*Done{g(0), g(1), g(2)}
	out := o.Receive(start, one, Append{First: 1, Commit: 5, Ops: []Op{
		{Kind: OpStandbys}, {Kind: OpDone, Step: 0, Done: done[0]}, {Kind: OpDone, Step: 1, Done: done[1]},
		{Kind: OpDone, Step: 2, Done: done[2]}, {Kind: OpFailed, Step: 3, Text: "why"},
	}})
	expect(t, "what is to be secured", len(out.Secures), 3)
	expect(t, "above before below", kinds(o.Brought(start, 1, 1, "")), []EventKind(nil))
	expect(t, "below", kinds(o.Brought(start, 0, 1, "")), []EventKind{Announced, Announced})
	expect(t, "again", kinds(o.Brought(start, 0, 1, "")), []EventKind(nil))

	o.Closed(start, one)
	two := Epoch{Number: 2, Leader: "peer2"}
	expect(t, "what the next leader is told", said(o.Receive(start, two, Hello{Have: []byte{1}}).Replies), []Message{
		Known{Step: 1, Done: *done[1], Secured: true}, Known{Step: 2, Done: *done[2]}, Known{Step: 3, Failed: "why"}, Follow{},
	})
	other := g(9)
	other.Entry.Result.Outputs[0].Path = "out0000"
	expect(t, "an announced step is defended", said(o.Receive(start, two, Append{First: 1, Ops: []Op{{Kind: OpDone, Step: 0, Done: other}}}).Replies), []Message{
		Known{Step: 0, Done: *done[0], Secured: true}, Ack{Index: 1},
	})
}

func TestOriginKeepsALogUntilTheNextLeaderHasToldItsOwn(t *testing.T) {
	log := []Op{{Kind: OpStandbys}, {Kind: OpLost, Step: 0, Peer: "peer2"}}
	one, two := Epoch{Number: 1, Leader: "peer1"}, Epoch{Number: 2, Leader: "peer2"}
	heir := func(told ...Op) []Op {
		_, o := origin(chain(1), 1)
		o.Tick(start)
		o.Receive(start, one, Hello{})
		o.Receive(start, one, Append{First: 1, Ops: log})
		o.Receive(start, two, Hello{})
		if len(told) > 0 {
			o.Receive(start, two, Append{First: 1, Ops: told})
		}
		for {
			if out := o.Tick(o.Due()); out.TakeOver != nil {
				return out.TakeOver.Log
			}
		}
	}
	expect(t, "it told nothing", heir(), log)
	expect(t, "it did not tell all", heir(Op{Kind: OpTried}), log)
	whole := []Op{log[1], {Kind: OpLost, Step: 0}, {Kind: OpStandbys}}
	expect(t, "it told all", heir(whole...), whole)
}

func TestOriginEndsACancelledBuildAlthoughNobodyAnswers(t *testing.T) {
	_, o := origin(chain(1), 1)
	o.Tick(start)
	o.Cancel(start)
	expect(t, "who comes late hears of it", said(o.Receive(start, Epoch{Number: 1, Leader: "peer1"}, Hello{}).Replies), []Message{Cancel{}})
	out := o.Tick(start.Add(CancelTime))
	if !out.Over || out.Outcome != Cancelled {
		t.Errorf("%+v", out)
	}
}

func kinds(out OriginOutput) (ks []EventKind) {
	for _, e := range out.Events {
		ks = append(ks, e.Kind)
	}
	return ks
}

func garbageDone(s int) *Done {
	d := &Done{Peer: "peer1", How: Executed}
	d.Entry.Action = digestOf(s)
	d.Entry.Result.Outputs = []action.Output{{Path: fmt.Sprintf("out%04d", s), Kind: action.File, Digest: digestOf("output", s)}}
	return d
}

func TestALargeBuild(t *testing.T) {
	s := led(wide(5000))
	s.run, s.slots = time.Millisecond, 16
	w := newWorld(t, s)
	w.ledger.blind = true
	w.finish()
	w.all()
	if !slices.Equal(w.lastElection().Peers, w.ids[2:4]) {
		t.Errorf("elected %+v", w.lastElection())
	}
}

// A successor's log may be behind the initiator's, and come in parts.
func TestOriginSecuresNothingThatWasMadeOfWhatCameOutOtherwise(t *testing.T) {
	_, o := origin(chain(2), 1)
	o.Tick(start)
	first, second := garbageDone(0), garbageDone(0)
	second.Entry.Result.Outputs[0].Digest = digestOf("otherwise")
	stale, made := garbageDone(1), garbageDone(1)
	made.Entry.Action = digestOf("made of the second")
	one, two := Epoch{Number: 1, Leader: "peer1"}, Epoch{Number: 2, Leader: "peer2"}
	o.Receive(start, one, Hello{})
	o.Receive(start, one, Append{First: 1, Ops: []Op{{Kind: OpStandbys}, {Kind: OpDone, Step: 0, Done: first}, {Kind: OpDone, Step: 1, Done: stale}}})
	o.Brought(start, 0, 1, "a disk that fails")
	o.Receive(start, one, Append{First: 4, Ops: []Op{{Kind: OpReopened, Step: 0}, {Kind: OpReopened, Step: 1}, {Kind: OpDone, Step: 0, Done: second}}})
	expect(t, "secured", said(o.Brought(start, 0, 3, "").Replies), []Message{Secured{Step: 0, Action: second.Entry.Action}})

	o.Receive(start, two, Hello{})
	late := o.Receive(start, two, Append{First: 1, Ops: []Op{
		{Kind: OpDone, Step: 0, Done: first}, {Kind: OpReopened, Step: 0}, {Kind: OpDone, Step: 1, Done: stale}, {Kind: OpStandbys},
	}})
	expect(t, "what the log says of step 1 is brought", len(late.Secures), 1)
	expect(t, "and not secured", len(o.Brought(start, 1, late.Secures[0].Attempt, "").Replies), 0)
	expect(t, "nor later", said(o.Receive(start, two, Append{First: 5, Ops: []Op{{Kind: OpReopened, Step: 1}, {Kind: OpDone, Step: 0, Done: second}}}).Replies),
		[]Message{Secured{Step: 0, Action: second.Entry.Action}, Ack{Index: 6}})
	good := o.Receive(start, two, Append{First: 7, Ops: []Op{{Kind: OpDone, Step: 1, Done: made}}})
	expect(t, "its second run is", said(o.Brought(start, 1, good.Secures[0].Attempt, "").Replies), []Message{Secured{Step: 1, Action: made.Entry.Action}})
}

// What waits for it is secured when a successor's log says again what is here.
func TestOriginSecuresWhatIsHereWhenTheLogAgrees(t *testing.T) {
	_, o := origin(chain(2), 1)
	o.Tick(start)
	below, above := garbageDone(0), garbageDone(1)
	one, two := Epoch{Number: 1, Leader: "peer1"}, Epoch{Number: 2, Leader: "peer2"}
	o.Receive(start, one, Hello{})
	o.Receive(start, one, Append{First: 1, Ops: []Op{{Kind: OpStandbys}, {Kind: OpDone, Step: 0, Done: below}, {Kind: OpDone, Step: 1, Done: above}}})
	o.Brought(start, 0, 1, "")
	o.Receive(start, two, Hello{})
	o.Receive(start, two, Append{First: 1, Ops: []Op{{Kind: OpDone, Step: 1, Done: above}, {Kind: OpStandbys}}})
	expect(t, "not before", len(o.Brought(start, 1, 1, "").Replies), 0)
	expect(t, "then", said(o.Receive(start, two, Append{First: 3, Ops: []Op{{Kind: OpDone, Step: 0, Done: below}}}).Replies), []Message{
		Secured{Step: 0, Action: below.Entry.Action}, Secured{Step: 1, Action: above.Entry.Action}, Ack{Index: 3},
	})
}
