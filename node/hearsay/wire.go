package hearsay

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/buildnet/buildnet/node/hearsay/hearsaypb"
	"github.com/buildnet/buildnet/store/costs"
)

// Limits of what a member may say.
const (
	// maxKinds are in one question.
	maxKinds = 16384
	// maxFrame in bytes: maxKinds told of at their largest, with some room.
	maxFrame = 2 << 20
)

var errMalformed = errors.New("malformed")

// runUnit makes whole numbers of runs, which fade.
const runUnit = 8

func question(kinds []costs.Kind) *hearsaypb.Question {
	q := &hearsaypb.Question{Kinds: make([]byte, 0, len(kinds)*len(costs.Kind{}))}
	for _, k := range kinds {
		q.Kinds = append(q.Kinds, k[:]...)
	}
	return q
}

// kindsOf reads the kinds of a question.
func kindsOf(q *hearsaypb.Question) ([]costs.Kind, error) {
	b, size := q.GetKinds(), len(costs.Kind{})
	if len(b)%size != 0 || len(b)/size > maxKinds {
		return nil, fmt.Errorf("%w question: %d bytes of kinds", errMalformed, len(b))
	}
	kinds := make([]costs.Kind, len(b)/size)
	for i := range kinds {
		copy(kinds[i][:], b[i*size:])
	}
	return kinds, nil
}

func known(index int, e costs.Estimate, now time.Time) *hearsaypb.Known {
	return &hearsaypb.Known{
		Index: uint32(index), Runs: uint32(math.Ceil(runUnit * e.Runs)), Failures: uint32(runUnit * e.Failures),
		Mean: float32(e.Mean), Variance: float32(e.Variance), Memory: uint64(e.Memory), Output: uint64(e.Output),
		Age: uint32(min(max(now.Sub(e.Last).Hours(), 0), math.MaxUint32)),
	}
}

// told reads what is known of some of kinds, each once. Its numbers may be any:
// the book bounds them.
func told(kinds []costs.Kind, all []*hearsaypb.Known, now time.Time) (map[costs.Kind]costs.Estimate, error) {
	out := make(map[costs.Kind]costs.Estimate, min(len(all), len(kinds)))
	for _, m := range all {
		if uint64(m.GetIndex()) >= uint64(len(kinds)) {
			return nil, fmt.Errorf("%w: tells of kind %d of %d", errMalformed, m.GetIndex(), len(kinds))
		}
		k := kinds[m.GetIndex()]
		if _, twice := out[k]; twice {
			return nil, fmt.Errorf("%w: tells of kind %d twice", errMalformed, m.GetIndex())
		}
		hours := min(m.GetAge(), math.MaxInt32/1000)
		out[k] = costs.Estimate{
			Runs: float64(m.GetRuns()) / runUnit, Failures: float64(m.GetFailures()) / runUnit,
			Mean: float64(m.GetMean()), Variance: float64(m.GetVariance()),
			Memory: float64(m.GetMemory()), Output: float64(m.GetOutput()), Last: now.Add(-time.Duration(hours) * time.Hour),
		}
	}
	return out, nil
}
