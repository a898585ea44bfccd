//go:build flaws

package simulations_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/draw"
)

const (
	// mostSeeds is within how many seeds each flaw has to be found.
	mostSeeds = 500
	// seedsAtOnce run to their end before it is looked whether one failed: which
	// one is the first does not depend on how many processors there are.
	seedsAtOnce = 10
)

// flaws are the bugs that may be planted (see the files flaws.go of the
// machines), each with the rules by which it may show first.
var flaws = map[string][]string{
	"old-epoch":      {"no lower epoch is obeyed", "one leader a build"},
	"early-announce": {"a standby keeps what is announced"},
	"no-hearing":     {"no step is executed twice", "an announced result is kept"},
	"forget-lost":    {"every build ends"},
	"unsorted":       {simulations.SameRule},
	"no-refetch":     {"every build ends"},
	"patient":        {"commands and steps take turns"},
	"backups":        {"backups are few", "backups waste little", "who lost half does nothing twice"},
}

// TestTheFlawIsFound runs with one flaw, or, if BUILDNET_FLAW is not set, shows
// that it is not the build tag that breaks rules.
func TestTheFlawIsFound(t *testing.T) {
	flaw := os.Getenv("BUILDNET_FLAW")
	rules, known := flaws[flaw]
	if flaw != "" && !known {
		t.Fatalf("BUILDNET_FLAW=%s is none of the flaws", flaw)
	}
	begun, ran := time.Now(), 0
	var first *simulations.Failure
	for ; first == nil && ran < mostSeeds; ran += seedsAtOnce {
		if failures := simulations.Seeds(t.Context(), uint64(ran)+1, seedsAtOnce, draw.Setting, nil); len(failures) > 0 {
			first = &failures[0]
		}
	}
	took := time.Since(begun).Round(10 * time.Millisecond)
	switch {
	case first == nil && flaw == "":
		t.Logf("no flaw: %d seeds, %v", ran, took)
	case first == nil:
		t.Errorf("%s: not found in %d seeds, %v", flaw, ran, took)
	case !slices.Contains(rules, first.Violation.Rule):
		t.Errorf("%s: another rule is broken\n%s", flaw, first)
	default:
		t.Logf("%s: seed %d is the first that finds it, of %d that ran in %v, by the rule %q", flaw, first.Setting.Seed, ran, took, first.Violation.Rule)
		t.Log(first.Violation.Text)
	}
}
