package steal

import (
	"path"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

const (
	// maxSamples of what steps took are kept a kind: enough for a median.
	maxSamples = 255
	// fewSamples are too few for one.
	fewSamples = 3
	// learning is the weight of the newest in a moving mean.
	learning = 0.25
	// leastPace is how slow a member may come out at: beyond it, numbers mean
	// nothing.
	leastPace = 1.0 / 64
	// lateBy is how far beyond what is expected a run has to be to say something
	// of whoever runs it.
	lateBy = 1.5
	// unknownArrival stands for how long a step takes from its assignment to its
	// run, on a member that ran none.
	unknownArrival = 30 * time.Millisecond
	// unknownBandwidth stands for that to a member, in bytes a second; unknownFar for
	// that to a distant one that was tried.
	unknownBandwidth, unknownFar = 12.5e6, 1.25e6
	// longest is what anything is believed to take at most: what is said may be any
	// number, and times are added up.
	longest = 30 * 24 * time.Hour
)

// experience is what a leader learns of how long steps take.
type experience struct {
	kinds  map[string]*samples // BPU-seconds
	all    samples             // BPU-seconds
	ratios samples             // of what steps took to what was expected
	work   float64             // BPU-seconds that results were made with
	// bytes are what a result had on average, of so many.
	bytes   float64
	results int
}

// samples are the last that were taken, for their median.
type samples struct {
	ring   []float64
	next   int
	sorted []float64
}

func (s *samples) add(x float64) {
	if len(s.ring) < maxSamples {
		s.ring = append(s.ring, x)
	} else {
		at, _ := slices.BinarySearch(s.sorted, s.ring[s.next])
		s.sorted = slices.Delete(s.sorted, at, at+1)
		s.ring[s.next] = x
		s.next = (s.next + 1) % maxSamples
	}
	at, _ := slices.BinarySearch(s.sorted, x)
	s.sorted = slices.Insert(s.sorted, at, x)
}

// median is 0 while there are too few.
func (s *samples) median() float64 {
	if s == nil || len(s.sorted) < fewSamples {
		return 0
	}
	return s.sorted[len(s.sorted)/2]
}

// kind is what steps are alike by that nobody has measured: their program, and the
// ending of what they make. One program compiles and links.
func kind(s *action.Step) string {
	if len(s.Argv) == 0 {
		return ""
	}
	if len(s.Outputs) == 0 {
		return s.Argv[0]
	}
	return s.Argv[0] + path.Ext(s.Outputs[0])
}

// learn takes what a run took. Where that is longer than m had the step it may be
// anything, unless an earlier leader gave it.
func (l *Leader) learn(s Step, m *member, t Timings) {
	had := l.now.Sub(l.tasks[s].hadSince(m.id)) + slack
	took := min(t.Run, had).Seconds() * m.bpu()
	if took <= 0 {
		return
	}
	l.exp.work += took
	if t.Run > had {
		return
	}
	l.measure(s, m, t)
	l.came(s, m, t.Run)
	step := l.step(s)
	if l.exp.kinds == nil {
		l.exp.kinds = map[string]*samples{}
	}
	k := kind(step)
	if l.exp.kinds[k] == nil {
		l.exp.kinds[k] = &samples{}
	}
	l.exp.kinds[k].add(took)
	l.exp.all.add(took)
	if step.Cost > 0 {
		m.learn(l.bias() * step.Cost / took)
		l.exp.ratios.add(took / step.Cost)
	}
}

// bias is by how much what steps take differs from what was expected of them
// all: the machines that were measured are others.
func (l *Leader) bias() float64 {
	if b := l.exp.ratios.median(); b > 0 {
		return b
	}
	return 1
}

// expect is what a step is believed to take, in BPU-seconds; 0 if nothing is
// known. measured says that such a step was run before, and that this is no
// guess by others of its kind.
func (l *Leader) expect(s Step) (work float64, measured bool) {
	step := l.step(s)
	if step.Cost > 0 {
		return step.Cost * l.bias(), true
	}
	if of := l.exp.kinds[kind(step)].median(); of > 0 {
		return of, false
	}
	return l.exp.all.median(), false
}

// bpu is what one core of m is said to do; 1 if that is not known.
func (m *member) bpu() float64 {
	if m.join == nil || m.join.BPU <= 0 {
		return 1
	}
	return m.join.BPU
}

// learn takes how fast a run was against what m's BPU let expect.
func (m *member) learn(pace float64) {
	pace = min(max(pace, leastPace), 1/leastPace)
	m.pace = m.paceOf() + learning*(pace-m.paceOf())
}

func (m *member) paceOf() float64 {
	if m.pace == 0 {
		return 1
	}
	return m.pace
}

// speed is what one core of m does, by what steps took there and by how late
// those are that run.
func (m *member) speed() float64 {
	pace := min(m.paceOf(), 1)
	if m.lag > 0 {
		pace = min(pace, m.lag)
	}
	return m.bpu() * max(pace, leastPace)
}

// arrived takes how long a step took from its assignment to its run, where a
// slot was free.
func (m *member) arrived(took time.Duration) { average(&m.arrival, took) }

// runTime is how long work takes on m, at the pace that it is known to have.
func runTime(work, speed float64) time.Duration {
	return seconds(work / speed)
}

// seconds is a time that was worked out, if it is a number at all.
func seconds(s float64) time.Duration {
	if s < longest.Seconds() {
		return time.Duration(s * float64(time.Second))
	}
	return longest
}

// fresh is how long it takes from now until a step has been run on m, which has
// a free slot, and its outputs are with the initiator.
func (l *Leader) fresh(s Step, m *member, work float64) time.Duration {
	l.localize(s)
	return l.taking(s, m, work)
}

// taking is fresh, of the step that was localized last.
func (l *Leader) taking(s Step, m *member, work float64) time.Duration {
	st := l.seat(m)
	took := max(st.arrives, l.moving(l.tasks[s].inputBytes, m)) + runTime(work, st.speed)
	if m == l.initiator {
		return took
	}
	return took + l.gateOf(m).back(l.outputs(s))
}

// home is how long the outputs of a step take from m to the initiator, with those of
// the others in its hands: the step itself may be one of them, and counts once.
func (l *Leader) home(s Step, m *member) time.Duration {
	if m == l.initiator {
		return 0
	}
	others := len(m.hands)
	if _, has := m.hands[s]; has {
		others--
	}
	bytes := float64(m.line.owed) + l.outputs(s)
	if others > 0 {
		bytes += float64(others) * l.exp.bytes
	}
	return max(m.line.homing, l.way(m)+seconds(bytes/m.bandwidth()))
}

// way is the round trip between m and the initiator. Where it is not known it is
// believed to be the longer one of what there is to the two.
func (l *Leader) way(m *member) time.Duration {
	return max(m.outlook.rtt, l.initiator.outlook.rtt)
}

// outputs are the bytes that a step is believed to make.
func (l *Leader) outputs(s Step) float64 {
	if b := l.step(s).OutputBytes; b > 0 {
		return float64(b)
	}
	return l.exp.bytes
}

// made takes how many bytes a step made.
func (e *experience) made(bytes int64) {
	if e.results++; e.results < maxSamples {
		e.bytes += (float64(bytes) - e.bytes) / float64(e.results)
		return
	}
	e.bytes += (float64(bytes) - e.bytes) / maxSamples
}

// left is how long a run that has taken so long is believed to take yet. One
// that should be over is not about to be: it is believed to take as long again
// as it is late, and half of what was expected.
func left(expected, elapsed time.Duration) time.Duration {
	if elapsed <= expected {
		return expected - elapsed
	}
	return elapsed - expected/2
}

// observe looks how late each member's runs are.
func (l *Leader) observe() {
	for _, m := range l.order {
		m.lag, m.late = 0, 0
		if m.join == nil {
			continue
		}
		for s := range m.hands { // the least of them, in any order
			at := l.tasks[s].begunAt(m.id)
			work, measured := l.expect(s)
			if at.IsZero() || !measured {
				continue
			}
			expected := runTime(work, m.bpu())
			if elapsed := l.now.Sub(at); elapsed > time.Duration(lateBy*float64(expected))+slack {
				m.late++
				lag := float64(expected) / float64(elapsed)
				if m.lag == 0 || lag < m.lag {
					m.lag = lag
				}
			}
		}
	}
}
