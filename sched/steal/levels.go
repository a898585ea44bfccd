package steal

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/place"
)

// levels are when what is left of the build is to be done, as of at.
type levels struct {
	*place.Levels
	at    time.Time
	log   int     // how long the log was
	power float64 // of the crew, in BPU
	spans []place.Span
}

// until is how long a step may take from now on.
func (l *Leader) until(s Step) time.Duration {
	if l.levels.Levels == nil || l.outdated() {
		l.level()
	}
	by := l.levels.Until(l.deps.rank[s] - l.deps.cost[s])
	if by > maxUntil {
		by = maxUntil
	}
	at := l.levels.at.Sub(l.now) + time.Duration(by*float64(time.Second))
	return time.Duration(inTime * float64(at))
}

// maxUntil is more seconds than any build has.
const maxUntil = 1e8

// outdated reports whether a part of the steps has been done since the levels
// were worked out, or the crew is not what it was.
func (l *Leader) outdated() bool {
	left := len(l.tasks)
	if l.opts.Plan.Open {
		left -= l.oldest()
	}
	if len(l.log)-l.levels.log > max(4, left/64) {
		return true
	}
	return math.Abs(l.power-l.levels.power) > 0.01*l.power
}

// level works out when what is left is to be done.
func (l *Leader) level() {
	spans := l.levels.spans[:0]
	for i := l.oldest(); i < len(l.tasks); i++ {
		t, s := &l.tasks[i], Step(i)
		if t.phase == Finished || t.phase == GivenUp {
			continue
		}
		span := place.Span{High: l.deps.rank[s], Low: l.deps.rank[s] - l.deps.cost[s], Work: l.work(s)}
		if t.phase == Assigned && !t.startedAt.IsZero() {
			speed := l.crew[t.worker].speed()
			rest := left(runTime(span.Work, speed), l.now.Sub(t.startedAt)).Seconds() * speed / span.Work
			span.High = span.Low + l.deps.cost[s]*min(rest, 1)
			span.Work *= rest
		}
		spans = append(spans, span)
	}
	l.levels = levels{place.NewLevels(spans, l.cores()), l.now, len(l.log), l.power, spans}
}

// cores are the slots that the build has, the fastest first, no more of them
// than may be used at once.
func (l *Leader) cores() []place.Core {
	var cores []place.Core
	for _, m := range l.order {
		if m.join != nil && m.join.Slots > 0 && (!l.opts.Plan.Modes.Local || m.id == l.opts.Initiator) {
			cores = append(cores, place.Core{Speed: m.speed(), Count: m.join.Slots})
		}
	}
	slices.SortFunc(cores, func(a, b place.Core) int { return cmp.Compare(b.Speed, a.Speed) })
	if jobs := l.opts.Plan.Modes.Jobs; jobs > 0 {
		for i := range cores {
			cores[i].Count = min(cores[i].Count, jobs)
			jobs -= cores[i].Count
		}
	}
	return cores
}
