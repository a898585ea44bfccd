package place

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = time.Second

func TestParts(t *testing.T) {
	against := Measures{Finish: 2 * second, Run: second}
	performance := func(o Offer) float64 { return o.Performance(against) }
	locality := func(o Offer) float64 { return o.Locality(against) }
	for name, c := range map[string]struct {
		part func(Offer) float64
		o    Offer
		want float64
	}{
		"done first":                {performance, Offer{Run: 2 * second}, 1},
		"half as fast":              {performance, Offer{Run: 4 * second}, 0.5},
		"behind others":             {performance, Offer{Wait: 2 * second, Run: 2 * second}, 0.5},
		"bytes come meanwhile":      {performance, Offer{Wait: 2 * second, Arrive: second, Run: 2 * second}, 0.5},
		"bytes take longer":         {performance, Offer{Wait: second, Arrive: 6 * second, Run: 2 * second}, 0.25},
		"all is there":              {locality, Offer{}, 1},
		"a run's time of bytes":     {locality, Offer{Move: second}, 0.5},
		"three times that":          {locality, Offer{Move: 3 * second}, 0.25},
		"no distance":               {Offer.Latency, Offer{}, 1},
		"20 ms":                     {Offer.Latency, Offer{RTT: 20 * time.Millisecond}, 0.5},
		"60 ms":                     {Offer.Latency, Offer{RTT: 60 * time.Millisecond}, 0.25},
		"a clock that ran back":     {Offer.Latency, Offer{RTT: -time.Hour}, 1},
		"idle":                      {Offer.Availability, Offer{Slots: 4}, 1},
		"all slots are taken":       {Offer.Availability, Offer{Slots: 4, Busy: 4}, 0.5},
		"and as many wait":          {Offer.Availability, Offer{Slots: 4, Busy: 8}, 1.0 / 3},
		"less than nothing is busy": {Offer.Availability, Offer{Slots: 4, Busy: -9}, 1},
		"without slots":             {Offer.Availability, Offer{}, 0},
	} {
		if got := c.part(c.o); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestScoreWeighs(t *testing.T) {
	against := Measures{Finish: second, Run: second}
	base := Offer{Run: 2 * second, Move: second, RTT: 20 * time.Millisecond, Slots: 2, Busy: 2}
	for name, c := range map[string]struct {
		change func(*Offer)
		gain   float64
	}{
		"twice the speed":    {func(o *Offer) { o.Run = second }, 0.2},
		"all inputs there":   {func(o *Offer) { o.Move = 0 }, 0.15},
		"no distance":        {func(o *Offer) { o.RTT = 0 }, 0.1},
		"idle":               {func(o *Offer) { o.Busy = 0 }, 0.05},
		"nothing is changed": {func(*Offer) {}, 0},
	} {
		o := base
		c.change(&o)
		w := StandardWeights()
		if got := w.Score(o, against) - w.Score(base, against); math.Abs(got-c.gain) > 1e-9 {
			t.Errorf("%s: a gain of %v, want %v", name, got, c.gain)
		}
	}
}

func TestScoreIsAlwaysBetweenZeroAndOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string) time.Duration {
			return time.Duration(rapid.Int64Range(math.MinInt64/4, math.MaxInt64/4).Draw(t, name))
		}
		var m Measures
		offer := func() Offer {
			o := Offer{
				Wait: duration("wait"), Arrive: duration("arrive"), Run: duration("run"), Move: duration("move"), RTT: duration("rtt"),
				Busy: rapid.IntRange(math.MinInt, math.MaxInt/2).Draw(t, "busy"), Slots: rapid.IntRange(0, 1024).Draw(t, "slots"),
			}
			m.Add(o)
			return o
		}
		o := offer()
		offer()
		if s := StandardWeights().Score(o, m); !(s >= 0 && s <= 1+1e-9) {
			t.Fatalf("score %v", s)
		}
	})
}
