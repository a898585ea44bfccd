package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Shape is a family of graphs.
type Shape uint8

// The shapes that Draw draws from.
const (
	ChainShape Shape = iota + 1
	WideShape
	LayersShape
	DiamondShape
	CompileShape
	PackagesShape
)

// String returns the shape in lower case.
func (s Shape) String() string {
	names := [...]string{"unset", "chain", "wide", "layers", "diamond", "compile", "packages"}
	if int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Draw is a graph of any shape with about n steps (never more than n+7), sound,
// with drawn costs and sizes.
func Draw(rng *rand.Rand, n int) (*Graph, Shape) {
	s := ChainShape + Shape(rng.IntN(int(PackagesShape)))
	g := s.make(max(1, n), rng)
	// Some builds are of short steps, some of such that take longer than a
	// leader needs to be missed.
	median := math.Exp(rng.Float64()*4 - 3)
	if rng.IntN(3) == 0 {
		median = 2 + 4*rng.Float64()
	}
	g.DrawCosts(rng, Costs{Median: median, Spread: rng.Float64()})
	// Large blobs come by chunks, from several holders.
	medians := [...]float64{30e3, 30e3, 1e6, 8e6}
	g.DrawSizes(rng, medians[rng.IntN(len(medians))])
	return g, s
}

func (s Shape) make(n int, rng *rand.Rand) *Graph {
	switch s {
	case ChainShape:
		return Chain(min(n, 12))
	case WideShape:
		return Wide(n)
	case LayersShape:
		width := 1 + rng.IntN(min(n, 10))
		return Layers(width, max(1, n/width))
	case DiamondShape:
		return Diamond(n)
	case CompileShape:
		return Compile(max(1, n*5/6))
	default:
		return Packages(n, rng)
	}
}

// Costs is a lognormal distribution: Median is in BPU-seconds, and two thirds
// of the steps are within a factor of e to the Spread of it.
type Costs struct{ Median, Spread float64 }

// DrawCosts draws what each step costs, and what is believed of it beforehand:
// nothing, the truth, or something within a factor of 2.
func (g *Graph) DrawCosts(rng *rand.Rand, c Costs) {
	for i := range g.Steps {
		s := &g.Steps[i]
		s.Cost = c.Median * math.Exp(rng.NormFloat64()*c.Spread)
		switch rng.IntN(3) {
		case 0:
			s.Hint = 0
		case 1:
			s.Hint = s.Cost
		default:
			s.Hint = s.Cost * math.Exp2(2*rng.Float64()-1)
		}
	}
}

// DrawSizes draws how many bytes each step reads and makes: lognormal, within a
// factor of 4 of the median for two thirds of them.
func (g *Graph) DrawSizes(rng *rand.Rand, median float64) {
	const most = 32 << 20
	size := func() int64 { return int64(min(most, median*math.Exp(rng.NormFloat64()*1.4))) }
	for i := range g.Steps {
		g.Steps[i].InputBytes, g.Steps[i].OutputBytes = size(), size()
	}
}

// Prefix gives every step's content a prefix, so that builds share nothing.
func (g *Graph) Prefix(with string) {
	for i := range g.Steps {
		g.Steps[i].Content = fmt.Sprintf("%s/%s", with, g.Steps[i].Content)
	}
}
