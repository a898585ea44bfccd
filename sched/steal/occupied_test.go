package steal

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// A member that serves the build that this one goes on with may come yet, when one
// of the two is given up; one that cannot be reached is lost after a while.
func TestStepsWaitForWhoIsOccupied(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(l *Leader, now time.Time, id peer.ID) Output
		failed bool
	}{
		"occupied":      {(*Leader).Occupied, false},
		"not reached":   {(*Leader).Closed, true},
		"lost, at last": {thenClosed(), true},
	} {
		l := successor(t, chain(1))
		l.Receive(start, "peer0", Follow{})
		for _, id := range []peer.ID{"peer0", "peer1"} {
			l.Receive(start, id, Join{})
		}
		l.Resolved(start, Resolved{Step: 0, Attempt: 1, Action: digestOf("it")})
		c.answer(l, start, "peer2")
		for now := start; now.Before(start.Add(2 * Patience)); now = now.Add(100 * time.Millisecond) {
			for _, id := range []peer.ID{"peer0", "peer1"} {
				l.Receive(now, id, Beat{})
				l.Receive(now, id, Ack{Index: l.crew[id].logSent})
			}
			for _, d := range l.Tick(now).Dials {
				c.answer(l, now, d.To)
			}
		}
		if failed := l.record.Steps[0].Failed != ""; failed != c.failed {
			t.Errorf("%s: given up %v (%q), want %v", name, failed, l.record.Steps[0].Failed, c.failed)
		}
	}
}

// thenClosed answers that a member is occupied, twice, and then that it cannot be reached.
func thenClosed() func(l *Leader, now time.Time, id peer.ID) Output {
	answered := 0
	return func(l *Leader, now time.Time, id peer.ID) Output {
		if answered++; answered <= 2 {
			return l.Occupied(now, id)
		}
		return l.Closed(now, id)
	}
}
