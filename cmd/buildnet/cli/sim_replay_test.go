package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/replay"
)

// recorded is a build of eight compiles on two peers.
func recorded() event.Recording {
	rec := event.Recording{
		Build: "b1", Marks: event.Marks{PlannedUS: 10_000, ElectedUS: 20_000, AnnouncedUS: 2_030_000, ScheduledUS: 2_030_000, TotalUS: 2_040_000},
		Peers: []event.RecordedPeer{{Peer: "12D3KooWaaaaaaa1", Name: "desk", BPU: 1, Slots: 2}, {Peer: "12D3KooWbbbbbbb2", Name: "rack", BPU: 1, Slots: 2, RTTUS: 500}},
	}
	for i, name := range []string{"a.o", "b.o", "c.o", "d.o", "e.o", "f.o", "g.o", "h.o"} {
		begun := int64(25_000 + 1_000_000*(i/4))
		rec.Steps = append(rec.Steps, event.RecordedStep{
			Name: name, Status: event.Executed, Peer: i % 2, StartedUS: begun, RunUS: 1_000_000, CPUUS: 1_000_000, FinishedUS: begun + 1_001_000,
		})
	}
	return rec
}

func withRecording(t *testing.T) *machine {
	m := newMachine(t)
	m.node.Records = []api.BuildRecord{{Build: "b1"}, {Build: "b0"}}
	m.node.Recordings = []event.Recording{recorded()}
	m.up()
	return m
}

func TestSimReplayTellsWhatABuildTakes(t *testing.T) {
	m := withRecording(t)
	r := m.run("sim", "replay")
	r.want(t, 0, "build b1: 8 steps executed\n", "")
	for _, part := range []string{"it took   2.04s", "of what it took", "on 2 peers", "assumed: each step costs"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("no %q in %s", part, r.out)
		}
	}
	if strings.Contains(r.out, "changes") {
		t.Errorf("nothing was changed: %s", r.out)
	}
}

func TestSimReplayWithAnotherMesh(t *testing.T) {
	m := withRecording(t)
	forecast := func(args ...string) (f replay.Forecast) {
		t.Helper()
		r := m.run(append([]string{"sim", "replay", "b1", "--json", "--seeds", "3"}, args...)...)
		if err := json.Unmarshal([]byte(r.out), &f); err != nil || r.status != 0 {
			t.Fatalf("%v: %+v", err, r)
		}
		return f
	}
	f := forecast("--add", "2@1/2")
	if f.Ratio < 0.9 || f.Ratio > 1.1 || f.Changed == nil || f.Changed.Makespan.Median > 0.8*f.Same.Makespan.Median || f.Changed.Peers != 4 {
		t.Errorf("two more machines: %+v", f)
	}
	if f := forecast("--remove", "rack"); f.Changed == nil || f.Changed.Makespan.Median < 1.5*f.Same.Makespan.Median {
		t.Errorf("half of the mesh: %+v", f)
	}
	if f := forecast("--kill", "rack@25%"); f.Changed == nil || f.Changed.Makespan.Median < 1.2*f.Same.Makespan.Median {
		t.Errorf("a peer killed: %+v", f)
	}
	if f := forecast("--latency", "desk:rack=100ms"); f.Changed == nil || f.Changed.Makespan.Median <= f.Same.Makespan.Median {
		t.Errorf("a peer far away: %+v", f)
	}
}

func TestSimReplayWritesPageAndTrace(t *testing.T) {
	m := withRecording(t)
	page, events := filepath.Join(t.TempDir(), "r.html"), filepath.Join(t.TempDir(), "t.json")
	m.run("sim", "replay", "b1", "--add", "1@2", "--report", page, "--trace", events).want(t, 0, "with the changes", "")
	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), "new-1") || !strings.Contains(string(html), "sim replay b1 --add 1@2") {
		t.Errorf("the page: %v, %d bytes", err, len(html))
	}
	raw, err := os.ReadFile(events)
	if err != nil || !json.Valid(raw) {
		t.Errorf("the trace: %v, %d bytes", err, len(raw))
	}
}

func TestSimReplayTellsItsForecastOnAFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no " + full)
	}
	m := withRecording(t)
	for _, flag := range []string{"--trace", "--report"} {
		m.run("sim", "replay", "b1", flag, full).want(t, 1, "it took   2.04s", "choose another place with "+flag)
	}
}

func TestWrongFlagsOfSimReplayNeedNoNode(t *testing.T) {
	m := newMachine(t)
	for want, args := range map[string][]string{
		"--add: cannot change":     {"--add", "2"},
		"--kill: cannot change":    {"--kill", "rack"},
		`kill "rack@half"`:         {"--kill", "rack@half"},
		"--latency: cannot change": {"--latency", "desk"},
	} {
		m.run(append([]string{"sim", "replay"}, args...)...).want(t, 2, "", want)
	}
}

func TestWrongUseOfSimReplayIsAdvised(t *testing.T) {
	m := withRecording(t)
	for want, args := range map[string][]string{
		"its peers are desk, rack":         {"--remove", "attic"},
		"write COUNT@BPU":                  {"--add", "2"},
		"write WHO@WHEN":                   {"--kill", "leader"},
		"write PEER:PEER=LATENCY":          {"--latency", "desk"},
		"--seeds 0: want 1 to":             {"--seeds", "0"},
		"cannot be removed":                {"--remove", "desk"},
		"--trace: open":                    {"--trace", filepath.Join("none", "such")},
		"--report: open":                   {"--report", filepath.Join("none", "such")},
		"build b0 was not recorded; build": {"b0"},
	} {
		m.run(append([]string{"sim", "replay"}, args...)...).want(t, 2, "", want)
	}
}
