package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/buildnet/buildnet/simulations/report"
)

// document is what docs/scale.md begins as. Between the marks of a part stands
// what this command writes; the rest is written by hand and stays.
const document = `# How it scales

Measured in the simulated world, by ` + "`make scale`" + `: one seed, the rules on, each run in a process of its own. The tables
and charts are written by it; the text between them is not.

## One planet, more and more nodes

<!-- scale: planet -->
<!-- /scale -->

<!-- By hand, from here: what bends each curve. -->

### Membership

<!-- scale: scale-gossip.svg -->
<!-- /scale -->

### Look-ups in the DHT

<!-- scale: scale-hops.svg -->
<!-- /scale -->
<!-- scale: scale-lookup.svg -->
<!-- /scale -->

### A leader's load

<!-- scale: scale-leader.svg -->
<!-- /scale -->

### Builds

<!-- scale: scale-makespan.svg -->
<!-- /scale -->

## Smaller meshes

<!-- scale: others -->
<!-- /scale -->

## What the simulation costs

<!-- scale: costs -->
<!-- /scale -->
<!-- scale: scale-cost.svg -->
<!-- /scale -->
<!-- scale: scale-memory.svg -->
<!-- /scale -->
`

const (
	partBegin = "<!-- scale: "
	partEnd   = "<!-- /scale -->\n"
)

// fill puts texts into the parts of a document and leaves the rest. It fails on
// a part that it does not know, and on a text without its part.
func fill(doc string, parts map[string]string) (string, error) {
	var b strings.Builder
	seen := map[string]bool{}
	for {
		before, rest, found := strings.Cut(doc, partBegin)
		b.WriteString(before)
		if !found {
			break
		}
		name, rest, ok := strings.Cut(rest, " -->\n")
		_, after, closed := strings.Cut(rest, partEnd)
		text, known := parts[name]
		switch {
		case !ok || !closed:
			return "", fmt.Errorf("scale.md: a part does not end; write %q below it", strings.TrimSpace(partEnd))
		case !known || seen[name]:
			return "", fmt.Errorf("scale.md: part %q is unknown, or there twice; remove it", name)
		}
		seen[name] = true
		b.WriteString(partBegin + name + " -->\n" + text + partEnd)
		doc = after
	}
	for name := range parts {
		if !seen[name] {
			return "", fmt.Errorf("scale.md: part %q is missing; add %q and %q", name, partBegin+name+" -->", strings.TrimSpace(partEnd))
		}
	}
	return b.String(), nil
}

// table is a Markdown table of runs.
func table(all []*measured, columns []column, named bool) string {
	var b strings.Builder
	line := func(cell func(column) string, first string) {
		if named {
			b.WriteString("| " + first + " ")
		}
		for _, c := range columns {
			b.WriteString("| " + cell(c) + " ")
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
	line(func(c column) string { return c.name }, "scenario")
	line(func(column) string { return "---:" }, "---")
	for _, m := range all {
		line(func(c column) string { return c.of(m) }, m.Scenario)
	}
	return b.String() + "\n"
}

func writeCharts(docs string, planets []*measured) error {
	for _, c := range charts {
		plot := report.Chart{Title: c.title, X: "nodes", Y: c.y, XScale: report.Log, YScale: c.scale}
		for _, one := range c.curves {
			x, y := one.points(planets)
			plot.Series = append(plot.Series, report.Series{Name: one.name, X: x, Y: y})
		}
		if err := os.WriteFile(filepath.Join(docs, c.file), []byte(report.Plot(plot)+"\n"), 0o644); err != nil {
			return fmt.Errorf("write a chart: %w; choose another place with -docs", err)
		}
	}
	return nil
}

func writeDocument(docs string, planets, others []*measured) error {
	file := filepath.Join(docs, "scale.md")
	doc, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		doc = []byte(document)
	case err != nil:
		return fmt.Errorf("read what was written by hand: %w", err)
	}
	parts := map[string]string{
		"planet": table(planets, columns, false), "others": table(others, columns, true), "costs": table(append(planets[:len(planets):len(planets)], others...), costs, true),
	}
	for _, c := range charts {
		parts[c.file] = fmt.Sprintf("\n![%s](%s)\n\n", c.title, c.file)
	}
	text, err := fill(string(doc), parts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w; choose another place with -docs", err)
	}
	return nil
}
