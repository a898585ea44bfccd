package event

import "time"

// Explanation is why a step of a build was run, or was not, and where.
type Explanation struct {
	Build   string    `json:"build"`
	Root    string    `json:"root"`
	Started time.Time `json:"started"` // the build
	// Step is as the build told of it at its end.
	Step StepFinished `json:"step"`
	// Because are reasons in the words of what has the graph: the step's own, and
	// where that names another step of the build, the reason of that one, and so on.
	Because []Because `json:"because,omitempty"`
	// Before is the last build of the same root before that one in which the step
	// had an action; absent if there is none.
	Before string `json:"before,omitempty"`
	// Same says that its action was the same one then.
	Same bool `json:"same,omitempty"`
	// Differences are those of the actions, More how many there are beyond those.
	Differences []Difference `json:"differences,omitempty"`
	More        int          `json:"more,omitempty"`
	// Unknown is what of them could not be compared, and why.
	Unknown string `json:"unknown,omitempty"`
	// Policy is how the build used the mesh.
	Policy *Policy           `json:"policy,omitempty"`
	Names  map[string]string `json:"names,omitempty"`
}

// Because is why a step was to run.
type Because struct {
	Step string `json:"step"`
	Why  string `json:"why"`
}

// Aspect is a part of an action.
type Aspect string

// The aspects.
const (
	OfCommand     Aspect = "command"
	OfDirectory   Aspect = "directory" // in which it works
	OfEnvironment Aspect = "environment"
	OfInput       Aspect = "input"
	OfOutput      Aspect = "output"
	OfToolchain   Aspect = "toolchain"
	OfPlatform    Aspect = "platform"
)

// Difference is between two actions. Before or Now is absent where there is
// nothing of that name; both are digests where an input is a file.
type Difference struct {
	Of     Aspect `json:"of"`
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	Now    string `json:"now,omitempty"`
}
