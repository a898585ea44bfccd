package steal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

var broken = Failure{Kind: Broken, Text: "it broke"}

// quarantined is a build in which three steps failed on peer2 that others could
// do, and which gets nothing for that.
func quarantined(t *testing.T, chance func() float64) *paper {
	r := rule(t, 40, 3)
	r.l.opts.Chance = chance
	for range maxStrikes {
		r.wants(1, "peer2")
		s := r.starts("peer2")
		r.reports("peer2", s, broken)
		r.passes(200 * time.Millisecond)
		for r.l.tasks[s].phase != Finished {
			r.wants(1, "peer0")
			r.reports("peer0", r.starts("peer0"), Failure{})
		}
	}
	expect(t, "quarantined", r.logged(OpQuarantined), 1)
	r.wants(2, "peer2")
	expect(t, "gets", len(r.given["peer2"]), 0)
	return r
}

func TestAMemberThatFailsIsTriedWithOneStepAfterAWhile(t *testing.T) {
	r := quarantined(t, nil)
	r.passes(firstQuarantine - 100*time.Millisecond)
	expect(t, "gets nothing yet", len(r.given["peer2"]), 0)
	r.passes(200 * time.Millisecond)
	expect(t, "is tried with one", len(r.given["peer2"]), 1)
	r.reports("peer2", r.starts("peer2"), Failure{})
	expect(t, "trusted", r.logged(OpTrusted), 1)
	r.wants(2, "peer2")
	if len(r.given["peer2"]) == 0 {
		t.Error("it gets nothing")
	}
}

func TestEachQuarantineIsTwiceAsLong(t *testing.T) {
	r := quarantined(t, nil)
	r.passes(firstQuarantine + 100*time.Millisecond)
	r.reports("peer2", r.starts("peer2"), broken)
	expect(t, "quarantined again", r.logged(OpQuarantined), 2)
	r.wants(1, "peer2")
	r.passes(2*firstQuarantine - 100*time.Millisecond)
	expect(t, "gets nothing yet", len(r.given["peer2"]), 0)
	r.passes(300 * time.Millisecond)
	expect(t, "is tried", len(r.given["peer2"]), 1)
}

func TestQuarantineIsSpreadByChance(t *testing.T) {
	r := quarantined(t, func() float64 { return 0.5 })
	r.passes(firstQuarantine)
	expect(t, "gets nothing yet", len(r.given["peer2"]), 0)
	r.passes(firstQuarantine/4 + 100*time.Millisecond)
	expect(t, "is tried", len(r.given["peer2"]), 1)
}

// What a member cannot do another is given at once, and nothing is made of it.
func TestAMemberThatIsUnableIsNotToBlame(t *testing.T) {
	r := rule(t, 40, 3)
	r.wants(1, "peer2")
	for range 2 * maxStrikes {
		s := r.starts("peer2")
		r.reports("peer2", s, Failure{Kind: Unable, Text: "its files lie in the home of this node"})
		expect(t, "given to it again", slices.Contains(r.given["peer2"], s), false)
		for !slices.Contains(r.given["peer0"], s) {
			if len(r.given["peer0"]) > 0 {
				r.reports("peer0", r.starts("peer0"), Failure{})
			}
			r.wants(1, "peer0")
			if len(r.given["peer0"]) == 0 {
				t.Fatalf("step %d is given to nobody at once", s)
			}
		}
		r.reports("peer0", s, Failure{})
		r.wants(1, "peer2")
	}
	expect(t, "quarantined", r.logged(OpQuarantined), 0)
	expect(t, "doubts", r.l.crew["peer2"].breaker.doubts(r.now), 0)
}

func TestASuspicionKeepsWorkFromAMemberForAWhile(t *testing.T) {
	r := rule(t, 40, 3)
	for range maxStrikes { // and nobody else asks for work
		r.wants(1, "peer2")
		r.reports("peer2", r.starts("peer2"), broken)
	}
	r.wants(1, "peer2")
	r.passes(strikeWindow - BeatEvery)
	expect(t, "gets nothing", len(r.given["peer2"]), 0)
	r.passes(2 * BeatEvery)
	expect(t, "gets something", len(r.given["peer2"]), 1)
}

func TestAStepDoesNotWaitForWhoIsGivenNothing(t *testing.T) {
	r := rule(t, 40, 3)
	for range maxStrikes {
		r.wants(1, "peer2")
		r.reports("peer2", r.starts("peer2"), broken)
	}
	r.passes(200 * time.Millisecond)
	s := r.l.queued[0][0]
	r.l.tasks[s].avoid = []peer.ID{"peer0", "peer1"}
	round := r.l.newRound(r.l.needOf[s])
	expect(t, "one on which it went wrong may have it", round.may(s, r.l.crew["peer1"]), true)
	r.hears("peer0", Resize{})
	r.hears("peer1", Resize{})
	round = r.l.newRound(r.l.needOf[s])
	expect(t, "unless nobody else is left", round.others(s), true)
}

func TestAStepWaitsForAShortBarToEnd(t *testing.T) {
	r := rule(t, 40, 3)
	r.wants(1, "peer1")
	r.reports("peer1", r.starts("peer1"), broken)
	r.passes(200 * time.Millisecond)
	s := r.l.queued[0][0]
	r.l.tasks[s].avoid = []peer.ID{"peer0", "peer1"}
	r.l.bar(r.l.crew["peer2"], "for a test")
	may := func() bool { return r.l.newRound(r.l.needOf[s]).may(s, r.l.crew["peer1"]) }
	expect(t, "it goes back at once", may(), false)
	r.l.crew["peer2"].breaker.until = r.now.Add(shortBar + 1)
	expect(t, "it goes back when the other one is barred for long", may(), true)
	notes := r.logged(OpNote)
	r.wants(1, "peer1")
	expect(t, "and that is said", r.logged(OpNote), notes+1)
}

