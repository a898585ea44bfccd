package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

func (w *world) recording(id string) event.Recording {
	w.t.Helper()
	r, err := w.history.Recording(id)
	if err != nil {
		w.t.Fatal(err)
	}
	var rec event.Recording
	if err := json.Unmarshal(r.Recording, &rec); err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func TestBuildsAreRecordedForASimulator(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{ID: "first"})
	rec := w.recording("first")
	if len(rec.Peers) != 1 || rec.Peers[0].Peer != string(w.self) || rec.Peers[0].Name != "here" || rec.Peers[0].BPU != 1 {
		t.Errorf("peers: %+v", rec.Peers)
	}
	if len(rec.Reigns) != 1 || rec.Reigns[0].Leader != 0 || rec.Reigns[0].Epoch != 1 {
		t.Errorf("reigns: %+v", rec.Reigns)
	}
	var names []string
	for _, s := range rec.Steps {
		names = append(names, fmt.Sprint(s.Name, s.Deps, s.Toolchain))
		if s.Status != event.Executed || s.Peer != 0 || s.OutputBytes == 0 || s.FinishedUS == 0 {
			t.Errorf("step: %+v", s)
		}
	}
	if got, want := strings.Join(names, " "), "lib:a.o[] 1 lib:b.o[] 1 lib:lib.a[0 1] 1 app[0 1 2] 1"; got != want {
		t.Errorf("steps are %s, want %s", got, want)
	}
	if s := rec.Steps[3]; s.InputBytes != int64(len("main")) || s.FreshBytes != s.InputBytes {
		t.Errorf("sources of app: %+v", s)
	}
	m := rec.Marks
	if m.PlannedUS > m.ElectedUS || m.ElectedUS > m.AnnouncedUS || m.AnnouncedUS > m.ScheduledUS || m.ScheduledUS > m.PlacedUS || m.PlacedUS > m.TotalUS {
		t.Errorf("marks: %+v", m)
	}
}

func TestWhatWasKnownIsRecordedAsKnown(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{ID: "first"})
	w.write(map[string]string{"lib/a.c": "a2"})
	w.good(Request{ID: "second"})
	var got []string
	for _, s := range w.recording("second").Steps {
		got = append(got, fmt.Sprint(s.Status, " ", s.Peer, " ", s.OutputBytes > 0))
	}
	if want := "executed 0 true, cached_local -1 true, executed 0 true, executed 0 true"; strings.Join(got, ", ") != want {
		t.Errorf("steps: %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestBuildsThatExecutedNothingAreNotRecorded(t *testing.T) {
	w := newWorld(t, twoPackages())
	w.good(Request{ID: "first"})
	w.good(Request{ID: "skip"})
	w.write(map[string]string{"app/app": "edited"})
	w.good(Request{ID: "restore"})
	for _, id := range []string{"skip", "restore"} {
		if r, err := w.history.Recording(id); !errors.Is(err, history.ErrNoRecording) || r.ID != id {
			t.Errorf("%s: %v, %v", id, r.ID, err)
		}
	}
}

func TestFreshBytesAreCountedOnce(t *testing.T) {
	w := newWorld(t, map[string]string{
		".buildnet/config.yaml": `version: 1
packages:
  - name: lib
    path: .
    steps:
      - foreach: "*.c"
        run: ["cc", "-c", "{in}", "-o", "{stem}.o"]
        inputs: ["*.h"]
        outputs: ["{stem}.o"]
`,
		"a.c": "1", "b.c": "22", "c.c": "333", "all.h": "4444", "more.h": "55555",
	})
	w.good(Request{ID: "b"})
	var got []string
	for _, s := range w.recording("b").Steps {
		got = append(got, fmt.Sprint(s.InputBytes, "/", s.FreshBytes))
	}
	if want := "10/10 11/2 12/3"; strings.Join(got, " ") != want {
		t.Errorf("sources are %v, want %s", got, want)
	}
}

func TestABuildTooLargeToReplaySaysSo(t *testing.T) {
	r := &run{opts: Options{Estimate: func(_, _ peer.ID) time.Duration { return 0 }, Members: func() []peer.Member { return nil }}}
	r.req.ID = "b"
	r.graph, r.sizes = wide(t, event.MaxRecordedSteps+1)
	r.recorder = newRecorder(r, nil)
	var rec event.Recording
	if err := json.Unmarshal(r.recording(), &rec); err != nil || !rec.TooLarge || rec.Build != "b" {
		t.Errorf("%+v, %v", rec, err)
	}
}

// wide is a graph of n steps whose last one needs all others.
func wide(t testing.TB, n int) (*action.Graph, []inputSize) {
	t.Helper()
	steps := make([]action.Step, n)
	var all []action.Dep
	for i := range steps {
		out := fmt.Sprintf("obj/source/directory/file%06d.o", i)
		steps[i] = action.Step{
			ID: action.StepID("package:" + out), Package: "package", Argv: []string{"cc"}, Outputs: []string{out},
			Timeout: time.Minute, Reach: action.Anywhere, Sharing: action.Shared,
			Inputs:   digest.Of(digest.BLAKE3, []byte(out)),
			Platform: []action.Property{{Name: action.PropertyToolchain, Value: "blake3:0011"}, {Name: action.PropertyToolchainSpec, Value: "cc"}},
		}
		if i == n-1 {
			steps[i].Deps = all
		}
		all = append(all, action.Dep{Step: steps[i].ID})
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		t.Fatal(err)
	}
	return g, make([]inputSize, n)
}

// BenchmarkRecord records a build of 10,000 executed steps, from its plan to
// the history.
func BenchmarkRecord(b *testing.B) {
	r := &run{opts: Options{
		Self: "self", Estimate: func(peer.ID, peer.ID) time.Duration { return time.Millisecond },
		Members: func() []peer.Member { return []peer.Member{{ID: "self", Self: true}, {ID: "other", State: peer.Alive}} },
	}}
	r.graph, r.sizes = wide(b, 10_000)
	d := &steal.Done{Entry: action.Entry{Executor: "other"}, How: steal.Executed, Timings: steal.Timings{Run: time.Second}}
	size := 0
	for b.Loop() {
		r.recorder = newRecorder(r, nil)
		r.recorder.elected("other", nil, 1)
		for i := range r.graph.Len() {
			r.recorder.started(steal.Step(i))
			r.recorder.secured(steal.Step(i), time.Duration(i))
			r.recorder.finished(steal.Step(i), event.Executed, d)
		}
		size = len(r.recording())
	}
	b.ReportMetric(float64(size), "JSON-bytes")
}

func TestPeersThatLackAToolchainAreNoted(t *testing.T) {
	c := &recorder{place: map[peer.ID]int{}, hashes: []string{"11111111", "22222222", "33333333"}}
	members := []peer.Member{
		{ID: "self", Self: true, State: peer.Alive, Caps: peer.Capabilities{Toolchains: []string{"11111111", "22222222"}}},
		{ID: "other", State: peer.Alive, Caps: peer.Capabilities{Toolchains: []string{"22222222", "44444444"}}},
		{ID: "silent", State: peer.Alive},
	}
	c.meet(members)
	c.compare(members)
	var got []string
	for _, p := range c.rec.Peers {
		got = append(got, fmt.Sprint(p.Peer, p.Lacks))
	}
	if want := "self[] other[1] silent[]"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
