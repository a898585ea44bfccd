//go:build lab && linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fewPairs is how often each side of a comparison runs, by turns: LAB_PAIRS, or
// five.
const fewPairs = 5

func pairsOf(t *testing.T) int {
	t.Helper()
	return int(number(t, "LAB_PAIRS", fewPairs))
}

// taken is what a build took, of the clock and of the processors of all hosts
// that had to do with it.
type taken struct{ wall, cpu time.Duration }

// clock runs a build that is to succeed.
func clock(t *testing.T, hosts []*Host, dir string, args ...string) taken {
	t.Helper()
	began, before := time.Now(), usedBy(hosts)
	hosts[0].Build(dir, args...)
	return taken{time.Since(began), usedBy(hosts) - before}
}

func usedBy(hosts []*Host) (sum time.Duration) {
	for _, h := range hosts {
		sum += h.Used()
	}
	return sum
}

// Spread prints the median, the least and the most of some figures.
func Spread(xs []float64, format string) string {
	sorted := slices.Sorted(slices.Values(xs))
	return fmt.Sprintf(format+" ("+format+"–"+format+")", sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1])
}

// each applies a measure to all runs.
func each[T any](runs []T, measure func(T) float64) (xs []float64) {
	for _, r := range runs {
		xs = append(xs, measure(r))
	}
	return xs
}

func wallOf(x taken) float64   { return x.wall.Seconds() }
func cpuTaken(x taken) float64 { return x.cpu.Seconds() }

// Table is lines of a Markdown table, the head first.
type Table [][]string

// Add adds a line, which is in the test's log from now on: a whole table may take
// a quarter of an hour.
func (x *Table) Add(t testing.TB, cells ...string) {
	t.Helper()
	t.Log(strings.Join(cells, " | "))
	*x = append(*x, cells)
}

// Print puts the table into the test's log.
func (x Table) Print(t testing.TB) {
	t.Helper()
	t.Log("\n" + x.Markdown())
}

// Markdown is the table as documents have it.
func (x Table) Markdown() string {
	var b strings.Builder
	for i, cells := range x {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(cells)) + "\n")
		}
	}
	return b.String()
}
