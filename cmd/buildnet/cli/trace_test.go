package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/event"
)

// TestATraceHasWhatRanWhere covers what becomes of the events of a build: two
// steps that overlap on one machine have two threads, a third one takes the first
// of these again.
func TestATraceHasWhatRanWhere(t *testing.T) {
	tr := &tracer{}
	zero := time.Unix(1000, 0)
	at := func(ms int64, e event.Event) { tr.event(e, zero.Add(millis(ms))) }
	at(0, event.BuildStarted{Names: map[string]string{"p1": "one", "p2": "two"}})
	at(5, event.LeaderElected{Leader: "p1", Epoch: 1})
	at(10, event.StepStarted{Step: "a", Peer: "p2"})
	at(12, event.StepStarted{Step: "b", Peer: "p2"})
	at(20, event.StepFinished{Step: "c", Peer: "p1", Status: event.CachedMesh})
	at(40, event.StepFinished{Step: "a", Peer: "p2", Status: event.Executed, FetchMS: 4, RunMS: 20, UploadMS: 3, QueuedMS: 2, Why: "a.c is dirty"})
	at(50, event.StepFinished{Step: "b", Peer: "p2", Status: event.Failed, RunMS: 30})
	at(80, event.StepFinished{Step: "d", Peer: "p2", Status: event.Executed, RunMS: 30})
	at(90, event.StepFinished{Step: "e", Status: event.Executed, RunMS: 5, Here: []string{"console"}})
	at(95, event.StepFinished{Step: "f", Status: event.NotRun})
	at(100, event.BuildFinished{})
	var b bytes.Buffer
	if err := tr.write(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		TraceEvents []struct {
			Name, Ph, Cat string
			Ts, Dur       float64
			Pid, Tid      int
			Args          map[string]string
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Phase     string
		At, Takes       float64
		Process, Thread int
	}
	var rows []row
	for _, e := range got.TraceEvents {
		name := e.Name
		if e.Ph == "M" {
			name = e.Args["name"]
		}
		rows = append(rows, row{name, e.Ph, e.Ts / 1000, e.Dur / 1000, e.Pid, e.Tid})
		if e.Name == "a" && (e.Args["why"] != "a.c is dirty" || e.Args["queued"] != "2 ms" || e.Args["status"] != "executed") {
			t.Errorf("a has %v", e.Args)
		}
	}
	want := []row{
		{"build", "M", 0, 0, 0, 0}, {"build", "X", 0, 100, 0, 0},
		{"leader: one", "i", 5, 0, 0, 0}, {"c", "i", 20, 0, 0, 0}, {"f", "i", 95, 0, 0, 0},
		{"two", "M", 0, 0, 1, 0},
		{"fetch: a", "X", 6, 4, 1, 1}, {"a", "X", 10, 20, 1, 1}, {"upload: a", "X", 30, 3, 1, 1},
		{"b", "X", 12, 30, 1, 2}, {"d", "X", 50, 30, 1, 1},
		{"here", "M", 0, 0, 2, 0}, {"e", "X", 85, 5, 2, 1},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}
