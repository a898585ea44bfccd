package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// broken is a run that broke a rule, as the world would tell it.
func broken(t *testing.T) *simulated {
	t.Helper()
	s, err := scenario.Builtin("lan-10")
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Setting(7, scenario.Scale{})
	if err != nil {
		t.Fatal(err)
	}
	o := &simulations.Outcome{
		Violation: &check.Violation{Rule: "nothing is lost", Text: "step 3 is lost"},
		Last:      []trace.Event{{At: time.Second, Kind: trace.Down, Node: 2, Peer: trace.None, Build: trace.None, Step: trace.None}},
	}
	return &simulated{setting: set, outcome: o, summary: measure.New(set).Summary(o)}
}

func TestBrokenRuleIsToldWithWhatItTakesToSeeItAgain(t *testing.T) {
	var out, talk bytes.Buffer
	a := &app{sys: System{Stdout: &out, Stderr: &talk}}
	o := simFlags{name: "lan-10", nodes: 12, seeds: 1}
	r := broken(t)
	if err := a.tellViolation(t.Context(), o, r); !errors.Is(err, errFailed) {
		t.Errorf("the error is %v", err)
	}
	for _, text := range []string{"seed 7: nothing is lost", "step 3 is lost", "10 nodes, 2 builds", "desk-3 is down", "buildnet sim run lan-10 --nodes 12 --seed 7\n", "buildnet sim run lan-10 --nodes 12 --seed 7 --shrink\n"} {
		if !strings.Contains(talk.String(), text) {
			t.Errorf("stderr lacks %q:\n%s", text, talk.String())
		}
	}
	o.as = asLine
	if err := a.showSimulated(o, []*simulated{r}); err != nil {
		t.Fatal(err)
	}
	var got simOutput
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Violation == nil || got.Violation.Rule != "nothing is lost" || len(got.Violation.Last) != 1 || got.Runs[0].Broken != "nothing is lost" {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestShrinkingTellsTheSmallest(t *testing.T) {
	var talk bytes.Buffer
	a := &app{sys: System{Stderr: &talk}}
	if err := a.tellViolation(t.Context(), simFlags{name: "lan-10", shrink: true}, broken(t)); !errors.Is(err, errFailed) {
		t.Errorf("the error is %v", err)
	}
	// No run of this setting breaks that rule, and that is said.
	if !strings.Contains(talk.String(), "looking for a smaller run") || !strings.Contains(talk.String(), "not broken when the setting is run again") {
		t.Error(talk.String())
	}
}

func TestARunThatIsAnotherOneAgainBrokeARule(t *testing.T) {
	one := broken(t)
	one.outcome.Violation, one.outcome.Last = nil, nil
	again(t.Context(), one, nil) // its hash is none that a run has
	if v := one.outcome.Violation; v == nil || v.Rule != simulations.SameRule {
		t.Fatalf("the violation is %+v", v)
	}
	o := simFlags{name: "lan-10"}
	if v := o.violation(one); v.Replay != "buildnet sim run lan-10 --seed 7" {
		t.Errorf("replay with %s", v.Replay)
	}
	one.setting.Nodes = make([]setting.Node, maxTwice+1)
	if v := o.violation(one); v.Replay != "buildnet sim run lan-10 --seed 7 --shrink" || o.twice(one.setting) {
		t.Errorf("a large mesh: replay with %s", v.Replay)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	one = broken(t)
	one.outcome.Violation = nil
	if again(ctx, one, nil); !one.outcome.Stopped || one.outcome.Violation != nil {
		t.Errorf("interrupted: %+v", one.outcome)
	}
}

func TestProgressLineIsWrittenNowAndThen(t *testing.T) {
	var talk bytes.Buffer
	a := &app{sys: System{Stderr: &talk, Screen: Terminal}}
	l := a.simProgress(3, 1, 5)
	p := simulations.Progress{At: 1500 * time.Millisecond, Events: 2500, Builds: 2, Over: 1, Steps: 20, Done: 7}
	l.show(p)
	l.show(p)
	l.close()
	if text := talk.String(); strings.Count(text, "seed 3 (2 of 5): 1.5 s, 1/2 builds, 7/20 steps, 2.5k events") != 1 || !strings.HasSuffix(text, clearLine) {
		t.Errorf("%q", text)
	}
	talk.Reset()
	silent := (&app{sys: System{Stderr: &talk}}).simProgress(1, 0, 1)
	silent.show(p)
	silent.close()
	if talk.Len() > 0 {
		t.Errorf("%q", talk.String())
	}
}
