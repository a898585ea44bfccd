package scenario_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/simulations/scenario"
)

// small is a scenario to break.
const small = `version: 1
sites:
  - name: desk
    machines: [{bpu: 1, slots: 4}]
builds:
  - {name: app, shape: chain, steps: 3}
`

func TestFaultsSayWhereAndWhatToDo(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"empty":         {"# nothing\n", `x.yaml: the file is empty; begin with "version: 1"`},
		"unknown key":   {small + "limit: {run: 1m}\n", `x.yaml:7:1: limit: unknown key "limit"; did you mean limits?`},
		"deep key":      {strings.Replace(small, "slots", "slot", 1), `x.yaml:4:25: sites[0].machines[0].slot: unknown key "slot"; did you mean slots?`},
		"enum":          {strings.Replace(small, "chain", "chian", 1), `x.yaml:6:17: builds[0].shape: "chian" is not known; did you mean chain?`},
		"duration":      {small + "limits: {run: 5 minutes}\n", `x.yaml:7:10: limits.run: "5 minutes" is no duration; write a duration: 250us, 20ms, 1m30s`},
		"bound":         {strings.Replace(small, "bpu: 1", "bpu: 0", 1), `x.yaml:4:17: sites[0].machines[0].bpu: it is 0; write at least 0.01`},
		"missing":       {strings.Replace(small, ", steps: 3", "", 1), `x.yaml:6:5: builds[0]: steps is missing; add steps`},
		"twice":         {small + "version: 1\n", `x.yaml:7:1: version: the key stands here twice; keep one of them`},
		"site":          {small + "links:\n  - {between: [desk, dask], latency: 1ms}\n", `x.yaml:8:6: links[0].between: there is no site "dask"; did you mean desk?`},
		"fault":         {small + "faults:\n  - kill everybody\n", `x.yaml:8:5: faults[0]: fault "kill everybody": "everybody" is no target; write one of node N, leader, standby, second-standby, worker, holder, initiator, as in "kill leader@50% for 5s"; see the words of a fault in docs/simulation.md`},
		"anchor":        {small + "name: &a b\n", `x.yaml:7:1: name: anchors, aliases and tags mean nothing here; write it out`},
		"no yaml":       {"version: [1\n", `x.yaml:1:10: not YAML: sequence end token ']' not found; correct the YAML there`},
		"not a mapping": {"- 1\n", `x.yaml: this is a list; write a mapping of keys to values`},
		"range":         {strings.Replace(small, "steps: 3", "steps: 5..3", 1), `x.yaml:6:31: builds[0].steps: the range "5..3" ends below its begin; write a whole number, or a range: 200, 150..250`},
		"drawn":         {small + "draw: all\n", `x.yaml:7:1: draw: the seed decides on everything, and the file says more; keep either draw or the rest`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenario.Load([]byte(c.src), "x.yaml")
			if err == nil {
				t.Fatal("it is taken")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	_, err := scenario.Load([]byte("version: 2\ncolour: red\nsites: 5\nbuilds: []\n"), "x.yaml")
	faults := (*strict.Faults)(nil)
	if !errors.As(err, &faults) || len(faults.List) != 4 {
		t.Errorf("%v", err)
	}
}

func TestUnknownScenarioIsAdvised(t *testing.T) {
	if _, err := scenario.Builtin("lan10"); err == nil || !strings.Contains(err.Error(), "did you mean lan-10?") {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(rich)
	f.Add(small)
	for _, s := range scenario.Builtins() {
		src, err := scenario.Source(s.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := scenario.Load([]byte(src), "x.yaml")
		if err != nil {
			if faults := (*strict.Faults)(nil); !errors.As(err, &faults) || err.Error() == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if s.Nodes() > 200 || s.Steps(s.Nodes()) > 20_000 {
			return
		}
		if got, err := s.Setting(1, scenario.Scale{}); err == nil {
			checkSound(t, got)
		}
	})
}
