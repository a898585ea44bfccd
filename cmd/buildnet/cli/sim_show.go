package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/draw"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/report"
)

// simOutput is what --json prints. Its field names are a contract.
type simOutput struct {
	Runs []*measure.Summary `json:"runs"`
	// OverSeeds says how the figures lie over several runs.
	OverSeeds []overSeeds `json:"over_seeds,omitempty"`
	Violation *violation  `json:"violation,omitempty"`
}

type overSeeds struct {
	Figure string `json:"figure"`
	measure.Spread
}

// violation is a rule that was broken.
type violation struct {
	Seed   uint64   `json:"seed"`
	Rule   string   `json:"rule"`
	Text   string   `json:"text"`
	Last   []string `json:"last_events"`
	Replay string   `json:"replay"`
}

func (o *simFlags) violation(r *simulated) *violation {
	v := &violation{Seed: r.summary.Seed, Rule: r.outcome.Violation.Rule, Text: r.outcome.Violation.Text, Replay: o.command(r.summary.Seed)}
	if v.Rule == simulations.SameRule && len(r.setting.Nodes) > maxTwice {
		v.Replay += " --shrink" // it runs once without
	}
	names := make([]string, len(r.setting.Nodes))
	for i := range names {
		names[i] = r.setting.Nodes[i].Name
	}
	for i := range r.outcome.Last {
		v.Last = append(v.Last, r.outcome.Last[i].String(names))
	}
	return v
}

// showSimulated prints what came of the runs.
func (a *app) showSimulated(o simFlags, runs []*simulated) error {
	var all []*measure.Summary
	for _, r := range runs {
		all = append(all, r.summary)
	}
	if o.as == asLine {
		out := simOutput{Runs: all}
		for _, c := range comparedOver(all) {
			out.OverSeeds = append(out.OverSeeds, overSeeds{c.Name, c.Spread})
		}
		if last := runs[len(runs)-1]; last.outcome.Violation != nil {
			out.Violation = o.violation(last)
		}
		return a.printJSON(out)
	}
	var b strings.Builder
	if len(all) == 1 {
		writeSummary(&b, all[0])
	} else {
		writeCompared(&b, all)
	}
	return a.print("%s", b.String())
}

// comparedOver compares several runs; one is compared with nothing.
func comparedOver(runs []*measure.Summary) []report.Compared {
	if len(runs) < 2 {
		return nil
	}
	return report.Compare(runs)
}

func writeSummary(out io.Writer, s *measure.Summary) {
	fmt.Fprintf(out, "%s, seed %d: %s in %s, %s, %s; ended at %s\n", s.Scenario, s.Seed, plural(s.Nodes, "node"), plural(s.Cells, "gossip group"),
		plural(len(s.Builds), "build"), plural(s.Steps, "step"), seconds(time.Duration(s.Ended*float64(time.Second))))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range report.Rows(s) {
		fmt.Fprintf(w, "  %s\t%s\n", r.Name, r.Value)
	}
	_ = w.Flush() // into memory
	fmt.Fprintf(out, "%s events, hash %s\n", humanize.Comma(int64(s.Events)), s.Hash)
}

func writeCompared(out io.Writer, runs []*measure.Summary) {
	first, last := runs[0], runs[len(runs)-1]
	fmt.Fprintf(out, "%s, seeds %d to %d, %s\n", first.Scenario, first.Seed, last.Seed, plural(len(runs), "run"))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  FIGURE\tRUNS\tMIN\tMEDIAN\tP90\tMAX")
	for _, c := range report.Compare(runs) {
		fmt.Fprintf(w, "  %s\t%d\t%s\t%s\t%s\t%s\n", c.Name, c.Count, report.Short(c.Min), report.Short(c.Median), report.Short(c.P90), report.Short(c.Max))
	}
	_ = w.Flush() // into memory
	incomplete := 0
	for _, r := range runs {
		incomplete += len(r.Builds) - r.Completed
	}
	if incomplete > 0 {
		fmt.Fprintf(out, "%s did not complete\n", plural(incomplete, "build"))
	}
	fmt.Fprintf(out, "hash of seed %d: %s\n", first.Seed, first.Hash)
}

// tellViolation says which rule was broken, how, and how to see it again.
func (a *app) tellViolation(ctx context.Context, o simFlags, r *simulated) error {
	v := o.violation(r)
	a.say("RULE BROKEN in seed %d: %s\n  %s\n", v.Seed, v.Rule, v.Text)
	if o.as == forPeople {
		a.say("the run:\n%s\nthe last events:", indented(cutLines(draw.Describe(r.setting))))
		a.say("%s\n", indented(strings.Join(v.Last, "\n")))
	}
	a.say("see it again with: %s", v.Replay)
	if !o.shrink {
		a.say("look for a smaller run that breaks it too with: %s --shrink", o.command(v.Seed))
		return errFailed
	}
	a.say("\nlooking for a smaller run that breaks it too; Ctrl-C takes the smallest so far")
	small := simulations.Shrink(ctx, r.setting, v.Rule)
	small.Again = o.command(v.Seed)
	a.say("%s", small)
	return errFailed
}

// maxDescribed is how many lines of a setting are told.
const maxDescribed = 80

func cutLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if more := len(lines) - maxDescribed; more > 0 {
		lines = append(lines[:maxDescribed], fmt.Sprintf("and %d more lines", more))
	}
	return strings.Join(lines, "\n")
}

func indented(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// simLine is a line on a terminal that says how far a run is.
type simLine struct {
	out     io.Writer // nil shows nothing
	label   string
	began   time.Time
	last    time.Time
	written bool
}

// progressEvery is how often the line changes.
const progressEvery = 200 * time.Millisecond

func (a *app) simProgress(seed uint64, k, seeds int) *simLine {
	l := &simLine{label: fmt.Sprintf("seed %d", seed), began: time.Now()}
	if seeds > 1 {
		l.label += fmt.Sprintf(" (%d of %d)", k+1, seeds)
	}
	if a.sys.Screen == Terminal {
		l.out = a.sys.Stderr
	}
	return l
}

// clearLine moves to the begin of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

func (l *simLine) show(p simulations.Progress) {
	now := time.Now()
	if l.out == nil || now.Sub(l.last) < progressEvery {
		return
	}
	l.last, l.written = now, true
	rate := float64(p.Events) / max(now.Sub(l.began).Seconds(), 1e-3)
	fmt.Fprintf(l.out, "%s%s: %.1f s, %d/%d builds, %d/%d steps, %s events, %s/s", clearLine, l.label, p.At.Seconds(), p.Over, p.Builds, p.Done, p.Steps,
		report.Short(float64(p.Events)), report.Short(rate))
}

func (l *simLine) close() {
	if l.written {
		fmt.Fprint(l.out, clearLine)
	}
}
