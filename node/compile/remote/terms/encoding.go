package terms

import (
	"slices"
	"unicode/utf8"

	"github.com/buildnet/buildnet/sched/action"
)

// maxArgs is what an action may have: see package action.
const maxArgs = 100_000

// encoding judges whether messages can carry it all: they are UTF-8, and paths
// of outputs are written with neither newlines nor backslashes.
func (j *judge) encoding(t *Terms) {
	if len(t.Argv) > maxArgs {
		j.against("it has more than %d arguments", maxArgs)
	}
	texts := [][]string{t.Argv, j.Answer.Files, j.Answer.Dirs}
	for _, e := range t.Env {
		texts = append(texts, []string{e.Value})
	}
	for _, l := range j.Answer.Links {
		texts = append(texts, []string{l.Path, l.Target})
	}
	for _, ts := range texts {
		if i := slices.IndexFunc(ts, func(s string) bool { return !utf8.ValidString(s) }); i >= 0 {
			j.against("%q is not UTF-8", ts[i])
		}
	}
	for _, o := range t.Outputs {
		if !action.CleanPath(o) {
			j.against("an output cannot be called %q", o)
		}
	}
	if t.Dir != "" && !action.CleanPath(t.Dir) {
		j.against("a working directory cannot be called %q", t.Dir)
	}
}
