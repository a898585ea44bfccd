package build

import (
	"reflect"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

func TestChoicesAreAddedUp(t *testing.T) {
	began := time.Unix(1000, 0)
	steps := []action.Step{
		{ID: "a"}, {ID: "b"}, {ID: "c"},
		{ID: "d", Deps: []action.Dep{{Step: "a"}, {Step: "b"}, {Step: "c"}}},
	}
	c := newChoices(began)
	for i, s := range []struct {
		id     action.StepID
		choice *steal.Choice
	}{
		{"a", &steal.Choice{Why: steal.Sent, Peer: "bob", Regret: 100 * time.Millisecond}},
		{"c", &steal.Choice{Why: steal.Kept, Peer: "eve", Regret: 10 * time.Millisecond}},
		{"b", &steal.Choice{Why: steal.Sent, Peer: "bob", Regret: 300 * time.Millisecond}},
		{"d", nil},
	} {
		d := &steal.Done{Timings: steal.Timings{Run: time.Second}, Choice: s.choice}
		c.finished(s.id, d, 2, began.Add(time.Duration(i+1)*time.Second))
	}
	// Eight BPU-seconds, of which four are in a row, on two cores of 1 BPU.
	want := &event.Choices{
		Sent: 2, Kept: 1, AloneMS: 4000, TookMS: 4000, RegretMS: 300, RegretPercent: 7.5, StepsRegretMS: 410,
	}
	if got := c.summary(steps, forces{fastest: 1, power: 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("choices come to %+v, want %+v", got, want)
	}
}

func TestAPeerFromWhichAllIsKeptIsOfNoUse(t *testing.T) {
	c, steps := newChoices(time.Unix(1000, 0)), make([]action.Step, 12)
	for i := range steps {
		steps[i].ID = action.StepID(rune('a' + i))
		ch := &steal.Choice{Why: steal.Kept, Peer: "bob"}
		if i == 0 {
			ch.Why = steal.Sent
		}
		c.finished(steps[i].ID, &steal.Done{Choice: ch}, 1, time.Unix(1001, 0))
	}
	if got := c.summary(steps, forces{}).Useless; !reflect.DeepEqual(got, []string{"bob"}) {
		t.Errorf("of no use: %v", got)
	}
	if newChoices(time.Time{}).summary(nil, forces{}) != nil {
		t.Error("a build in which nothing was to choose has choices")
	}
}
