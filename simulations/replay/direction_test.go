package replay_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/replay"
)

// builds are recordings of real builds on three nodes of one machine, which had
// more or less else to do: see testdata.
func builds(t *testing.T) map[string]*event.Recording {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	all := map[string]*event.Recording{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rec := &event.Recording{}
		if err := json.Unmarshal(text, rec); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = rec
	}
	return all
}

// luck is what the order in which steps fall to workers may make of a build
// (Graham, Bounds on Multiprocessing Timing Anomalies, 1969): calibrate allows
// as much.
const luck = 0.01

func TestChangesGoInTheirDirection(t *testing.T) {
	const off = 0.15
	for name, rec := range builds(t) {
		predict := func(c replay.Changes) *replay.Forecast {
			f, err := replay.Predict(t.Context(), rec, c, replay.Options{Seeds: 5})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return f
		}
		for _, kill := range []string{"leader@10%", "leader@50%", "leader@80%", "standby@50%"} {
			f := predict(replay.Changes{Kill: kills(kill)})
			if f.Ratio < 1-off || f.Ratio > 1+off {
				t.Errorf("%s took %.2f s, replayed %.2f s", name, f.Took, f.Same.Makespan.Median)
			}
			if got, want := f.Changed.Makespan.Median, f.Same.Makespan.Median*(1-luck); f.Changed.Makespan.Count == 0 || got < want {
				t.Errorf("%s with %s killed takes %.3f s, without %.3f s", name, kill, got, f.Same.Makespan.Median)
			}
		}
		fastest := 0.0
		for i := range rec.Peers {
			fastest = max(fastest, rec.Peers[i].BPU)
		}
		for _, count := range []int{1, 3} {
			f := predict(replay.Changes{Add: []replay.Machines{{Count: count, BPU: fastest}}})
			if got, want := f.Changed.Makespan.Median, f.Same.Makespan.Median*(1+luck); got > want {
				t.Errorf("%s with %d more machines takes %.3f s, without %.3f s", name, count, got, f.Same.Makespan.Median)
			}
		}
	}
}

// TestStepsCostWhatTheyUsed is about whether the model of a machine's cores is
// the right one: what it says that steps had of them is what was measured.
func TestStepsCostWhatTheyUsed(t *testing.T) {
	const inAll, ofEach = 0.02, 0.3
	for name, rec := range builds(t) {
		s := set(t, rec, replay.Changes{})
		measured := map[string]*event.RecordedStep{}
		for i := range rec.Steps {
			measured[rec.Steps[i].Name] = &rec.Steps[i]
		}
		var had, used [2]float64 // of the initiator's steps, and of those for it
		apart, all := 0.0, 0.0
		for _, st := range s.Builds[0].Graph.Steps {
			m, whose := measured[st.Name], 0
			if m.Peer != 0 {
				whose = 1
			}
			cpu, cost := float64(m.CPUUS)/1e6, st.Cost/s.Hosts[0].BPU
			had[whose], used[whose] = had[whose]+cost, used[whose]+cpu
			apart, all = apart+math.Abs(cost-cpu), all+cpu
		}
		if math.Abs(had[0]-used[0]) > inAll*all || math.Abs(had[1]-used[1]) > inAll*all || apart > ofEach*all {
			t.Errorf("%s: own steps used %.2f s of the processors and cost %.2f s, those for others %.2f s and %.2f s; each is %.2f s off, in all",
				name, used[0], had[0], used[1], had[1], apart)
		}
	}
}

func TestPeersOfOneMachineAreAsFast(t *testing.T) {
	rec := recorded()
	rec.Peers[1].BPU = 1.5
	s := set(t, rec, replay.Changes{})
	if len(s.Hosts) != 1 || s.Hosts[0].BPU != 2 || s.Nodes[1].BPU != 1.5 {
		t.Errorf("hosts %+v, nodes %+v", s.Hosts, s.Nodes)
	}
	if cost := s.Builds[0].Graph.Steps[1].Cost; math.Abs(cost-2) > 0.01 {
		t.Errorf("a second on a core of 2 BPU costs %.2f BPU-seconds", cost)
	}
}
