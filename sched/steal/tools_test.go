package steal

import (
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// A member whose toolchain is another since it joined refuses each step that needs
// it. It is not asked again, and when no other is left the steps wait no longer.
func TestWhoseToolchainChangedGetsNoMoreStepsOfIt(t *testing.T) {
	const steps = 6
	w, _ := origin(make([][]int, steps))
	w.spec.special = map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: true}
	l := successorOf(t, w.makePlan())
	l.Receive(start, "peer0", Follow{})
	l.Receive(start, "peer0", Join{Slots: 1})
	l.Receive(start, "peer1", Join{Slots: 1})
	l.Receive(start, "peer2", Join{Slots: 1, Toolchains: []string{"special"}})
	l.Receive(start, "peer2", Want{Free: 1})
	refused := 0
	refuse := func(out Output) {
		for len(to(out, "peer2")) > 0 {
			var next Output
			for _, msg := range to(out, "peer2") {
				if a, ok := msg.(Assign); ok {
					refused++
					next = l.Receive(start, "peer2", Report{Step: a.Step, Action: a.Action, Failure: Failure{Kind: WrongToolchain, Text: "it is another"}})
					next.Sends = append(next.Sends, l.Receive(start, "peer2", Want{Free: 1, Seen: uint64(refused)}).Sends...)
				}
			}
			out = next
		}
	}
	for s := range Step(steps) {
		refuse(l.Resolved(start, Resolved{Step: s, Attempt: 1, Action: digestOf("it", int(s))}))
	}
	for now := start; now.Before(start.Add(Patience + time.Second)); now = now.Add(100 * time.Millisecond) {
		for _, m := range l.order {
			l.Receive(now, m.id, Ack{Index: m.logSent})
		}
		out := l.Tick(now)
		for _, r := range out.Resolves {
			l.Resolved(now, Resolved{Step: r.Step, Attempt: r.Attempt, Action: digestOf("it", int(r.Step))})
		}
		refuse(out)
	}
	expect(t, "steps that it refused", refused, 1)
	for s := range l.record.Steps {
		if why := l.record.Steps[s].Failed; !strings.Contains(why, "needs toolchain=special") {
			t.Errorf("step %d was given up: %q", s, why)
		}
	}
}

// A busy machine looks for long at what is installed on it. Whoever is there and looks is
// waited for: a node that is alone without limit, for nobody else could run the step.
func TestWhoStillLooksAtItsToolchainsIsWaitedFor(t *testing.T) {
	alone := func(s spec) spec {
		s.peers, s.candidates = 1, nil
		return s
	}
	ofMany := func(looks time.Duration) spec {
		s := led(make([][]int, 2))
		s.looks = looks
		return s
	}
	open := func(s spec) spec {
		s.modes.KeepGoing, s.shut = true, 24*time.Hour
		return s
	}
	for name, c := range map[string]struct {
		spec
		runs bool
	}{
		"alone":                     {alone(open(ofMany(LookTime + Patience + time.Second))), true},
		"alone, all steps known":    {alone(ofMany(LookTime + Patience + time.Second)), true},
		"another":                   {open(ofMany(LookTime - 2*time.Second)), true},
		"another, all steps known":  {ofMany(LookTime - 2*time.Second), true},
		"too long":                  {open(ofMany(LookTime + time.Second)), false},
		"too long, all steps known": {ofMany(LookTime + time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			c.special = map[int]bool{1: true}
			w := newWorld(t, c.spec)
			if c.shut > 0 {
				w.until(limit, func() bool { return len(w.ledger.elections) > 0 })
				w.add(0, 2)
				w.until(limit, func() bool { return w.ledger.gaveUp[1] != "" || w.ledger.announced[1] != nil })
				w.shut()
			}
			w.finish()
			if why := w.ledger.gaveUp[1]; (why == "") != c.runs {
				t.Errorf("given up: %q", why)
			}
		})
	}
}

// What is installed while a build is open is asked for again: an answer from before tells
// nothing of it.
func TestAToolchainThatIsAnotherSinceIsAskedForAgain(t *testing.T) {
	w, _ := origin(make([][]int, 2))
	w.spec.special, w.spec.shut = map[int]bool{0: true, 1: true}, time.Hour
	l := successorOf(t, w.makePlan())
	l.Receive(start, "peer0", Follow{})
	l.Receive(start, "peer0", Join{Slots: 1})
	asked := func(out Output) (specs []Spec) {
		for _, msg := range to(out, "peer0") {
			if a, ok := msg.(Ask); ok {
				specs = append(specs, a.Specs...)
			}
		}
		return specs
	}
	newer := w.steps[1]
	newer.Platform = []action.Property{{Name: action.PropertyToolchain, Value: "newer"}}
	expect(t, "asked for", asked(l.Receive(start, "peer0", Add{Steps: w.steps[:1]})), []Spec{{}})
	l.Receive(start, "peer0", Tools{Toolchains: []string{"special"}})
	expect(t, "asked again for", asked(l.Receive(start, "peer0", Add{First: 1, Steps: []action.Step{newer}})), []Spec{{}})
	l.Receive(start, "peer0", Tools{Toolchains: []string{"newer", "newer"}})
	if !l.able(l.needs[l.needOf[1]], l.initiator) {
		t.Error("who has it now is not able to run what needs it")
	}
}
