package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// slowest is the step that most work waits for. By name it is the last but one.
const slowest = "p:y.first"

// chained is a project of sixteen short steps and a chain of two long ones, which
// come last in the order that is taken where nothing is known. version is in
// all sources, so that nothing of another version is known by its result.
func chained(version string) map[string]string {
	var b strings.Builder
	b.WriteString("version: 1\npackages:\n  - name: p\n    steps:\n")
	step := func(out, first, in string) {
		fmt.Fprintf(&b, "      - run: \"%s cat %s > %s\"\n        inputs: [\"%s\"]\n        outputs: [\"%s\"]\n", first, in, out, in, out)
	}
	for i := range 16 {
		step(fmt.Sprintf("a%02d.short", i), "", "source")
	}
	step("y.first", "sleep 2;", "source")
	step("z.second", "sleep 1;", "y.first")
	return map[string]string{".buildnet/config.yaml": b.String(), "source": version}
}

// A machine that joins and builds the project first knows from the others what
// its steps take: the long chain begins first, and what the build takes is said
// beforehand.
func TestAFreshMachinesFirstBuildIsOrderedByCriticalPath(t *testing.T) {
	nodes := nodetest.Mesh(t, 2, 1)
	first := nodes[0].Build(t, nodetest.Tree(t, chained("one")))
	if !first.OK || first.Executed != 18 || first.Forecast != nil {
		t.Fatalf("first build: %+v", first)
	}
	inv, err := nodes[0].Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	fresh := nodetest.Start(t, 1, inv.Token)
	meets(t, fresh, 3)
	f := fresh.Build(t, nodetest.Tree(t, chained("two")))
	if !f.OK || f.Executed != 18 {
		t.Fatalf("first build of the fresh machine: %+v", f)
	}
	if f.Forecast == nil || f.Forecast.First.ETAMS <= 0 || f.Forecast.First.TookMS <= 0 {
		t.Errorf("forecast: %+v", f.Forecast)
	}
	rec, err := fresh.Client.Recording(t.Context(), f.Build)
	if err != nil {
		t.Fatal(err)
	}
	at, before := map[string]event.RecordedStep{}, 0
	for _, s := range rec.Steps {
		at[s.Name] = s
	}
	for name, s := range at {
		if short := strings.HasSuffix(name, ".short"); short && !(s.Hint > 0 && s.Hint < at[slowest].Hint) {
			t.Errorf("%s is expected to take %v, the long one %v", name, s.Hint, at[slowest].Hint)
		}
		if s.StartedUS < at[slowest].StartedUS {
			before++
		}
	}
	// It is given away first, but begins a little later on another machine.
	if before >= 8 {
		t.Errorf("%d of 16 steps began before the one that most waits for", before)
	}
}

// meets waits until a node knows of size members all that a build needs.
func meets(t *testing.T, n *nodetest.Node, size int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for known := 0; known < size; <-tick.C {
		members, err := n.Client.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		known = 0
		for _, m := range members {
			if m.State == "alive" && m.BPU > 0 && (m.Self || m.RTTMS > 0) {
				known++
			}
		}
	}
}
