package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
)

func (a *app) queueCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "queue COMMAND",
		Short: "look after steps that were given up",
		Long: "A step that comes to nothing for another reason than its command, such as a full\n" +
			"disk or a machine that dies, is tried again on others, later each time. After five\n" +
			"tries it is given up, and kept with the causes: a dead letter. A command that fails\n" +
			"is none: `buildnet builds show` shows it.",
		Example: "  buildnet queue dead",
	})
	c.AddCommand(a.queueDeadCommand(), a.queueRetryCommand())
	return c
}

func (a *app) queueDeadCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "dead [--json]",
		Short: "list the steps that were given up",
		Long: "Lists the steps of this machine's builds that were given up though their commands\n" +
			"did not fail, newest first: when, why, and what went wrong on which machine. They\n" +
			"are kept for two weeks, 1000 at most. A step is taken off when a build here has a\n" +
			"good result of it; `buildnet queue retry` makes one. On a node for all users you\n" +
			"see your own, and root sees all.",
		Example: "  buildnet queue dead --json",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.inSession(c.Context(), func(ctx context.Context, s session) error { return a.listDead(ctx, s, as) })
		},
	}, asksNode...)
	as.flag(c, "print one JSON array")
	return c
}

func (a *app) listDead(ctx context.Context, s session, f format) error {
	letters, err := s.DeadLetters(ctx)
	if err != nil {
		return err
	}
	if f == asLine {
		return a.printJSON(append([]api.DeadLetter{}, letters...))
	}
	if len(letters) == 0 {
		a.say("no step was given up")
	}
	for _, l := range letters {
		if err := a.print("%s  %s of %s, %s, in build %s\n  %s\n%s", l.ID, l.Step, l.Root, humanize.Time(l.At), l.Build, firstLine(l.Cause), triesOf(l)); err != nil {
			return err
		}
	}
	return nil
}

// triesOf has a line for each machine and cause, in the order of the tries.
func triesOf(l api.DeadLetter) string {
	var lines []string
	count := map[string]int{}
	for _, t := range l.Tries {
		where := t.Name
		if where == "" {
			where = names{}.of(t.Peer)
		}
		line := where + ": " + firstLine(t.Cause)
		if count[line]++; count[line] == 1 {
			lines = append(lines, line)
		}
	}
	var b strings.Builder
	for _, line := range lines {
		times := ""
		if n := count[line]; n > 1 {
			times = fmt.Sprintf(" (%d times)", n)
		}
		fmt.Fprintf(&b, "    %s%s\n", line, times)
	}
	return b.String()
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

type retryFlags struct {
	all, json bool
}

func (a *app) queueRetryCommand() *cobra.Command {
	var o retryFlags
	c := leaf(&cobra.Command{
		Use:   "retry ID... [--json]\n  buildnet queue retry --all [--json]",
		Short: "build steps again that were given up",
		Long: "Builds the steps again, and what they need, in the trees that they are of and with\n" +
			"the options of the builds that gave them up; the environment is that of this\n" +
			"command. Steps of one tree and with the same options are one build. ID is one of\n" +
			"`buildnet queue dead`, or its beginning; --all leaves out trees of other users.\n" +
			"A step that has a good result then is taken off the list.",
		Example: "  buildnet queue retry 3f9a",
		RunE: func(c *cobra.Command, args []string) error {
			if o.all == (len(args) > 0) {
				return usage{errors.New("name the steps by their IDs, or all with --all; see `buildnet queue dead`")}
			}
			return a.retry(c.Context(), args, o)
		},
	}, exitOK, exitFailed, exitUsage, exitUnreachable, exitInterrupted)
	c.Flags().SortFlags = false
	c.Flags().BoolVar(&o.all, "all", false, "every step that was given up")
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object a line, as it happens; each build ends with build.finished")
	return c
}

// retry makes the builds one after the other. One that fails does not keep the
// others from being made.
func (a *app) retry(ctx context.Context, ids []string, o retryFlags) error {
	var letters []api.DeadLetter
	err := a.inSession(ctx, func(ctx context.Context, s session) (err error) {
		letters, err = s.DeadLetters(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if letters, err = chosen(letters, ids); err != nil {
		return err
	}
	if o.all {
		letters = slices.DeleteFunc(letters, a.leavesToOwner)
	}
	if len(letters) == 0 {
		a.say("no step was given up")
	}
	var failed error
	for _, r := range requests(letters) {
		r.Env = environment(a.sys.Environ)
		err := a.showBuilding(ctx, r, a.viewOf(buildFlags{json: o.json}))
		if err != nil && !errors.Is(err, errFailed) {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// leavesToOwner reports, and says, that a step is of a tree of another user, as
// on a node that several share: what a project runs, it runs with the rights of
// whoever asks for it.
func (a *app) leavesToOwner(l api.DeadLetter) bool {
	if !ofAnotherUser(l.Root) {
		return false
	}
	a.say("%s is left to the owner of %s; name its ID to build it all the same", l.Step, l.Root)
	return true
}

// chosen are the letters that a user names; all if there are no IDs.
func chosen(letters []api.DeadLetter, ids []string) ([]api.DeadLetter, error) {
	if len(ids) == 0 {
		return letters, nil
	}
	var some []api.DeadLetter
	for _, id := range ids {
		var found []api.DeadLetter
		for _, l := range letters {
			if strings.HasPrefix(l.ID, id) {
				found = append(found, l)
			}
		}
		switch {
		case len(found) == 0 || id == "":
			return nil, usage{fmt.Errorf("no step that was given up has an ID like %q; see `buildnet queue dead`", id)}
		case len(found) > 1:
			return nil, usage{fmt.Errorf("the IDs of %d steps begin with %q; give more of it", len(found), id)}
		}
		some = append(some, found[0])
	}
	return some, nil
}

// requests are the builds of letters: one for each tree and set of options, in
// the order of the letters.
func requests(letters []api.DeadLetter) (all []api.BuildRequest) {
	place := map[string]int{}
	for _, l := range letters {
		r := l.Again
		r.Targets = nil
		key, _ := json.Marshal(r) // strings, numbers and switches alone
		at, ok := place[string(key)]
		if !ok {
			at = len(all)
			place[string(key)] = at
			all = append(all, r)
		}
		if !slices.Contains(all[at].Targets, l.Step) {
			all[at].Targets = append(all[at].Targets, l.Step)
		}
	}
	return all
}
