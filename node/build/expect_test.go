package build

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/costs"
)

// hints are the costs that the scheduler is given, by step.
func (w *world) hints(r Request) (hints map[action.StepID]action.Hints, events []event.Event) {
	w.t.Helper()
	hints = map[action.StepID]action.Hints{}
	w.before = func(s *action.Step) {
		hints[s.ID] = action.Hints{Cost: s.Cost, Memory: s.Memory, OutputBytes: s.OutputBytes}
	}
	events, _, err := w.build(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return hints, events
}

// An estimate of one run that took so many BPU-seconds.
func ofOneRun(work float64) costs.Estimate {
	return costs.Estimate{Runs: 1, Mean: math.Log(work), Memory: 1 << 30, Output: 5000, Last: time.Now()}
}

func TestTheFirstBuildIsExpectedToTakeWhatOthersTell(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.others = []peer.Member{{ID: "other", State: peer.Alive, Caps: peer.Capabilities{BPU: 2, Cores: 1}}}
	w.knows = func(costs.Kind) (costs.Estimate, bool) { return ofOneRun(4), true }
	hints, events := w.hints(Request{})
	if len(hints) != 4 {
		t.Fatalf("%d steps ran", len(hints))
	}
	for id, h := range hints {
		if math.Abs(h.Cost-4) > 1e-6 || h.Memory != 0 || h.OutputBytes != 5000 {
			t.Errorf("%s: %+v", id, h)
		}
	}
	i := slices.IndexFunc(events, func(e event.Event) bool { return e.Kind() == event.BuildExpected{}.Kind() })
	if i < 0 {
		t.Fatal("nothing is said of how long it takes")
	}
	if x := events[i].(event.BuildExpected); x.Steps != 4 || x.Known != 4 || math.Abs(x.Work-16) > 1e-6 || x.ETAMS < 16_000/3 {
		t.Errorf("expected: %+v", x)
	}
	for _, e := range events {
		if s, ok := e.(event.StepStarted); ok && s.ExpectedMS != 4000 {
			t.Errorf("%s is expected to run %d ms on a core of 1 BPU", s.Step, s.ExpectedMS)
		}
		if s, ok := e.(event.StepFinished); ok && s.ExpectedMS != 4000 {
			t.Errorf("%s was expected to run %d ms", s.Step, s.ExpectedMS)
		}
	}
	f := w.summary(events).Forecast
	if f == nil || f.First.ETAMS < 16_000/3 || f.First.TookMS > 10_000 {
		t.Errorf("forecast: %+v", f)
	}
	if len(w.told) != 8 {
		t.Errorf("others are told of %d kinds, want the four steps and their rules", len(w.told))
	}
}

func TestWhatThisNodeHasSeenNobodyIsAskedFor(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.others = []peer.Member{{ID: "other", State: peer.Alive}}
	w.good(Request{})
	if len(w.asked) == 0 || len(w.asked) != len(slices.Compact(slices.SortedFunc(slices.Values(w.asked), func(a, b costs.Kind) int {
		return slices.Compare(a[:], b[:])
	}))) {
		t.Errorf("asked for %d kinds, want each once", len(w.asked))
	}
	w.asked = nil
	hints, _ := w.hints(Request{ID: "again", Modes: steal.Modes{Force: true}})
	if len(w.asked) > 0 {
		t.Errorf("asked for %d kinds again", len(w.asked))
	}
	for id, h := range hints {
		if h.Cost <= 0 || h.Memory != 32<<20 || h.OutputBytes <= 0 {
			t.Errorf("%s: %+v", id, h)
		}
	}
}

func TestWhoBuildsAloneAsksAndTellsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		others []peer.Member
		local  bool
	}{
		"NobodyThere": {},
		"Local":       {[]peer.Member{{ID: "other", State: peer.Alive}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, twoPackages())
			w.others = c.others
			r := Request{}
			r.Modes.Local = c.local
			w.good(r)
			if len(w.asked) > 0 {
				t.Errorf("asked for %d kinds", len(w.asked))
			}
			if c.local && len(w.told) > 0 {
				t.Errorf("told of %d kinds", len(w.told))
			}
		})
	}
}

func TestABuildThatFailedHasNoForecast(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{})
	w.write(map[string]string{"lib/a.c": "other"})
	w.fails["lib:a.o"] = true
	events, _, err := w.build(Request{ID: "fails", Modes: steal.Modes{Force: true}})
	if err == nil || w.summary(events).Forecast != nil {
		t.Errorf("%v, forecast %+v", err, w.summary(events).Forecast)
	}
	if !strings.Contains(kindsOfEvents(events), event.BuildExpected{}.Kind()) {
		t.Error("it was not expected to take anything")
	}
}

func kindsOfEvents(events []event.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Kind())
	}
	return strings.Join(all, " ")
}

func TestAStepThatWasNeverSeenIsExpectedToBeLikeItsRule(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{})
	w.write(map[string]string{"lib/c.c": "c"})
	hints, _ := w.hints(Request{ID: "again"})
	if h := hints["lib:c.o"]; h.Cost <= 0 || h.Memory != 32<<20 {
		t.Errorf("a new file of a rule that was seen: %+v of %+v", h, hints)
	}
}
