package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// maxNamed is how many files or steps one line of a summary names.
const maxNamed = 5

// summaryOf says how a build ended, in one to five lines.
func summaryOf(f event.BuildFinished, n names) string {
	lines := []string{headline(f)}
	if where := whereRun(f, n); where != "" {
		lines = append(lines, where)
	}
	if chosen := choices(f, n); chosen != "" {
		lines = append(lines, chosen)
	}
	if expected := forecast(f); expected != "" {
		lines = append(lines, expected)
	}
	if p := f.Policy; p != nil {
		if how := policyText(p.Profile, p.From, p.Changes); how != "" {
			lines = append(lines, how)
		}
	}
	if odd := oddities(f); odd != "" {
		lines = append(lines, odd)
	}
	return strings.Join(lines, "\n") + "\n"
}

// headline has the outcome, the tier, the counts and the time.
func headline(f event.BuildFinished) string {
	text := outcomeText(f) + ": "
	if !f.Cancelled {
		text += string(f.Tier) + ", "
	}
	text += plural(f.Steps, "step")
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{f.Executed, "executed"}, {f.CachedLocal, "cached here"}, {f.CachedMesh, "cached in the mesh"},
		{f.Skipped, "in place"}, {f.Failed, "failed"}, {f.NotRun, "not run"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(parts) > 0 {
		text += ": " + joined(parts)
	}
	text += ", in " + wall(f.WallMS)
	if f.SavedMS > 0 {
		text += fmt.Sprintf(", saved %s of running", seconds(time.Duration(f.SavedMS)*time.Millisecond))
	}
	if f.Error != "" && !f.Cancelled {
		text += ": " + f.Error
	}
	return text
}

func wall(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.1fms", ms)
	}
	return seconds(d)
}

// whereRun has the machines, the reasons for what ran here, and the bytes.
func whereRun(f event.BuildFinished, n names) string {
	var parts []string
	if f.RunLocal > 0 {
		text := fmt.Sprintf("%d ran here", f.RunLocal)
		if why := reasons(f.LocalReasons); why != "" {
			text += " (" + why + ")"
		}
		parts = append(parts, text)
	}
	if f.RunRemote > 0 {
		parts = append(parts, fmt.Sprintf("%d ran on others (of all: %s)", f.RunRemote, byPeer(f, n)))
	}
	if f.BytesIn > 0 || f.BytesOut > 0 {
		parts = append(parts, fmt.Sprintf("%s in, %s out", bytesText(f.BytesIn), bytesText(f.BytesOut)))
	}
	return joined(parts)
}

// choices says whether it paid to send steps to others, and what was kept here
// because it would not have.
func choices(f event.BuildFinished, n names) string {
	c := f.Choices
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("%s sent away, %d kept as that did not pay", plural(c.Sent+c.Probed, "step"), c.Kept)
	saved := "about " + wall(float64(c.SavedMS)) + " sooner than alone"
	if c.SavedMS <= 0 {
		saved = "no sooner than alone"
	}
	text += fmt.Sprintf(": %s, regret %s (%.1f %%)", saved, wall(float64(c.RegretMS)), c.RegretPercent)
	if len(c.Useless) > 0 {
		of := make([]string, len(c.Useless))
		for i, id := range c.Useless {
			of[i] = n.of(id)
		}
		text += "; of no use to this build: " + few(of)
	}
	return text
}

// worthForecast is how long a build must have taken for anybody to ask whether
// that was expected.
const worthForecast = 5 * time.Second

// forecast compares what was expected with what came.
func forecast(f event.BuildFinished) string {
	if f.Forecast == nil || f.Forecast.First.TookMS < worthForecast.Milliseconds() {
		return ""
	}
	text := "expected to take " + expected(f.Forecast.First)
	if half := f.Forecast.Half; half != nil {
		text += "; at half-time " + expected(*half) + " more"
	}
	return text
}

// expected has a duration, and what it was.
func expected(e event.Expected) string {
	return fmt.Sprintf("%s and took %s", wall(float64(e.ETAMS)), wall(float64(e.TookMS)))
}

func byPeer(f event.BuildFinished, n names) string {
	var parts []string
	for _, peer := range sortedKeys(f.ByPeer) {
		parts = append(parts, fmt.Sprintf("%s %d", n.of(peer), f.ByPeer[peer]))
	}
	return joined(parts)
}

// reasons counts them where there is more than one.
func reasons(why map[string]int) string {
	all := sortedKeys(why)
	if len(all) == 1 {
		return all[0]
	}
	var parts []string
	for _, reason := range all {
		parts = append(parts, fmt.Sprintf("%d: %s", why[reason], reason))
	}
	return joined(parts)
}

// oddities are what a user may not expect.
func oddities(f event.BuildFinished) string {
	var parts []string
	for _, o := range []struct {
		names []string
		what  string
	}{
		{f.Uncached, "not cached, as they run without a sandbox"},
		{f.Differs, "came out otherwise than before"},
		{f.Foreign, "kept in output directories, though no build made them"},
	} {
		if len(o.names) > 0 {
			parts = append(parts, o.what+": "+few(o.names))
		}
	}
	return strings.Join(parts, "; ")
}

func few(all []string) string {
	if len(all) <= maxNamed {
		return joined(all)
	}
	return fmt.Sprintf("%s and %d more", joined(all[:maxNamed]), len(all)-maxNamed)
}
