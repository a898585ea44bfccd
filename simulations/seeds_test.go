package simulations_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/draw"
	"github.com/buildnet/buildnet/simulations/setting"
)

var (
	seeds     = flag.Int("seeds", 300, "how many seeds TestSeeds runs")
	firstSeed = flag.Uint64("first-seed", 1, "the first of them")
)

func TestSeeds(t *testing.T) {
	begun, events, worlds := time.Now(), uint64(0), time.Duration(0)
	each := func(o *simulations.Outcome, _ *simulations.Failure) {
		if o != nil {
			events += o.Events
			worlds += o.Ended
		}
	}
	for _, f := range simulations.Seeds(t.Context(), *firstSeed, *seeds, draw.Setting, each) {
		t.Error(f.String())
	}
	t.Logf("%d seeds, %d events, %v in the worlds, %v here", *seeds, events, worlds.Round(time.Second), time.Since(begun).Round(time.Millisecond))
}

// hashes are those of the events of drawn seeds. What is written down is of
// amd64: elsewhere the compiler may fuse multiplications with additions.
func hashes(t *testing.T, d *datadriven.TestData) string {
	if runtime.GOARCH != "amd64" {
		return d.Expected
	}
	first, n := arg(t, d, "first", "1", strconv.Atoi), arg(t, d, "n", "10", strconv.Atoi)
	var b strings.Builder
	for seed := first; seed < first+n; seed++ {
		o, err := simulations.Run(t.Context(), draw.Setting(uint64(seed)), simulations.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d: %016x, %d events\n", seed, o.Hash, o.Events)
	}
	return b.String()
}

func TestAnotherSeedIsAnotherRun(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(10) {
		o, err := simulations.Run(t.Context(), draw.Setting(seed), simulations.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[o.Hash]; twice {
			t.Errorf("seeds %d and %d have the same events", other, seed)
		}
		seen[o.Hash] = seed
		again := draw.Setting(seed)
		again.Seed++
		if other, err := simulations.Run(t.Context(), again, simulations.Options{}); err != nil || other.Hash == o.Hash {
			t.Errorf("seed %d: what was drawn is the same, and the chance is another: hash %x, %v", seed, o.Hash, err)
		}
	}
}

func TestAgainComparesWithTheRunBefore(t *testing.T) {
	s := draw.Setting(1)
	o, err := simulations.Run(t.Context(), s, simulations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f, done := simulations.Again(t.Context(), s, o.Hash, nil); f != nil || !done {
		t.Errorf("the same: %v, done %v", f, done)
	}
	if f, done := simulations.Again(t.Context(), s, o.Hash+1, nil); f == nil || f.Violation.Rule != simulations.SameRule || !done {
		t.Errorf("another hash: %v, done %v", f, done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, done := simulations.Again(ctx, s, o.Hash+1, nil); f != nil || done {
		t.Errorf("interrupted: %v, done %v", f, done)
	}
}

func TestSeedsStopWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	simulations.Seeds(ctx, 1, 1_000_000, draw.Setting, func(*simulations.Outcome, *simulations.Failure) {
		if ran++; ran == 5 {
			cancel()
		}
	})
	if ran > 50 {
		t.Errorf("%d seeds ran", ran)
	}
}

func TestAFailureTellsAll(t *testing.T) {
	s := draw.Setting(3)
	s.Limit = time.Millisecond // no build is that fast
	s.Faults, s.HealAt, s.Flaky = nil, 0, 0
	_, f := simulations.Twice(t.Context(), s)
	if f == nil {
		t.Fatal("nothing is wrong")
	}
	for _, part := range []string{
		"seed 3", `the rule "every build ends"`, "node 0: site", "build 0: of node", "the last events:", "buildnet sim run chaos --seed 3\n", "--shrink",
	} {
		if !strings.Contains(f.String(), part) {
			t.Errorf("no %q in:\n%s", part, f)
		}
	}
}

func TestShrinkFindsASmallerOne(t *testing.T) {
	impatient := func(seed uint64) *setting.Setting {
		s := draw.Setting(seed)
		s.Limit, s.HealAt = time.Millisecond, 0
		return s
	}
	first := impatient(11)
	one, two := simulations.Shrink(t.Context(), first, "every build ends"), simulations.Shrink(t.Context(), impatient(11), "every build ends")
	if one.Violation.Rule != "every build ends" || one.String() != two.String() {
		t.Fatalf("two ways of shrinking one seed:\n%s\n%s", one, two)
	}
	if s := one.Setting; len(s.Builds) != 1 || len(s.Builds[0].Graph.Steps) != 1 || len(s.Nodes) != 1 || len(s.Faults) > 0 || s.Nodes[0].Slots != 1 || s.Builds[0].Modes.Jobs > 0 {
		t.Errorf("it could be smaller:\n%s", one)
	}
	for _, part := range []string{"where it came from: buildnet sim run chaos --seed 11\n", "again: buildnet sim run chaos --seed 11 --shrink\n"} {
		if !strings.Contains(one.String(), part) {
			t.Errorf("no %q in:\n%s", part, one)
		}
	}
	// What is as small as can be comes from itself.
	if least := simulations.Shrink(t.Context(), one.Setting, "every build ends"); least.Smaller || !strings.Contains(least.String(), "to see it again: ") {
		t.Errorf("smaller than the smallest:\n%s", least)
	}
}
