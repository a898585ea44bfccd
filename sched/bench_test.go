package sched_test

import (
	"fmt"
	"testing"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// BenchmarkStep is what a step costs beside its execution, in a mesh of so
// many nodes in this process: divide by their number.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			w.runTime = 0
			defer w.close()
			for i := range n {
				w.join(byte(i + 1))
			}
			m := w.at(0)
			steps := 0
			for b.Loop() {
				g := m.compile(500, "cc", fmt.Sprint(steps))
				steps += g.Len()
				d := m.diary(g, 0)
				id := steal.BuildID(fmt.Sprint(steps))
				if err := m.Build(b.Context(), sched.Build{ID: id, Plan: m.plan(g, steal.Modes{})}, d); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
		})
	}
}
