package main

import (
	"fmt"
	"math"

	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/report"
)

// column is a column of the tables.
type column struct {
	name string
	of   func(*measured) string
}

var columns = []column{
	{"nodes", func(m *measured) string { return fmt.Sprint(m.Nodes) }},
	{"groups", func(m *measured) string { return fmt.Sprint(m.Cells) }},
	{"builds", func(m *measured) string { return fmt.Sprintf("%d of %d", m.Completed, len(m.Builds)) }},
	{"steps", func(m *measured) string { return fmt.Sprint(m.Steps) }},
	{"gossip, B/s a node: median, max", func(m *measured) string { return report.Short(m.Gossip.Median) + ", " + report.Short(m.Gossip.Max) }},
	{"look-up, hops: median, p99", func(m *measured) string { return pair(m.Hops, m.Hops.Median, m.Hops.P99) }},
	{"look-up, ms: median, p99", func(m *measured) string {
		return pair(m.LookupTime, 1000*m.LookupTime.Median, 1000*m.LookupTime.P99)
	}},
	{"leader, messages/s: median, p99", func(m *measured) string { return pair(m.LeaderRate, m.LeaderRate.Median, m.LeaderRate.P99) }},
	{"leader, kB/s: median, p99", func(m *measured) string {
		return pair(m.LeaderBytes, m.LeaderBytes.Median/1000, m.LeaderBytes.P99/1000)
	}},
	{"makespan/bound: median, p90", func(m *measured) string { return pair(m.Ratio, m.Ratio.Median, m.Ratio.P90) }},
	{"detection by the leader, s: median, max", func(m *measured) string { return pair(m.Noticed, m.Noticed.Median, m.Noticed.Max) }},
	{"wasted", func(m *measured) string { return report.Short(100*m.Wasted) + " %" }},
}

// costs are the columns of what the simulation itself costs.
var costs = []column{
	{"nodes", func(m *measured) string { return fmt.Sprint(m.Nodes) }},
	{"events", func(m *measured) string { return report.Short(float64(m.Events)) }},
	{"world, s", func(m *measured) string { return report.Short(m.Ended) }},
	{"wall, s", func(m *measured) string { return report.Short(m.Wall) }},
	{"CPU, s", func(m *measured) string { return report.Short(m.CPU) }},
	{"CPU, µs a node and log2 of the nodes", func(m *measured) string { return report.Short(1e6 * m.CPU / perNode(m.Nodes)) }},
	{"the same nodes in worlds of 100: CPU, s", func(m *measured) string { return apart(m, m.Apart) }},
	{"one world / many", func(m *measured) string { return apart(m, m.CPU/m.Apart) }},
	{"memory, MiB", func(m *measured) string { return fmt.Sprint(m.Memory >> 20) }},
	{"hash", func(m *measured) string { return "`" + m.Hash + "`" }},
}

// apart is a figure of the small worlds, where they were measured.
func apart(m *measured, figure float64) string {
	if m.Apart == 0 {
		return "-"
	}
	return report.Short(figure)
}

// perNode is what a cost is compared with that grows as N log N.
func perNode(n int) float64 { return float64(n) * math.Log2(float64(max(2, n))) }

func pair(s measure.Spread, a, b float64) string {
	if s.Count == 0 {
		return "-"
	}
	return report.Short(a) + ", " + report.Short(b)
}

// curve is a line of a chart.
type curve struct {
	name string
	of   func(*measured) float64
}

// chart is a file of lines over the number of nodes.
type chart struct {
	file, title, y string
	scale          report.Scale
	curves         []curve
}

var charts = []chart{
	{"scale-gossip.svg", "What membership costs", "bytes a second and node", report.Linear, []curve{
		{"median of nodes", func(m *measured) float64 { return m.Gossip.Median }},
		{"max", func(m *measured) float64 { return m.Gossip.Max }},
	}},
	{"scale-hops.svg", "Hops of a look-up", "hops", report.Linear, []curve{
		{"mean", func(m *measured) float64 { return m.Hops.Mean }},
		{"p99", func(m *measured) float64 { return m.Hops.P99 }},
		{"log of the nodes, to the base of a bucket (20)", func(m *measured) float64 { return math.Log(float64(m.Nodes)) / math.Log(20) }},
	}},
	{"scale-lookup.svg", "Time of a look-up", "ms", report.Linear, []curve{
		{"median", func(m *measured) float64 { return 1000 * m.LookupTime.Median }},
		{"p99", func(m *measured) float64 { return 1000 * m.LookupTime.P99 }},
	}},
	{"scale-leader.svg", "A leader's load", "messages a second", report.Linear, []curve{
		{"median of leaders", func(m *measured) float64 { return m.LeaderRate.Median }},
		{"p99", func(m *measured) float64 { return m.LeaderRate.P99 }},
	}},
	{"scale-makespan.svg", "How long builds take", "makespan / lower bound", report.Linear, []curve{
		{"median of builds", func(m *measured) float64 { return m.Ratio.Median }},
		{"p90", func(m *measured) float64 { return m.Ratio.P90 }},
	}},
	{"scale-cost.svg", "What the simulation costs", "CPU seconds", report.Log, []curve{
		{"measured", func(m *measured) float64 { return m.CPU }},
		{"N log N through the largest", nil},
	}},
	{"scale-memory.svg", "What the simulation holds", "MiB", report.Log, []curve{
		{"peak resident set", func(m *measured) float64 { return float64(m.Memory >> 20) }},
	}},
}

// points are the curve over the runs; a curve of its own is N log N.
func (c curve) points(all []*measured) (x, y []float64) {
	last := all[len(all)-1]
	for _, m := range all {
		v := last.CPU * perNode(m.Nodes) / perNode(last.Nodes)
		if c.of != nil {
			v = c.of(m)
		}
		x, y = append(x, float64(m.Nodes)), append(y, v)
	}
	return x, y
}
