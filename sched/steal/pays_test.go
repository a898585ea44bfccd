package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// beside is a build of steps of half a BPU-second, led by the initiator, which has
// one slot, beside a member with two slots that is a round trip away.
func beside(t *testing.T, steps int, rtt time.Duration, more ...func(*Plan)) *paper {
	w, _ := origin(wide(steps - 1))
	plan := w.makePlan()
	for i := range plan.Graph.Steps() {
		plan.Graph.Steps()[i].Cost = 0.5
	}
	for _, f := range more {
		f(plan)
	}
	r := &paper{t: t, now: start, given: map[peer.ID][]Step{}}
	var err error
	r.l, err = NewLeader(LeaderOptions{
		Self: "peer0", Initiator: "peer0", Epoch: Epoch{Number: 1, Leader: "peer0"}, Plan: plan,
		Members: []peer.Member{{ID: "peer0"}, {ID: "peer1", RTT: rtt}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.do(r.l.Tick(r.now))
	for i, id := range []peer.ID{"peer0", "peer1"} {
		r.do(r.l.Opened(r.now, id))
		r.hears(id, Join{Slots: 1 + i, BPU: 1})
	}
	r.hears("peer0", Follow{})
	return r
}

// does has a member run the first step that it has, and the initiator bring its
// outputs to itself after a while.
func (r *paper) does(id peer.ID, arrival, home time.Duration) Step {
	r.t.Helper()
	r.passes(arrival)
	s := r.starts(id)
	r.passes(500 * time.Millisecond)
	r.reports(id, s, Failure{})
	r.passes(home)
	r.hears("peer0", Secured{Step: s, Action: garbageDone(int(s)).Entry.Action})
	return s
}

func (r *paper) choiceOf(s Step) Choice {
	r.t.Helper()
	d := r.l.record.Steps[s].Done
	if d == nil || d.Choice == nil {
		r.t.Fatalf("nothing was chosen for step %d", s)
	}
	return *d.Choice
}

func TestADistantMemberGetsOneStepUntilThatIsBack(t *testing.T) {
	for _, c := range []struct {
		rtt   time.Duration
		gets  int
		after int // when that was quick
	}{{100 * time.Microsecond, 2, 2}, {20 * time.Millisecond, 1, 2}} {
		r := beside(t, 40, c.rtt)
		r.wants(2, "peer0", "peer1")
		if got := len(r.given["peer1"]); got != c.gets {
			t.Errorf("%v away: got %d steps, want %d", c.rtt, got, c.gets)
		}
		s := r.does("peer1", 100*time.Millisecond, 100*time.Millisecond)
		if got := r.choiceOf(s); got.Why != Sent || got.Peer != "peer1" || got.Came < 500*time.Millisecond {
			t.Errorf("%v away: what was sent is told as %+v", c.rtt, got)
		}
		r.wants(2, "peer1")
		if got := len(r.given["peer1"]); got < c.after-1 {
			t.Errorf("%v away: gets %d steps when the first came back soon", c.rtt, got)
		}
	}
}

// disappointed knows that outputs take ten seconds from peer1.
func disappointed(t *testing.T) *paper {
	r := beside(t, 10, 20*time.Millisecond)
	m := r.l.crew["peer1"]
	m.arrival, m.line.homing = 20*time.Millisecond, 10*time.Second
	r.wants(2, "peer1")
	r.wants(1, "peer0")
	return r
}

func TestAMemberThatBringsOutputsLateGetsNothingButATry(t *testing.T) {
	r := disappointed(t)
	if got := len(r.given["peer1"]); got != 0 {
		t.Fatalf("gets %d steps, though outputs take ten seconds from there", got)
	}
	r.now = r.now.Add(firstPause)
	r.wants(2, "peer1")
	if got := len(r.given["peer1"]); got != 1 {
		t.Fatalf("gets %d steps after a pause, want one", got)
	}
	tried := r.does("peer1", 0, 0)
	if got := r.choiceOf(tried); got.Why != Probed || got.Peer != "peer1" {
		t.Errorf("the try is told as %+v", got)
	}
	r.wants(2, "peer1")
	if got := len(r.given["peer1"]); got == 0 {
		t.Error("gets nothing although its line is well again")
	}
}

func TestATryThatCameToNothingIsNotTheLast(t *testing.T) {
	r := disappointed(t)
	r.now = r.now.Add(firstPause)
	r.wants(2, "peer1")
	if got := len(r.given["peer1"]); got != 1 {
		t.Fatalf("gets %d steps after a pause, want one", got)
	}
	m := r.l.crew["peer1"]
	m.arrival, m.line.homing = 20*time.Millisecond, 10*time.Second // as it has been since
	r.hears("peer1", Return{Step: r.given["peer1"][0]})
	r.now = r.now.Add(maxPause)
	before := len(r.given["peer1"])
	r.wants(2, "peer1")
	if got := len(r.given["peer1"]) - before; got != 1 {
		t.Errorf("gets %d steps after the next pause, want one", got)
	}
}

func TestWhatIsKeptIsTold(t *testing.T) {
	r := disappointed(t)
	got := r.choiceOf(r.does("peer0", 0, 0))
	if got.Why != Kept || got.Peer != "peer1" || got.There < 10*time.Second || got.Here > time.Second || got.Regret != 0 {
		t.Errorf("what was kept is told as %+v", got)
	}
}

func TestTheInitiatorHearsOfTheHeir(t *testing.T) {
	_, o := origin(chain(1), 1, 2, 0)
	o.Tick(start)
	one := Epoch{Number: 1, Leader: "peer1"}
	o.Receive(start, one, Hello{Initiator: "peer0", Plan: digestOf("plan")})
	out := o.Receive(start, one, Append{First: 1, Ops: []Op{{Kind: OpStandbys}, {Kind: OpHeir, Peer: "peer2"}}})
	if n := len(out.Events); n == 0 || out.Events[n-1].Kind != Bequeathed || out.Events[n-1].Peer != "peer2" {
		t.Errorf("the initiator hears %+v", out.Events)
	}
}
