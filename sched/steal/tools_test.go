package steal

import (
	"strings"
	"testing"
	"time"
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
