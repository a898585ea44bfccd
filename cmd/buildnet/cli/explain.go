package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
)

// maxAsked is how many builds are asked for a step where the user names none.
const maxAsked = 20

func (a *app) explainCommand() *cobra.Command {
	var as format
	var dir string
	c := leaf(&cobra.Command{
		Use:   "explain [-C DIR] [BUILD] STEP [--json]",
		Short: "say why a step was run, and why where it was",
		Long: "Says why a step was run: what the graph of a build.ninja says of it, and what of its\n" +
			"command, environment, inputs and toolchain is not as it was the last time before\n" +
			"that it had an action. And where it was run, and why there or why here. STEP is as\n" +
			"`buildnet builds show` has it; of a build.ninja it is the first output, of a Remote\n" +
			"Execution client also a target, an output or the digest of an action. BUILD is an\n" +
			"ID or its beginning; none is the newest build of this directory, or of such a client\n" +
			"(which does not say what directory it builds), that had the step.\n\n" +
			"What an action of a build.ninja was made of is kept as long as the cache has room;\n" +
			"of a project's actions only the large ones are.",
		Example: "  buildnet explain CMakeFiles/app.dir/main.cc.o",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 || args[len(args)-1] == "" {
				return errors.New("want a STEP, or a BUILD and a STEP")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.inSession(c.Context(), func(ctx context.Context, s session) error {
				x, err := explained(ctx, s, dir, args)
				if err != nil {
					return err
				}
				return a.answer(as, x, func() error { return a.print("%s", explanation(x)) })
			})
		},
	}, asksNode...)
	c.Flags().StringVarP(&dir, "dir", "C", ".", "look for builds of the project of `DIR`")
	as.flag(c, "print one JSON object")
	return c
}

// explained asks for what the user means.
func explained(ctx context.Context, s session, dir string, args []string) (x event.Explanation, err error) {
	if len(args) > 1 {
		return s.Explain(ctx, args[0], args[1])
	}
	records, err := s.Builds(ctx, 0)
	if err != nil {
		return x, err
	}
	root, err := config.ProjectRoot(dir)
	if err != nil {
		root = dir
	}
	root = rootOf(root)
	asked := 0
	for _, r := range records {
		if r.Root != root && r.Client == "" {
			continue
		}
		if asked++; asked > maxAsked {
			break
		}
		x, err := s.Explain(ctx, r.Build, args[0])
		var told *api.Error
		if err == nil || !errors.As(err, &told) || told.Kind != api.NotFound {
			return x, err
		}
	}
	return x, &api.Error{Kind: api.NotFound, Message: fmt.Sprintf("no step %q in the last builds of %s", args[0], root), Hint: "see `buildnet builds`, or name the build"}
}

// explanation tells people.
func explanation(x event.Explanation) string {
	var b strings.Builder
	n := names(x.Names)
	fmt.Fprintf(&b, "%s in build %s of %s, started %s\n", x.Step.Step, x.Build, x.Root, x.Started.Local().Format(time.DateTime))
	if x.Step.Asked != nil {
		b.WriteString(askedFor(x.Step.Asked))
	}
	fmt.Fprintln(&b, whatCame(x.Step, n))
	for _, r := range x.Because {
		fmt.Fprintf(&b, "%s: %s\n", r.Step, r.Why)
	}
	compared(&b, x)
	for _, why := range whyThere(x, n) {
		fmt.Fprintln(&b, why)
	}
	return b.String()
}

// whatCame says what became of a step.
func whatCame(s event.StepFinished, n names) string {
	at := ""
	if s.Peer != "" {
		at = " on " + n.of(s.Peer)
	}
	switch s.Status {
	case event.Executed:
		return fmt.Sprintf("it was run%s, in %s%s", at, wall(float64(s.RunMS)), waited(s))
	case event.Failed:
		return fmt.Sprintf("it failed%s%s", at, waited(s))
	case event.CachedLocal, event.CachedMesh:
		return fmt.Sprintf("it was not run: its result was known, from a run%s", at)
	case event.Skipped:
		return "it was not run: its outputs were in place"
	default:
		return "it was not run: something before it failed, or the build was ended"
	}
}

// waited says what a step's run was not.
func waited(s event.StepFinished) string {
	var parts []string
	for _, w := range []struct {
		ms   int64
		what string
	}{{s.QueuedMS, "in the queue"}, {s.FetchMS, "for its inputs"}, {s.UploadMS, "with its outputs"}} {
		if w.ms > 0 {
			parts = append(parts, wall(float64(w.ms))+" "+w.what)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", and " + joined(parts)
}

// askedFor says how a client asked for a step.
func askedFor(a *event.Asked) string {
	text := "its client calls it action " + a.Action
	if a.Target != "" {
		text += " of " + a.Target
	}
	return text + "\n"
}

// shortDigest is how much of a digest people are shown.
const shortDigest = 12

// compared says what is not as it was.
func compared(b *strings.Builder, x event.Explanation) {
	switch {
	case x.Step.Digest == "":
		fmt.Fprintln(b, "no action was made of it, so that nothing of it can be compared")
		return
	case x.Before == "":
		fmt.Fprintln(b, "no build before is known in which it had an action")
		return
	case x.Same:
		fmt.Fprintf(b, "nothing of it is other than in build %s", x.Before)
		switch {
		case x.Step.Status != event.Executed:
		case x.Step.Asked != nil && len(x.Because) == 0:
			b.WriteString(": its result was not kept, or is lost")
		case x.Step.Asked == nil:
			b.WriteString(": its result was not kept, or --force was given")
		}
		b.WriteString("\n")
		return
	}
	fmt.Fprintf(b, "other than in build %s:\n", x.Before)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, d := range x.Differences {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", d.Of, d.Name, change(d))
	}
	_ = w.Flush() // into memory
	if x.More > 0 {
		fmt.Fprintf(b, "  and %d more\n", x.More)
	}
	if x.Unknown != "" {
		fmt.Fprintf(b, "  %s\n", x.Unknown)
	}
}

// change says how a thing differs.
func change(d event.Difference) string {
	before, now := d.Before, d.Now
	if d.Of == event.OfInput || d.Of == event.OfToolchain {
		before, now = abridged(before), abridged(now)
	}
	switch {
	case d.Before == "":
		return "new: " + now
	case d.Now == "":
		return "gone: " + before
	default:
		return before + " -> " + now
	}
}

// abridged shortens a digest, behind the name of its function if it has one.
func abridged(text string) string {
	_, hash, named := strings.Cut(text, ":")
	if !named {
		hash = text
	}
	if strings.HasPrefix(text, "-> ") || len(hash) <= shortDigest {
		return text
	}
	return hash[:shortDigest]
}

// whyThere says why a step was run where it was.
func whyThere(x event.Explanation, n names) (all []string) {
	s := x.Step
	if s.Status != event.Executed && s.Status != event.Failed {
		return nil
	}
	if len(s.Here) > 0 {
		all = append(all, "on no other machine: "+joined(s.Here))
	}
	if c := s.Choice; c != nil {
		all = append(all, fmt.Sprintf("%s: here it was expected to take %s, on %s %s", c.Why, wall(float64(c.HereMS)), n.of(c.Peer), wall(float64(c.ThereMS))))
	}
	if len(s.Here) == 0 && x.Policy != nil && s.Peer != "" {
		all = append(all, fmt.Sprintf("%s had a slot free and the best score of those that asked, by %s of profile %s", n.of(s.Peer), x.Policy.Distribution, x.Policy.Profile))
	}
	return all
}
