// Package check is the rules that no run of a simulated world may break. Each
// rule is a file: it watches the world's events and says what is wrong. It is
// pure. Start reading at Rule, then at All.
package check

import (
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// World is what a rule may ask besides what it is told.
type World interface {
	Setting() *setting.Setting
	// Connected reports whether two nodes can send to each other now, in both
	// directions.
	Connected(a, b int) bool
	// Holds reports whether a node has an output now: Announced names it by the
	// same part of its digest.
	Holds(node int, output uint64) bool
}

// Rule is one thing that always holds. An answer that is not empty says how it
// was broken.
type Rule interface {
	// Name is short and stable, in lower case: "an announced result is kept".
	Name() string
	// Observe is called with every event, after it happened.
	Observe(w World, e *trace.Event) string
	// Settle is called when the run has ended.
	Settle(w World) string
}

// Violation is a broken rule.
type Violation struct {
	Rule string
	Text string
}

// All are the rules, in the order in which they are asked. Each run needs its
// own.
func All() []Rule {
	return []Rule{
		NewEpochs(), NewLeaders(), NewCommits(), NewKept(), NewHeirs(), NewStandbys(), NewTurns(), NewFinal(), NewResults(),
		NewReasons(), NewTwice(), NewShared(), NewSuccession(), NewContinuations(),
		NewSlots(), NewCommands(), NewEpidemic(), NewCauses(), NewQuiet(), NewEnds(), NewMakespan(),
		NewBackups(), NewWaste(), NewModes(),
	}
}

// Names are the names of all rules.
func Names() []string {
	var names []string
	for _, r := range All() {
		names = append(names, r.Name())
	}
	return names
}

// unsettled is embedded by rules that have nothing to say at the end.
type unsettled struct{}

// Settle says nothing.
func (unsettled) Settle(World) string { return "" }
