package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

func TestSummaryComparesWhatWasExpectedWithWhatCame(t *testing.T) {
	first := event.Expected{AtMS: 40, ETAMS: 9500, TookMS: 12_000}
	half := &event.Expected{AtMS: 6000, ETAMS: 5250, TookMS: 6040}
	for name, c := range map[string]struct {
		f    *event.Forecast
		want string
	}{
		"Nothing":  {nil, ""},
		"TooShort": {&event.Forecast{First: event.Expected{ETAMS: 400, TookMS: 3000}}, ""},
		"First":    {&event.Forecast{First: first}, "expected to take 9.50s and took 12s\n"},
		"Half":     {&event.Forecast{First: first, Half: half}, "expected to take 9.50s and took 12s; at half-time 5.25s and took 6.04s more\n"},
	} {
		got := summaryOf(event.BuildFinished{OK: true, Forecast: c.f}, names{})
		if _, line, _ := strings.Cut(got, "\n"); line != c.want {
			t.Errorf("%s: %q, want %q", name, line, c.want)
		}
	}
}

// How long it takes is shown from the first moment, as lines and in the view.
func TestExpectationIsShownBeforeAnythingHasFinished(t *testing.T) {
	var out, talk bytes.Buffer
	p := newPlain(&out, &talk)
	p.event(event.BuildExpected{Steps: 12, Known: 11, ETAMS: 42_500})
	if got := talk.String(); got != "12 steps to do, about 42.5s\n" {
		t.Errorf("as lines: %q", got)
	}
	start := time.Unix(1000, 0)
	b := &board{began: start, running: map[string]runningStep{}}
	b.Update(happened{event: event.BuildStarted{Steps: 12}, at: start})
	b.Update(happened{event: event.BuildExpected{Steps: 12, ETAMS: 42_500}, at: start})
	b.Update(tick(start.Add(2 * time.Second)))
	if got := b.View().Content; !strings.HasSuffix(got, "2.0s, about 40.5s left") {
		t.Errorf("in the view: %q", got)
	}
}

func TestAStepsLineSaysWhatIsLeftAndItsRecordWhatWasExpected(t *testing.T) {
	var out, talk bytes.Buffer
	p := newPlain(&out, &talk)
	e := event.StepFinished{
		Step: "p:a", Peer: "0123456789", Status: event.Executed, RunMS: 400, ExpectedMS: 350, ETAMS: 7200, Done: 1, Steps: 4,
	}
	p.event(e)
	if got := talk.String(); got != "[1/4] p:a: 23456789 in 0.40s, about 7.2s left\n" {
		t.Errorf("line %q", got)
	}
	if got := runTime(e); got != "0.40s (expected 0.35s)" {
		t.Errorf("record %q", got)
	}
	e.ExpectedMS = 0
	if got := runTime(e); got != "0.40s" {
		t.Errorf("record of a step of which nothing was known: %q", got)
	}
}
