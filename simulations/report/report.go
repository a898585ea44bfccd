// Package report shows a simulated run to people: one HTML page that needs
// nothing else, charts as SVG, and a trace for chrome://tracing and Perfetto.
// It is pure. Start reading at Page; Record is the sink that it is made of.
package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/buildnet/buildnet/simulations/measure"
)

// Page is what a page shows.
type Page struct {
	Record  *Record
	Summary *measure.Summary
	// Runs are the summaries of all seeds, the shown one too; of one or none, no
	// distribution is shown.
	Runs []*measure.Summary
	// Broken says how a rule was broken, "" if none was.
	Broken string
	// Command makes the page again.
	Command string
}

//go:embed page.html
var pageText string

//go:embed page.css
var style string

//go:embed page.js
var script string

var page = template.Must(template.New("page").Parse(pageText))

// shown is what the template takes.
type shown struct {
	*measure.Summary
	Title, Broken, Command string
	Policy                 string
	Style                  template.CSS
	Script                 template.JS
	Data                   data
	Timeline               string
	Topology, Curve        template.HTML
	Strips                 template.HTML
	Links                  []link
	Seeds                  int
	Figures                []Row
	Marks                  []moment
	MoreMarks              int
}

// Row is a line of the table of figures.
type Row struct{ Name, Value string }

// moment is a line of the table of what went wrong.
type moment struct{ At, Text string }

// maxMoments is how many lines that table has.
const maxMoments = 200

// Write writes the page. Text out of the setting is escaped wherever it goes;
// what is marked as safe here is made of numbers and of escaped text.
func Write(w io.Writer, p *Page) error {
	d, timeline := dataOf(p.Record)
	curve := p.Record.utilisation()
	s := shown{
		Summary: p.Summary, Title: fmt.Sprintf("%s, seed %d", p.Summary.Scenario, p.Summary.Seed), Broken: p.Broken, Command: p.Command,
		Policy: policy(), Style: template.CSS(style), Script: template.JS(script), Data: d, Timeline: timeline,
		Topology: template.HTML(topology(p.Record.setting)), Curve: template.HTML(curve.svg()), Links: links(p.Record.setting),
		Figures: Rows(p.Summary),
	}
	if len(p.Runs) > 1 {
		s.Seeds, s.Strips = len(p.Runs), template.HTML(strips(p.Runs))
	}
	for i, m := range p.Record.marks {
		if i == maxMoments {
			s.MoreMarks = len(p.Record.marks) - i + p.Record.unsaid
			break
		}
		s.Marks = append(s.Marks, moment{fmt.Sprintf("%.3f s", m.at.Seconds()), m.text})
	}
	return page.Execute(w, s)
}

// policy lets a browser run this page's own script and style, and load nothing.
func policy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style)
}

// utilisation is the chart of slots over time.
func (r *Record) utilisation() Chart {
	at, up, running := r.curve()
	c := Chart{Title: "Slots that are up, and slots that run a step", X: "seconds", Y: "slots", Series: []Series{{"up", at, up}, {"running", at, running}}}
	for _, m := range r.marks {
		c.Marks = append(c.Marks, Mark{X: m.at.Seconds(), Text: m.text, Kind: m.kind})
	}
	return c
}

// Rows are the figures of a run, for people.
func Rows(s *measure.Summary) []Row {
	return []Row{
		{"builds", fmt.Sprintf("%d of %d completed, %d of %d steps announced", s.Completed, len(s.Builds), s.Announced, s.Steps)},
		{"makespan", spreadText(s.Makespan, seconds)},
		{"makespan over its bound", spreadText(s.Ratio, Short)},
		{"utilisation", percent(s.Utilisation)},
		{"steps assigned", fmt.Sprintf("%d, %d of them to others than the initiator", s.Assigned, s.Stolen)},
		{"executed", fmt.Sprintf("%d actions, %s BPU-s", s.Executed, Short(s.ExecutedWork))},
		{"wasted", fmt.Sprintf("%s: %d cut short, %s BPU-s; %d executed again, %s BPU-s", percent(s.Wasted), s.Cut, Short(s.CutWork), s.Again, Short(s.AgainWork))},
		{"moved", fmt.Sprintf("%s of blobs, %s of messages", of(float64(s.Blobs), "B"), of(float64(s.Messages), "B"))},
		{"death to suspicion", spreadText(s.Suspected, seconds)},
		{"death to the leader's notice", spreadText(s.Noticed, seconds)},
		{"take-overs", fmt.Sprint(s.Takeovers)},
		{"leader's loss to election", spreadText(s.Elected, seconds)},
		{"leader's loss to assignment", spreadText(s.Handover, seconds)},
		{"messages a second of a leader", spreadText(s.LeaderRate, Short)},
		{"hops of a look-up", spreadText(s.Hops, Short)},
		{"time of a look-up", spreadText(s.LookupTime, seconds)},
		{"gossip, bytes a second and node", spreadText(s.Gossip, Short)},
	}
}

func percent(share float64) string { return Short(100*share) + " %" }

func seconds(v float64) string { return short(time.Duration(v * float64(time.Second))) }

// spreadText says how values lie.
func spreadText(s measure.Spread, unit func(float64) string) string {
	switch s.Count {
	case 0:
		return "none"
	case 1:
		return unit(s.Max)
	default:
		return fmt.Sprintf("median %s, p90 %s, max %s, of %d", unit(s.Median), unit(s.P90), unit(s.Max), s.Count)
	}
}
