package cli

import (
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/event"
)

func TestASummarySaysWhetherItPaidToSendSteps(t *testing.T) {
	f := event.BuildFinished{OK: true, Tier: event.Full, Steps: 50, Executed: 50, Choices: &event.Choices{
		Sent: 12, Kept: 30, AloneMS: 20000, TookMS: 11800, SavedMS: 8200, RegretMS: 236, RegretPercent: 2, Useless: []string{"b"},
	}}
	const want = "12 steps sent away, 30 kept as that did not pay: about 8.20s sooner than alone, regret 0.24s (2.0 %); of no use to this build: bob"
	if got := summaryOf(f, names{"b": "bob"}); !strings.Contains(got, want) {
		t.Errorf("the summary is %q, want it to say %q", got, want)
	}
	f.Choices.SavedMS = -100
	if got := summaryOf(f, nil); !strings.Contains(got, "did not pay: no sooner than alone") {
		t.Errorf("the summary of a build that gained nothing is %q", got)
	}
	if got := summaryOf(event.BuildFinished{}, nil); strings.Contains(got, "sent away") {
		t.Errorf("the summary of a build alone is %q", got)
	}
}

func TestAStepSaysWhyItRanWhereItDid(t *testing.T) {
	e := event.StepFinished{Choice: &event.Choice{Why: "kept", Peer: "b", HereMS: 120, ThereMS: 1300, RegretMS: 40}}
	if got, want := (names{"b": "bob"}).whereWhy(e), "\tkept: here 0.12s, bob 1.30s, regret 40.0ms"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
