package place

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		part func(Worker) float64
		w    Worker
		want float64
	}{
		"the fastest":           {Worker.Performance, Worker{BPU: 2, FastestBPU: 2}, 1},
		"half as fast":          {Worker.Performance, Worker{BPU: 1, FastestBPU: 2}, 0.5},
		"nobody was measured":   {Worker.Performance, Worker{}, 0},
		"a boaster":             {Worker.Performance, Worker{BPU: math.Inf(1), FastestBPU: math.Inf(1)}, 0},
		"no number":             {Worker.Performance, Worker{BPU: math.NaN(), FastestBPU: 1}, 0},
		"less than nothing":     {Worker.Performance, Worker{BPU: -1, FastestBPU: 1}, 0},
		"all is there":          {Worker.Locality, Worker{LocalBytes: 8, InputBytes: 8}, 1},
		"a quarter is there":    {Worker.Locality, Worker{LocalBytes: 2, InputBytes: 8}, 0.25},
		"nothing is read":       {Worker.Locality, Worker{}, 1},
		"no distance":           {Worker.Latency, Worker{}, 1},
		"20 ms":                 {Worker.Latency, Worker{RTT: 20 * time.Millisecond}, 0.5},
		"60 ms":                 {Worker.Latency, Worker{RTT: 60 * time.Millisecond}, 0.25},
		"a clock that ran back": {Worker.Latency, Worker{RTT: -time.Hour}, 1},
		"idle and old":          {Worker.Availability, Worker{Slots: 4, Known: time.Hour}, 1},
		"idle and new":          {Worker.Availability, Worker{Slots: 4}, 0.5},
		"half idle, new":        {Worker.Availability, Worker{Slots: 4, Busy: 2}, 0.25},
		"more than busy":        {Worker.Availability, Worker{Slots: 4, Busy: 9}, 0},
		"without slots":         {Worker.Availability, Worker{}, 0},
	} {
		if got := c.part(c.w); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestScoreWeighs(t *testing.T) {
	base := Worker{BPU: 1, FastestBPU: 2, InputBytes: 100, RTT: 20 * time.Millisecond, Slots: 2, Busy: 2}
	for name, c := range map[string]struct {
		change func(*Worker)
		gain   float64
	}{
		"twice the speed":    {func(w *Worker) { w.BPU = 2 }, 0.2},
		"all inputs there":   {func(w *Worker) { w.LocalBytes = 100 }, 0.3},
		"no distance":        {func(w *Worker) { w.RTT = 0 }, 0.1},
		"idle":               {func(w *Worker) { w.Busy = 0 }, 0.05},
		"known for a while":  {func(w *Worker) { w.Known = 10 * time.Minute }, 0.05},
		"nothing is changed": {func(*Worker) {}, 0},
	} {
		w := base
		c.change(&w)
		if got := Score(w) - Score(base); math.Abs(got-c.gain) > 1e-9 {
			t.Errorf("%s: a gain of %v, want %v", name, got, c.gain)
		}
	}
	if sum := WeightPerformance + WeightLocality + WeightLatency + WeightAvailability; sum != 1 {
		t.Errorf("the weights add up to %v", sum)
	}
}

func TestScoreIsAlwaysBetweenZeroAndOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worker{
			BPU: rapid.Float64().Draw(t, "bpu"), FastestBPU: rapid.Float64().Draw(t, "fastest"),
			LocalBytes: rapid.Int64().Draw(t, "local"), InputBytes: rapid.Int64().Draw(t, "input"),
			RTT: time.Duration(rapid.Int64Range(math.MinInt64, math.MaxInt64/2).Draw(t, "rtt")), Busy: rapid.Int().Draw(t, "busy"),
			Slots: rapid.IntRange(0, 1024).Draw(t, "slots"), Known: time.Duration(rapid.Int64().Draw(t, "known")),
		}
		if s := Score(w); !(s >= 0 && s <= 1) {
			t.Fatalf("score %v", s)
		}
	})
}
