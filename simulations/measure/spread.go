package measure

import (
	"math"
	"slices"
)

// Spread is how values lie. All are 0 if Count is.
type Spread struct {
	Count  int     `json:"count"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
	Mean   float64 `json:"mean"`
}

// SpreadOf sorts values, which are the caller's, and says how they lie. A
// quantile is the least value that so many are not above.
func SpreadOf(values []float64) Spread {
	n := len(values)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[min(n-1, max(0, int(math.Ceil(q*float64(n)))-1))] }
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return Spread{Count: n, Min: values[0], Median: at(0.5), P90: at(0.9), P99: at(0.99), Max: values[n-1], Mean: sum / float64(n)}
}

// Over is the spread of one figure over several runs; what has no value in a
// run is left out.
func Over(runs []*Summary, figure func(*Summary) (value float64, ok bool)) Spread {
	var values []float64
	for _, r := range runs {
		if v, ok := figure(r); ok {
			values = append(values, v)
		}
	}
	return SpreadOf(values)
}

// Median is the figure of Over for one of a Summary's spreads.
func Median(s Spread) (value float64, ok bool) { return s.Median, s.Count > 0 }
