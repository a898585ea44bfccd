package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/simulations/measure"
)

// simulatedRuns decodes what sim run --json prints.
func simulatedRuns(t *testing.T, out string) (o struct {
	Runs      []measure.Summary `json:"runs"`
	OverSeeds []struct {
		Figure string `json:"figure"`
		Count  int    `json:"count"`
	} `json:"over_seeds"`
},
) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

func TestSimListNamesTheScenarios(t *testing.T) {
	m := newMachine(t)
	m.run("sim", "list").want(t, 0, "planet-10000  10000  500", "")
	var all []struct {
		Name  string `json:"name"`
		Nodes int    `json:"nodes"`
	}
	r := m.run("sim", "list", "--json")
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || len(all) < 8 || all[0].Name != "lan-10" || all[0].Nodes != 10 {
		t.Errorf("%v %s", err, r.out)
	}
}

func TestSimRunSaysWhatCameOfIt(t *testing.T) {
	m := newMachine(t)
	r := m.run("sim", "run", "leader-dies")
	r.want(t, 0, "1 of 1 completed", "")
	for _, text := range []string{"leader-dies, seed 1: 6 nodes in 1 gossip group, 1 build", "makespan over its bound", "take-overs", "hash "} {
		if !strings.Contains(r.out, text) {
			t.Errorf("stdout lacks %q:\n%s", text, r.out)
		}
	}
	if again := m.run("sim", "run", "leader-dies", "--seed", "1"); again.out != r.out {
		t.Errorf("the same seed says something else:\n%s", again.out)
	}
	if other := m.run("sim", "run", "leader-dies", "--seed", "2"); other.out == r.out {
		t.Error("another seed says the same")
	}
}

func TestSimRunOverSeeds(t *testing.T) {
	m := newMachine(t)
	m.run("sim", "run", "lan-10", "--seeds", "3").want(t, 0, "seeds 1 to 3, 3 runs", "")
	o := simulatedRuns(t, m.run("sim", "run", "lan-10", "--seeds", "3", "--seed", "5", "--json").out)
	if len(o.Runs) != 3 || o.Runs[2].Seed != 7 || o.Runs[0].Hash == o.Runs[1].Hash || len(o.OverSeeds) < 4 || o.OverSeeds[0].Count != 3 {
		t.Errorf("%+v", o)
	}
}

func TestSimRunTakesAFileAndASize(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "mine.yaml")
	src := "version: 1\nsites: [{name: desk, count: 3, machines: [{slots: 2}]}]\nbuilds: [{shape: wide, steps: 10, per: 3}]\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	o := simulatedRuns(t, m.run("sim", "run", file, "--nodes", "9", "--json").out)
	if len(o.Runs) != 1 || o.Runs[0].Scenario != "mine" || o.Runs[0].Nodes != 9 || len(o.Runs[0].Builds) != 3 || o.Runs[0].Completed != 3 {
		t.Errorf("%+v", o)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(src, "slots", "slot", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	m.run("sim", "run", file).want(t, 2, "", `did you mean slots?`)
}

func TestSimRunWritesPageAndTrace(t *testing.T) {
	m := newMachine(t)
	page, trace := filepath.Join(t.TempDir(), "page.html"), filepath.Join(t.TempDir(), "trace.json")
	m.run("sim", "run", "leader-dies", "--report", page, "--trace", trace).want(t, 0, "", "")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "buildnet sim run leader-dies --seed 1 --report") {
		t.Errorf("%v", err)
	}
	text, err := os.ReadFile(trace)
	var got struct {
		TraceEvents []struct {
			Phase string `json:"ph"`
		} `json:"traceEvents"`
	}
	if err != nil || json.Unmarshal(text, &got) != nil || len(got.TraceEvents) < 100 {
		t.Errorf("%v, %d events", err, len(got.TraceEvents))
	}
}

// tooShort is a scenario whose builds never end in time.
func tooShort(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "short.yaml")
	src := "version: 1\nsites: [{name: desk, count: 3, machines: [{slots: 2}]}]\nbuilds: [{shape: wide, steps: 10, per: 3}]\nlimits: {run: 1ms}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSimRunWritesNowhere(t *testing.T) {
	m := newMachine(t)
	nowhere := filepath.Join(t.TempDir(), "no", "such")
	for _, flag := range []string{"--trace", "--report"} {
		r := m.run("sim", "run", tooShort(t), flag, nowhere)
		if r.want(t, 2, "", flag+": open"); strings.Contains(r.talked, "RULE BROKEN") {
			t.Errorf("%s: it ran before: %s", flag, r.talked)
		}
	}
}

func TestABrokenRuleIsToldOnAFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no " + full)
	}
	m := newMachine(t)
	for _, flag := range []string{"--trace", "--report"} {
		r := m.run("sim", "run", tooShort(t), flag, full)
		if r.want(t, 1, "", "RULE BROKEN in seed 1: every build ends"); !strings.Contains(r.talked, "choose another place with "+flag) {
			t.Errorf("%s: %s", flag, r.talked)
		}
		m.run("sim", "run", "leader-dies", flag, full).want(t, 1, "", "choose another place with "+flag)
	}
}

func TestThePageIsOfTheRunThatBreaksARule(t *testing.T) {
	m := newMachine(t)
	page := filepath.Join(t.TempDir(), "page.html")
	m.run("sim", "run", tooShort(t), "--seeds", "3", "--report", page).want(t, 1, "", "RULE BROKEN in seed 1")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "every build ends") {
		t.Errorf("%v", err)
	}
}

func TestWrongUseOfSimIsAdvised(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct {
		args []string
		talk string
	}{
		{[]string{"lan10"}, "did you mean lan-10?"},
		{[]string{"none.yaml"}, "buildnet sim list"},
		{[]string{"lan-10", "--nodes", "0"}, "--nodes 0"},
		{[]string{"lan-10", "--nodes", "30000"}, "the limit is 20000"},
		{[]string{"lan-10", "--seeds", "0"}, "--seeds 0"},
		{[]string{"chaos", "--nodes", "5"}, "leave out the number"},
		{nil, "buildnet: it needs a scenario; `buildnet sim list`"},
		{[]string{"lan-10", "chaos"}, "buildnet: 2 scenarios"},
	} {
		m.run(append([]string{"sim", "run"}, c.args...)...).want(t, 2, "", c.talk)
	}
}

func TestInterruptedSimPrintsWhatItHas(t *testing.T) {
	m := newMachine(t)
	m.signals <- syscall.SIGINT
	r := m.run("sim", "run", "campus-1000", "--seeds", "100")
	r.want(t, 130, "campus-1000", "interrupted")
}

func TestProgressIsForTerminalsAlone(t *testing.T) {
	m := newMachine(t)
	m.screen = cli.Terminal
	r := m.run("sim", "run", "slow-worker")
	if r.status != 0 || strings.Contains(r.out, "\x1b") || strings.Contains(r.talked, "\n") {
		t.Errorf("status %d, stderr %q", r.status, r.talked)
	}
}
