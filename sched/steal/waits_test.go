package steal

import (
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

// later lets time go by with everybody alive, and returns what the user is told.
func (l *Leader) later(d time.Duration) (told []string) {
	for at := start; !at.After(start.Add(d)); at = at.Add(BeatEvery) {
		for _, m := range l.order {
			l.Receive(at, m.id, Beat{})
		}
		l.Tick(at)
	}
	for _, op := range l.log {
		if op.Kind == OpNote {
			told = append(told, op.Text)
		}
	}
	return told
}

func TestWhoWaitsForMemorySaysSoOnce(t *testing.T) {
	hands := []hand{{bpu: 1, slots: 4, memory: 5 << 20}}
	got, l := begun(t, place.Policy{}, hands, []piece{{memory: 3 << 20}, {memory: 4 << 20}})
	expectPlaced(t, "one fits", got, "a", "")
	if told := l.later(tellAfter - BeatEvery); len(told) != 0 {
		t.Errorf("told at once: %q", told)
	}
	if told := l.later(3 * tellAfter); len(told) != 1 || !strings.HasPrefix(told[0], "s01 waits for memory: it is believed to need 4 MiB") {
		t.Errorf("told: %q", told)
	}
}

func TestWhoWaitsForAnOwnerSaysSo(t *testing.T) {
	_, l := begun(t, place.Policy{}, []hand{{bpu: 1, slots: 1}}, make([]piece, 3))
	l.Receive(start, "a", Resize{})
	if told := l.later(2 * tellAfter); len(told) != 1 || !strings.Contains(told[0], "the owners of those that could run it use them") {
		t.Errorf("told: %q", told)
	}
}
