package workload

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
)

func TestEveryShapeIsValid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, g := range map[string]*Graph{
		"chain": Chain(9), "wide": Wide(9), "layers": Layers(4, 5), "narrow": Layers(1, 5), "diamond": Diamond(6),
		"tangle": Tangle(rng, 6, 5), "one wide": Tangle(rng, 1, 5), "chains": Chains(3, 4), "fork and join": ForkJoin(3, 1, 5),
		"compile": Compile(30), "one source": Compile(1), "packages": Packages(50, rng),
	} {
		if err := g.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := g.Actions(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADrawnGraphIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		g, _ := Draw(rng, n)
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Actions(); err != nil {
			t.Fatal(err)
		}
		if len(g.Steps) > n+7 {
			t.Fatalf("%d steps of %d", len(g.Steps), n)
		}
	})
}

func TestShapesHaveTheirDepth(t *testing.T) {
	for _, c := range []struct {
		g           *Graph
		steps, deep int
	}{
		{Chain(9), 9, 9}, {Wide(9), 10, 2}, {Layers(4, 5), 20, 5}, {Diamond(6), 8, 3}, {Compile(30), 30 + 3 + 1 + 3, 3},
		{Tangle(rand.New(rand.NewPCG(1, 1)), 4, 5), 20, 5}, {Chains(3, 4), 13, 5}, {ForkJoin(3, 5), 1 + 4 + 6, 5},
	} {
		if len(c.g.Steps) != c.steps || c.g.Depth() != c.deep {
			t.Errorf("%d steps, %d deep; want %d, %d", len(c.g.Steps), c.g.Depth(), c.steps, c.deep)
		}
	}
}

func TestLowerBound(t *testing.T) {
	two := []Machine{{BPU: 1, Slots: 2}, {BPU: 2, Slots: 1}, {BPU: 100, Slots: 0}}
	if got := LowerBound(Chain(4), two); got != 2*time.Second {
		t.Errorf("a chain of 4 s on a core of 2 BPU: %v", got)
	}
	if got := LowerBound(Wide(11), two); got != 3*time.Second {
		t.Errorf("12 s of work on 4 BPU: %v", got)
	}
	if got := LowerBound(Wide(11), two[2:]); got != 0 {
		t.Errorf("nobody works: %v", got)
	}
}

func TestReference(t *testing.T) {
	g := Chain(5)
	g.Steps[1].Nature, g.Steps[3].Nature = Careless, Failing
	r := Refer(g)
	for i, want := range []End{Made, Made, Made, Failed, Behind} {
		if r.Ends[i] != want {
			t.Errorf("step %d: %v", i, r.Ends[i])
		}
	}
	if !r.Fixed[0] || r.Fixed[1] || r.Fixed[2] || !r.Fails || r.Outputs[0].IsZero() || r.Actions[1].IsZero() || !r.Actions[2].IsZero() {
		t.Errorf("%+v", r)
	}
}

func TestEqualContentIsTheSameAction(t *testing.T) {
	a, b := Chain(3), Chain(3)
	b.Steps[1].Name, b.Steps[1].Cost = "other", 7
	if ra, rb := Refer(a), Refer(b); ra.Actions[2] != rb.Actions[2] || ra.Outputs[2] != rb.Outputs[2] {
		t.Error("two builds of the same content differ")
	}
	b.Prefix("second")
	if Refer(a).Actions[0] == Refer(b).Actions[0] {
		t.Error("a prefix makes no difference")
	}
	careless := Step{Content: "c", Nature: Careless}
	of := careless.Action([]digest.Digest{careless.Sources()})
	if careless.Output(of, 1) == careless.Output(of, 2) {
		t.Error("a careless step made the same twice")
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	for want, breaks := range map[string]func(g *Graph){
		"no steps":           func(g *Graph) { g.Steps = nil },
		"not before it":      func(g *Graph) { g.Steps[1].Deps = []int{1} },
		"not ascending":      func(g *Graph) { g.Steps[2].Deps = []int{1, 0} },
		"no name":            func(g *Graph) { g.Steps[0].Name = "" },
		"no content":         func(g *Graph) { g.Steps[0].Content = "" },
		"both called":        func(g *Graph) { g.Steps[1].Name = g.Steps[0].Name },
		"same content":       func(g *Graph) { g.Steps[1].Content = g.Steps[0].Content },
		"BPU-seconds, and 0": func(g *Graph) { g.Steps[1].Cost = -1 },
		"sizes are 0":        func(g *Graph) { g.Steps[1].OutputBytes = -1 },
		"nature 9":           func(g *Graph) { g.Steps[1].Nature = 9 },
	} {
		g := Chain(3)
		breaks(g)
		if err := g.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
