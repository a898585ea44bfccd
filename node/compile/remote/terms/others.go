package terms

import (
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
)

// OfLink returns the terms of a link, or the reasons why it is for this machine.
// The files and directories of its Answer are what it reads, and Own is where
// the compiler and its linker look for libraries. Of the bound directories
// foreign have to be as they are here, and exact have to be empty but for its
// inputs.
func OfLink(c *Case, foreign, exact []string) (*Terms, []string) {
	j := judge{Case: c, dirs: slices.Clone(foreign)}
	j.reads()
	j.places()
	for _, d := range c.Answer.Own {
		if holder(path.Clean(d), c.Bound) == "" {
			j.against("the compiler has libraries in %s, which other machines do not show", d)
		}
	}
	t := j.terms("link")
	j.exact(t, exact)
	return j.conclude(t)
}

// exact names the directories that hold inputs alone.
func (j *judge) exact(t *Terms, dirs []string) {
	for _, d := range dirs {
		if strings.Contains(d, ":") {
			j.against("other machines may have a %s", d)
		}
	}
	t.Exact = strings.Join(dirs, ":")
}

// Task is a command that is no compiler's, and all that it reads. Paths are
// absolute.
type Task struct {
	Argv []string
	Env  []action.Property
	// Programs are all that it runs, by their names; nil is anything that is
	// installed.
	Programs []string
	// Dir and Outputs are as those of a Case.
	Dir     string
	Outputs []string
	// Reads are its files, and the links and directories on the way there.
	Reads compile.Reads
	Bound []string
	// Installed is as that of a Case.
	Installed func(locale string) bool
}

// OfTask returns the terms of a task, which may change files in their places, or
// the reasons why it is for this machine.
func OfTask(t *Task) (*Terms, []string) {
	j := judge{changes: true, Case: &Case{
		Command: &compile.Command{Env: t.Env}, Dir: t.Dir, Outputs: t.Outputs, Bound: t.Bound, Installed: t.Installed,
		Answer: compile.Answer{Reads: t.Reads, Rung: compile.Scanned},
	}}
	j.reads()
	j.places()
	terms := j.bare(t.Argv, j.environment())
	terms.Spec = "host"
	if len(t.Programs) > 0 {
		terms.Spec = "tools:" + strings.Join(slices.Compact(slices.Sorted(slices.Values(t.Programs))), ",")
	}
	return j.conclude(terms)
}
