package draw

import (
	"reflect"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/workload"
)

func TestASeedIsOneSetting(t *testing.T) {
	for seed := range uint64(50) {
		a, b := Setting(seed), Setting(seed)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two settings", seed)
		}
		if reflect.DeepEqual(a.Nodes, Setting(seed+1).Nodes) && reflect.DeepEqual(a.Faults, Setting(seed+1).Faults) {
			t.Errorf("seeds %d and %d draw the same", seed, seed+1)
		}
	}
}

func TestEverySettingIsValid(t *testing.T) {
	for seed := range uint64(2000) {
		s := Setting(seed)
		if err := s.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		steps := 0
		for i := range s.Builds {
			steps += len(s.Builds[i].Graph.Steps)
		}
		if len(s.Nodes) > 40 || steps > mostSteps+3*7 {
			t.Errorf("seed %d: %d nodes, %d steps", seed, len(s.Nodes), steps)
		}
	}
}

func TestEverythingIsDrawn(t *testing.T) {
	seen := map[string]int{}
	count := func(what string, is bool) {
		if is {
			seen[what]++
		} else {
			seen[what] += 0
		}
	}
	for seed := range uint64(2000) {
		s := Setting(seed)
		count("calm", len(s.Faults) == 0 && s.Flaky == 0)
		count("large", len(s.Nodes) > 12)
		count("alone", len(s.Nodes) == 1)
		count("several builds", len(s.Builds) > 1)
		count("shared contents", len(s.Builds) > 1 && s.Builds[0].Graph.Steps[0].Content == s.Builds[1].Graph.Steps[0].Content)
		count("sites", len(s.Network.Sites) > 1)
		count("flaky", s.Flaky > 0)
		b := &s.Builds[0]
		count("force", b.Modes.Force)
		count("open", b.Arrivals != nil)
		count("commands", len(s.Commands) > 0)
		count("local", b.Modes.Local)
		count("jobs", b.Modes.Jobs > 0)
		for i := range s.Nodes {
			count("skew", s.Nodes[i].Skew != 0)
			count("late", s.Nodes[i].Late != 0)
			count("cells", s.Nodes[i].Cell != 0)
			count("no slots", s.Nodes[i].Slots == 0)
		}
		for i := range b.Graph.Steps {
			for n := workload.Failing; n <= workload.Losing; n++ {
				count("nature "+string('0'+n), b.Graph.Steps[i].Nature == n)
			}
			count("here", b.Graph.Steps[i].Here)
			count("toolchain", b.Graph.Steps[i].Toolchain != "")
		}
	}
	for what, n := range seen {
		if n < 20 {
			t.Errorf("%s: drawn %d times in 2000 seeds", what, n)
		}
	}
	if n := seen["calm"]; n < 600 || n > 1000 {
		t.Errorf("%d of 2000 seeds are calm", n)
	}
}

func TestDescribeTellsEverything(t *testing.T) {
	for seed := range uint64(200) {
		s := Setting(seed)
		text := Describe(s)
		want := 1 + len(s.Network.Sites) + len(s.Network.Routes) + len(s.Nodes) + len(s.Builds) + len(s.Commands) + len(s.Faults)
		if got := strings.Count(text, "\n"); got != want {
			t.Errorf("seed %d: %d lines, want %d", seed, got, want)
		}
	}
	t.Log("\n" + Describe(Setting(4)))
}