func TestWhatFailsElsewhereTooIsNobodysFault(t *testing.T) {
	r := rule(t, 40, 3)
	for range maxStrikes {
		r.wants(1, "peer2")
		s := r.starts("peer2")
		r.reports("peer2", s, broken)
		r.passes(200 * time.Millisecond)
		for got := s + 1; got != s; {
			r.wants(1, "peer1")
			if got = r.starts("peer1"); got == s {
				r.reports("peer1", s, broken)
			} else {
				r.reports("peer1", got, Failure{})
			}
		}
		r.passes(time.Second)
		for r.l.tasks[s].phase != Finished {
			r.wants(1, "peer0")
			r.reports("peer0", r.starts("peer0"), Failure{})
		}
	}
	expect(t, "quarantined", r.logged(OpQuarantined), 0)
}

func TestASuccessorTriesWhomAnEarlierLeaderBarred(t *testing.T) {
	r := quarantined(t, nil)
	next, err := NewLeader(LeaderOptions{
		Self: "peer0", Initiator: "peer0", Epoch: Epoch{Number: 2, Leader: "peer0"}, Plan: r.l.opts.Plan, Log: r.l.log, Members: r.l.opts.Members,
	})
	if err != nil {
		t.Fatal(err)
	}
	next.Tick(r.now)
	expect(t, "trust", next.trusts(next.crew["peer2"]), Tried)
	expect(t, "of another", next.trusts(next.crew["peer1"]), Trusted)
}

func TestIfNobodyIsTrustedAllAre(t *testing.T) {
	r := quarantined(t, nil)
	r.hears("peer0", Resize{})
	r.hears("peer1", Resize{})
	r.wants(2, "peer2")
	expect(t, "gets one at a time", len(r.given["peer2"]), 1)
}

// lose has members die, one after the other.
func (r *paper) lose(ids ...peer.ID) {
	for _, id := range ids {
		r.do(r.l.Closed(r.now, id))
	}
	r.passes(CalmLease + 200*time.Millisecond)
}

func TestWhoLostHalfIsConservative(t *testing.T) {
	r := rule(t, 40, 5)
	since := r.now
	for id, m := range r.l.known {
		m.Since = since.Add(-time.Hour)
		r.l.known[id] = m
	}
	r.lose("peer3")
	expect(t, "after one of four", r.l.record.Mode, Whole)
	r.lose("peer4")
	expect(t, "after two", r.l.record.Mode, Conservative)
	expect(t, "lost", r.l.record.Missing, []peer.ID{"peer3", "peer4"})
	r.hears("peer4", Join{Slots: 1, BPU: 1}) // it is Gone: nobody hears it
	r.do(r.l.Opened(r.now, "peer4"))
	r.hears("peer4", Join{Slots: 1, BPU: 1})
	r.do(r.l.Tick(r.now))
	expect(t, "when one is back", r.l.record.Mode, Whole)
}

func TestWhoLostAllGoesOnAlone(t *testing.T) {
	r := rule(t, 40, 3)
	r.lose("peer1", "peer2")
	expect(t, "mode", r.l.record.Mode, Alone)
	r.wants(1, "peer0")
	expect(t, "the initiator has", len(r.given["peer0"]), 1)
}

func TestOnlyLongStandingMembersGetWorkInAConservativeBuild(t *testing.T) {
	r := rule(t, 40, 4)
	for id, m := range r.l.known {
		m.Since = r.now.Add(-time.Hour)
		if id == "peer2" {
			m.Since = r.now
		}
		r.l.known[id] = m
	}
	r.l.append(Op{Kind: OpMode, Text: Conservative.String()})
	r.wants(1, "peer2")
	expect(t, "the newcomer has", len(r.given["peer2"]), 0)
	r.wants(1, "peer3")
	expect(t, "the other has", len(r.given["peer3"]), 1)
}

func TestTheLogKnowsModesAndTrust(t *testing.T) {
	w, _ := origin(chain(1))
	rec := NewRecord(w.makePlan())
	if err := rec.Apply(Op{Kind: OpMode, Text: "brave"}); err == nil {
		t.Error("there is no such mode")
	}
	for m := Whole; m <= Alone; m++ {
		if err := rec.Apply(Op{Kind: OpMode, Text: m.String()}); err != nil || rec.Mode != m {
			t.Errorf("%v: %v, %v", m, rec.Mode, err)
		}
	}
	for range 2 {
		if err := rec.Apply(Op{Kind: OpQuarantined, Peer: "peer1"}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "quarantined", rec.Quarantined, []peer.ID{"peer1"})
	if err := rec.Apply(Op{Kind: OpTrusted, Peer: "peer1"}); err != nil || len(rec.Quarantined) > 0 {
		t.Errorf("%v, %v", rec.Quarantined, err)
	}
}

func TestALogThatNamesCrowdsComesToABoundedRecord(t *testing.T) {
	w, _ := origin(chain(1))
	rec := NewRecord(w.makePlan())
	for i := range 2 * maxNames {
		for _, kind := range []OpKind{OpQuarantined, OpStarted} {
			if err := rec.Apply(Op{Kind: kind, Step: 0, Peer: peer.ID(fmt.Sprint(i))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect(t, "quarantined", len(rec.Quarantined), maxNames)
	expect(t, "began", len(rec.Steps[0].Began), maxNames)
}
