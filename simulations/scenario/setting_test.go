package scenario_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/workload"
)

// checkSound checks that all places that a setting names are there.
func checkSound(t interface{ Fatalf(string, ...any) }, s *setting.Setting) {
	if len(s.Nodes) != len(s.Network.Site) {
		t.Fatalf("%d nodes, %d in the network", len(s.Nodes), len(s.Network.Site))
	}
	for _, b := range s.Builds {
		if b.Initiator < 0 || b.Initiator >= len(s.Nodes) {
			t.Fatalf("build %s of node %d", b.Name, b.Initiator)
		}
		if err := b.Graph.Validate(); err != nil {
			t.Fatalf("build %s: %v", b.Name, err)
		}
	}
	for i, f := range s.Faults {
		if err := f.Validate(); err != nil {
			t.Fatalf("fault %d: %v", i, err)
		}
		if f.Target.Node >= len(s.Nodes) || f.Target.Build >= len(s.Builds) || f.At > s.HealAt {
			t.Fatalf("fault %d: %+v, healed at %s", i, f, s.HealAt)
		}
	}
}

func load(t *testing.T, src string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Load([]byte(src), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func settingOf(t *testing.T, s *scenario.Scenario, seed uint64, nodes int) *setting.Setting {
	t.Helper()
	got, err := s.Setting(seed, scenario.Scale{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	checkSound(t, got)
	return got
}

func TestBuiltinsAreSettings(t *testing.T) {
	for _, s := range scenario.Builtins() {
		t.Run(s.Name(), func(t *testing.T) {
			got := settingOf(t, s, 1, 0)
			small := min(s.Nodes(), 100) // 0 stays what it is
			one := settingOf(t, s, 1, small)
			if !reflect.DeepEqual(one, settingOf(t, s, 1, small)) {
				t.Error("the same seed makes another setting")
			}
			if reflect.DeepEqual(one, settingOf(t, s, 2, small)) {
				t.Error("another seed makes the same setting")
			}
			if s.Description() == "" || s.Nodes() != len(got.Nodes) && !s.Drawn() {
				t.Errorf("%q has %d nodes, says %d", s.Description(), len(got.Nodes), s.Nodes())
			}
		})
	}
}

func TestScaledSettingsKeepTheirProportions(t *testing.T) {
	src, err := scenario.Source("planet-10000")
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, strings.Replace(string(src), "steps: 150..250", "steps: 5", 1))
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(5, 1000).Draw(r, "nodes")
		got, err := s.Setting(1, scenario.Scale{Nodes: n})
		if err != nil {
			r.Fatal(err)
		}
		checkSound(r, got)
		sites, cells := map[int]int{}, map[int]int{}
		for i, node := range got.Nodes {
			sites[got.Network.Site[i]]++
			cells[node.Cell]++
		}
		if want := []int{3000 * n / 10000, 1000 * n / 10000, 3000 * n / 10000, 2500 * n / 10000, 500 * n / 10000}; len(got.Nodes) != n {
			r.Fatalf("%d nodes", len(got.Nodes))
		} else {
			for i, w := range want {
				if sites[i] < max(1, w-4) || sites[i] > w+4 {
					r.Fatalf("site %d has %d nodes, want about %d", i, sites[i], w)
				}
			}
		}
		if largest := slices.Max(slices.Collect(maps.Values(cells))); largest > 200 {
			r.Fatalf("a cell of %d", largest)
		}
		if len(got.Builds) != (n+19)/20 {
			r.Fatalf("%d builds", len(got.Builds))
		}
	})
}

func TestMachinesAreDealtInTurn(t *testing.T) {
	s := load(t, strings.Replace(small, "[{bpu: 1, slots: 4}]", "[{bpu: 1, slots: 1}, {count: 3, bpu: 2, slots: 2}]", 1))
	var slots []int
	for _, n := range settingOf(t, s, 1, 8).Nodes {
		slots = append(slots, n.Slots)
	}
	ones := 0
	for _, n := range slots {
		if n == 1 {
			ones++
		}
	}
	if ones != 2 || slices.Equal(slots[:2], []int{1, 1}) {
		t.Error(slots)
	}
	if n := settingOf(t, s, 1, 0).Nodes; len(n) != 4 {
		t.Error(len(n))
	}
}

func TestSharedBuildsHaveContentsInCommon(t *testing.T) {
	contents := func(share string) (common, all int) {
		s := load(t, strings.Replace(small, "shape: chain, steps: 3", "shape: packages, steps: 200, count: 2, shared: "+share, 1))
		b := settingOf(t, s, 1, 0).Builds
		has := map[string]workload.Step{}
		for _, step := range b[0].Graph.Steps {
			has[step.Content] = step
		}
		for _, step := range b[1].Graph.Steps {
			if other, ok := has[step.Content]; ok {
				if common++; other.Cost != step.Cost || other.OutputBytes != step.OutputBytes {
					t.Errorf("%s is two things", step.Content)
				}
			}
		}
		return common, len(b[1].Graph.Steps)
	}
	if n, _ := contents("0"); n != 0 {
		t.Errorf("%d steps in common, want none", n)
	}
	if n, all := contents("1"); n != all {
		t.Errorf("%d of %d steps in common", n, all)
	}
	if n, _ := contents("0.5"); n < 20 || n > 80 { // each of both has its own half
		t.Errorf("%d steps in common, want a quarter of 200", n)
	}
}

func TestChurnIsAsMuchAsItSaysAndSparesInitiators(t *testing.T) {
	s := load(t, strings.Replace(small, "desk", "desk\n    count: 5000", 1)+"churn: {share: 0.02, away: 5s..10s, for: 2m}\n")
	got := settingOf(t, s, 1, 0)
	if n := len(got.Faults); n < 150 || n > 250 {
		t.Errorf("%d deaths in 2 minutes of 2 %% of 5000", n)
	}
	for _, f := range got.Faults {
		if f.Target.Node == got.Builds[0].Initiator {
			t.Error("the initiator dies")
		}
	}
}

func TestWhatDoesNotFitTheSizeIsRefused(t *testing.T) {
	for line, want := range map[string]string{
		"faults: [kill node 5]":                          "there are 3 nodes,",
		"faults: [{do: kill, to: desk-9}]":               `no node "desk-9" at this size`,
		"faults: [kill leader of build 2]":               "there is 1 build,",
		"faults: [{do: kill, to: leader, build: app-2}]": `no build "app-2" at this size`,
		"faults: [{do: kill, to: desk}]":                 "a whole site",
	} {
		if _, err := load(t, small+line+"\n").Setting(1, scenario.Scale{Nodes: 3}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := load(t, small).Setting(1, scenario.Scale{Nodes: 20_001}); err == nil {
		t.Error("too many nodes are taken")
	}
}
