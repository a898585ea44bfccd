package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// maxListed is how many builds are listed for people.
const maxListed = 30

func (a *app) buildsCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "builds [show BUILD|attach BUILD] [--json]",
		Short: "list the builds of this machine, or show one again",
		Long: "Lists the builds that were started on this machine, newest first: the last 30, or\n" +
			"with --json all that are kept (1000 at most). An invocation of a Remote Execution\n" +
			"client, such as Bazel, is in it while it goes on, and `running` until nothing was\n" +
			"asked for it for 30 s; of these too 1000 are kept.",
		Example: "  buildnet builds",
		Args:    noBuild,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.inSession(c.Context(), func(ctx context.Context, s session) error { return a.listBuilds(ctx, s, as) })
		},
	}, asksNode...)
	as.flag(c, "print one JSON array")
	c.AddCommand(a.buildsShowCommand(), a.buildsAttachCommand())
	return c
}

// noBuild refuses what looks like a build's ID without "show".
func noBuild(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command %q; did you mean `buildnet builds show %s`?", args[0], args[0])
	}
	return nil
}

func (a *app) buildsShowCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "show [BUILD] [--json]",
		Short: "show a build again",
		Long: "Shows what became of every step of a build, with all that failed steps printed.\n" +
			"BUILD is an ID of `buildnet builds`, or its beginning; none is the newest. Of a\n" +
			"Remote Execution client it may be the client's own invocation ID.",
		Example: "  buildnet builds show 3f9a",
		Args:    takes("[BUILD]"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inSession(c.Context(), func(ctx context.Context, s session) error {
				return a.showBuild(ctx, s, args, as)
			})
		},
	}, asksNode...)
	as.flag(c, "print one JSON object, with all events of the build")
	return c
}

func (a *app) listBuilds(ctx context.Context, s session, f format) error {
	limit := maxListed
	if f == asLine {
		limit = 0
	}
	records, err := s.Builds(ctx, limit)
	if err != nil {
		return err
	}
	if f == asLine {
		return a.printJSON(append([]api.BuildRecord{}, records...))
	}
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUILD\tSTARTED\tOUTCOME\tTIER\tSTEPS\tEXECUTED\tTIME\tPROJECT")
	for _, r := range records {
		var sum event.BuildFinished
		if err := json.Unmarshal(r.Summary, &sum); err != nil {
			return fmt.Errorf("read the summary of build %s: %w", r.Build, err)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.Build, humanize.Time(r.Started), recordOutcome(r, sum), sum.Tier, sum.Steps, sum.Executed, wall(sum.WallMS), r.Root)
	}
	return flush(w)
}

// recordOutcome is how a build ended, if it has.
func recordOutcome(r api.BuildRecord, f event.BuildFinished) string {
	if r.Running {
		return "running"
	}
	return outcomeText(f)
}

func outcomeText(f event.BuildFinished) string {
	switch {
	case f.OK:
		return "built"
	case f.Cancelled:
		return "interrupted"
	default:
		return "FAILED"
	}
}

func (a *app) showBuild(ctx context.Context, s session, args []string, f format) error {
	id, err := buildID(ctx, s, args)
	if err != nil {
		return err
	}
	r, err := s.ShowBuild(ctx, id)
	if err != nil {
		return err
	}
	if f == asLine {
		return a.printJSON(r)
	}
	return a.printBuild(r)
}

// buildID returns what the user named, or the newest.
func buildID(ctx context.Context, s session, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	newest, err := s.Builds(ctx, 1)
	if err != nil {
		return "", err
	}
	if len(newest) == 0 {
		return "", &api.Error{Kind: api.NotFound, Message: "no build is recorded here", Hint: "make one with `buildnet build`"}
	}
	return newest[0].Build, nil
}

// runTime is how long a step ran, and was expected to.
func runTime(e event.StepFinished) string {
	if e.SavedMS > 0 {
		return "saved " + wall(float64(e.SavedMS))
	}
	text := wall(float64(e.RunMS))
	if e.ExpectedMS > 0 {
		text += " (expected " + wall(float64(e.ExpectedMS)) + ")"
	}
	if e.Asked != nil && e.QueuedMS >= worthQueued {
		text += " (queued " + wall(float64(e.QueuedMS)) + ")"
	}
	return text
}

// worthQueued is how long a client's step must have waited for a slot to be told of,
// in milliseconds.
const worthQueued = 100

// target is a column that says of which target a client's step is.
func target(e event.StepFinished) string {
	if e.Asked == nil || e.Asked.Target == "" {
		return ""
	}
	return "\t" + e.Asked.Target
}

// whereWhy is a column that says why a step ran where it did, if it could have run
// elsewhere.
func (n names) whereWhy(e event.StepFinished) string {
	c := e.Choice
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("\t%s: here %s, %s %s", c.Why, wall(float64(c.HereMS)), n.of(c.Peer), wall(float64(c.ThereMS)))
	if c.RegretMS > 0 {
		text += ", regret " + wall(float64(c.RegretMS))
	}
	return text
}

// printBuild lists the steps, then tells what else happened.
func (a *app) printBuild(r api.BuildRecord) error {
	var (
		n    = names{}
		talk bytes.Buffer
		sum  string
	)
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "build %s of %s, started %s\n", r.Build, r.Root, r.Started.Local().Format(time.DateTime))
	for _, line := range r.Events {
		e, err := event.Decode(line)
		if err != nil {
			continue // of a version that had other events
		}
		switch e := e.(type) {
		case event.BuildStarted:
			if e.Names != nil {
				n = e.Names
			}
		case event.StepFinished:
			fmt.Fprintf(w, "%s\t%s\t%s\t%s%s%s\n", e.Status, e.Step, n.of(e.Peer), runTime(e), target(e), n.whereWhy(e))
			if e.Status == event.Failed {
				fmt.Fprintln(&talk, n.describeFailure(e))
			}
		case event.BuildFinished:
			sum = summaryOf(e, n)
		default:
			if text := n.describe(e); text != "" {
				fmt.Fprintln(&talk, text)
			}
		}
	}
	if err := flush(w); err != nil {
		return err
	}
	if sum == "" { // nothing was done that would be worth events
		var f event.BuildFinished
		if err := json.Unmarshal(r.Summary, &f); err != nil {
			return fmt.Errorf("read the summary of build %s: %w", r.Build, err)
		}
		sum = summaryOf(f, n)
		if r.Running {
			sum = "so far: " + strings.TrimPrefix(sum, outcomeText(f)+": ")
		}
	}
	return a.print("%s%s", talk.String(), sum)
}
