package place

import (
	"fmt"
	"math"
	"slices"
)

// Policy is how a build's steps are to be placed. The zero Policy is the
// standard one: smart, with the standard weights, and hybrid.
type Policy struct {
	Strategy Strategy
	// Weights are of the score, which only Smart looks at. All zero are the
	// standard ones.
	Weights   Weights
	Partition Partition
}

// Strategy is what decides which member a step goes to. Do not reorder: the
// numbers go over the wire.
type Strategy uint8

const (
	// Smart takes the one with the highest Score of those that finish in time.
	Smart Strategy = iota
	// RoundRobin goes round the members, as they are named.
	RoundRobin
	// LeastLoaded takes the one with the most free slots for its size.
	LeastLoaded
	// Fastest takes the one with the fastest core that is free.
	Fastest
	// Locality takes the one that lacks the fewest bytes.
	Locality
)

// Partition is what belongs together. Do not reorder: the numbers go over the
// wire.
type Partition uint8

const (
	// Hybrid lets a package's steps stay together where it costs no time.
	Hybrid Partition = iota
	// ByPackage sends all steps of a package to one member while it has room.
	ByPackage
	// ByFile places each step by itself.
	ByFile
)

var (
	strategies = []string{"smart", "round_robin", "least_loaded", "fastest", "locality"}
	partitions = []string{"hybrid", "package", "file"}
)

// Weights are how much each part of a Score counts. Only their proportions
// matter.
type Weights struct {
	Performance, Locality, Latency, Availability float64
}

// StandardWeights are those of a Policy that names none.
func StandardWeights() Weights { return Weights{0.4, 0.3, 0.2, 0.1} }

// Validate says what is wrong with a policy that somebody wrote down.
func (p Policy) Validate() error {
	switch {
	case int(p.Strategy) >= len(strategies):
		return fmt.Errorf("strategy %d is none", p.Strategy)
	case int(p.Partition) >= len(partitions):
		return fmt.Errorf("partition %d is none", p.Partition)
	}
	return p.Weights.validate()
}

// maxWeight keeps the sum of weights a number.
const maxWeight = 1e6

func (w Weights) validate() error {
	for _, x := range w.list() {
		if !(x >= 0 && x <= maxWeight) {
			return fmt.Errorf("weight %v; a weight is from 0 to %g", x, float64(maxWeight))
		}
	}
	return nil
}

func (w Weights) list() []float64 {
	return []float64{w.Performance, w.Locality, w.Latency, w.Availability}
}

// Normal returns the weights scaled so that they add up to 1.
func (w Weights) Normal() Weights {
	sum := 0.0
	for _, x := range w.list() {
		sum += x
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return StandardWeights()
	}
	return Weights{w.Performance / sum, w.Locality / sum, w.Latency / sum, w.Availability / sum}
}

// String returns the strategy as ParseStrategy takes it.
func (s Strategy) String() string { return name(strategies, int(s)) }

// String returns the partition as ParsePartition takes it.
func (p Partition) String() string { return name(partitions, int(p)) }

func name(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// ParseStrategy reads a strategy; empty is Smart.
func ParseStrategy(text string) (Strategy, error) {
	i, err := parse("strategy", strategies, text)
	return Strategy(i), err
}

// ParsePartition reads a partition; empty is Hybrid.
func ParsePartition(text string) (Partition, error) {
	i, err := parse("partition", partitions, text)
	return Partition(i), err
}

func parse(what string, names []string, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	i := slices.Index(names, text)
	if i < 0 {
		return 0, fmt.Errorf("%s %q is none of %q", what, text, names)
	}
	return i, nil
}

// Strategies are the texts that ParseStrategy takes, the standard one first.
func Strategies() []string { return slices.Clone(strategies) }

// Partitions are the texts that ParsePartition takes, the standard one first.
func Partitions() []string { return slices.Clone(partitions) }

// MarshalText implements encoding.TextMarshaler.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Strategy) UnmarshalText(b []byte) (err error) {
	*s, err = ParseStrategy(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (p Partition) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Partition) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePartition(string(b))
	return err
}
