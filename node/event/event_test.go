package event_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/event"
)

func TestEventsReadBackAsTheyWereWritten(t *testing.T) {
	for _, e := range []event.Event{
		event.BuildQueued{Build: "b", Behind: "a"},
		event.BuildStarted{Build: "b", Root: "/p", Targets: []string{"x"}, Steps: 3, Members: 2},
		event.LeaderElected{Build: "b", Leader: "p", Standbys: []string{"q"}, Epoch: 2},
		event.StepStarted{Build: "b", Step: "s", Peer: "p"},
		event.StepFinished{Build: "b", Step: "s", Status: event.Failed, Failure: &event.Failure{Command: []string{"cc"}, ExitCode: 1, Output: "no"}},
		event.StepOutput{Build: "b", Step: "s", Output: "warning"},
		event.Notice{Build: "b", Level: event.Warning, Text: "t"},
		event.BuildWeakened{Build: "b", Mode: "conservative", Lost: []string{"p"}},
		event.HookStarted{Build: "b", Package: "p", Hook: "pre_build"},
		event.HookFinished{Build: "b", Package: "p", Hook: "pre_build", ExitCode: 1, Output: "o"},
		event.TaskAssignment{Build: "b", Step: "s", Peer: "p"},
		event.TaskProgress{Build: "b", Step: "s", Peer: "p", Percent: 42, By: event.Told, ElapsedMS: 1500},
		event.TaskComplete{Build: "b", Step: "s", Peer: "p", Error: "its disk is full"},
		event.WorkerStatus{Build: "b", Peer: "p", Slots: 4, Busy: 1, Running: []string{"s"}, Memory: 1 << 30, Share: 0.5},
		event.BuildFinished{Build: "b", OK: true, Tier: event.Full, ByPeer: map[string]int{"p": 3}, WallMS: 1.5},
	} {
		line, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(line), `{"event":"`+e.Kind()+`","build":"b"`) {
			t.Errorf("%s is encoded as %s", e.Kind(), line)
		}
		got, err := event.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestUnknownEventsAreRefused(t *testing.T) {
	for _, line := range []string{"", "{}", `{"event":"no.such"}`, `{"event":"task.progress","build":1}`, `{"event":"notice","build":1}`} {
		if e, err := event.Decode([]byte(line)); err == nil {
			t.Errorf("Decode(%q) = %v", line, e)
		}
	}
}
