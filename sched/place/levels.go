package place

import (
	"cmp"
	"math"
	"slices"
)

// bands is into how many parts Levels divides the longest chain: a step of
// which there are a thousand in a row is half of one.
const bands = 512

// Span is what is left of a step: Work, in BPU-seconds, spread evenly between
// two ranks. The rank of a step is the cost of the longest chain from its begin
// to the end of the build, so that a step lies between its own rank and that
// of what follows it.
type Span struct{ High, Low, Work float64 }

// Core is a kind of slot: how fast one is, in BPU, and how many there are.
type Core struct {
	Speed float64
	Count int
}

// Levels is a schedule of what is left of a build in which all that has the
// same rank goes on at once, the highest rank first, in shares of the fastest
// slots (the level algorithm: Horvath, Lam, Sethi, A Level Algorithm for
// Preemptive Scheduling, 1977). It says of a step by when it is to be done for
// nothing to be late; that it could not be kept to, because steps do not move
// from slot to slot, is allowed for by who uses it.
type Levels struct {
	top  float64
	done [bands + 1]float64 // seconds until all above the lower end of a band is done
}

// NewLevels makes the schedule of spans, in any order, on cores.
func NewLevels(spans []Span, cores []Core) *Levels {
	l := &Levels{}
	for _, s := range spans {
		l.top = max(l.top, s.High)
	}
	if !(l.top > 0) {
		return l
	}
	var work, width filling
	for _, s := range spans {
		low, high := max(s.Low, 0)/l.top*bands, s.High/l.top*bands
		if high <= low {
			continue
		}
		work.add(low, high, s.Work/(high-low))
		width.add(low, high, 1)
	}
	works, widths := work.sum(), width.sum()
	speed := newSpeeds(cores)
	for b := bands - 1; b >= 0; b-- {
		l.done[b] = l.done[b+1]
		if s := speed.of(widths[b]); s > 0 {
			l.done[b] += works[b] / s
		}
	}
	return l
}

// Until is in how many seconds all above a rank is done.
func (l *Levels) Until(rank float64) float64 {
	if !(l.top > 0) || rank >= l.top {
		return 0
	}
	at := max(rank, 0) / l.top * bands
	b := min(int(at), bands-1)
	return l.done[b] + (l.done[b+1]-l.done[b])*(at-float64(b))
}

// filling is heights of bands: steps is where they change for all bands from
// there on, part what is in one band alone.
type filling struct{ steps, part [bands + 1]float64 }

// add puts a height between two places.
func (f *filling) add(low, high, height float64) {
	first, last := min(int(low), bands-1), min(int(high), bands)
	if first == last {
		f.part[first] += (high - low) * height
		return
	}
	f.part[first] += (float64(first+1) - low) * height
	f.steps[first+1] += height
	f.steps[last] -= height
	f.part[last] += (high - float64(last)) * height
}

func (f *filling) sum() (bandsOf [bands]float64) {
	height := 0.0
	for b := range bandsOf {
		height += f.steps[b]
		bandsOf[b] = height + f.part[b]
	}
	return bandsOf
}

// speeds are sums of the fastest slots.
type speeds struct {
	cores []Core
	upTo  []float64 // slots of the cores before, and
	sum   []float64 // their speed
}

func newSpeeds(cores []Core) *speeds {
	s := &speeds{cores: slices.Clone(cores)}
	s.cores = slices.DeleteFunc(s.cores, func(c Core) bool { return c.Count <= 0 || !(c.Speed > 0) || math.IsInf(c.Speed, 0) })
	slices.SortFunc(s.cores, func(a, b Core) int { return cmp.Compare(b.Speed, a.Speed) })
	slots, sum := 0.0, 0.0
	for _, c := range s.cores {
		s.upTo, s.sum = append(s.upTo, slots), append(s.sum, sum)
		slots += float64(c.Count)
		sum += float64(c.Count) * c.Speed
	}
	return s
}

// of is the speed of so many of the fastest slots, or of all.
func (s *speeds) of(width float64) float64 {
	i, found := slices.BinarySearch(s.upTo, width)
	if !found {
		i--
	}
	if i < 0 || i >= len(s.cores) {
		return 0
	}
	return s.sum[i] + min(width-s.upTo[i], float64(s.cores[i].Count))*s.cores[i].Speed
}
