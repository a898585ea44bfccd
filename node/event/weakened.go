package event

// BuildWeakened says how a build goes on from here. Mode is "whole",
// "conservative" (half of its workers are lost: nothing is done twice, and only
// long-standing members get work) or "alone" (all of them are); Lost are the
// peers that it has lost. A Notice says it in words.
type BuildWeakened struct {
	Build string   `json:"build"`
	Mode  string   `json:"mode"`
	Lost  []string `json:"lost"`
}

// Kind implements Event.
func (BuildWeakened) Kind() string { return "build.weakened" }
