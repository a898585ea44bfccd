package experience

import (
	"path"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// tool is what compiles are alike by, whatever the rule: that goes by the first of
// their outputs, which is a depfile or none.
type tool struct{ program, spec string }

func toolOf(s *action.Step) tool {
	spec, _ := s.Property(action.PropertyToolchainSpec)
	return tool{path.Base(s.Argv[0]), spec}
}

// Sized returns what a compile that was never run itself should take by the size of
// its source in bytes, as far as this build has seen how that goes together:
// BPU-seconds.
func (b *Build) Sized(step *action.Step, size int64) (work float64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.paces[toolOf(step)]
	if p == nil || size <= 0 || len(step.Outputs) == 0 {
		return 0, false
	}
	return p.of(float64(size))
}

// LearnSize keeps what a compile took whose source has that size: see Learn.
func (b *Build) LearnSize(step *action.Step, size int64, executor peer.ID, res *action.Result, since time.Time) {
	if size <= 0 || len(step.Outputs) == 0 || !res.OK() {
		return
	}
	t, work := toolOf(step), b.run(executor, res, since).Work()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paces[t] == nil {
		b.paces[t] = &pace{}
	}
	b.paces[t].add(float64(size), work)
}

// pace is what runs of a tool took together, and how large their sources were. What
// a source takes goes with its size, and with what it includes, which counts as so
// many bytes more. A line through what was seen, by least squares, was tried: of a
// few small sources it knows no slope, or ten times the real one.
type pace struct{ runs, work, bytes float64 }

const (
	// minRuns are those that tell.
	minRuns = 4
	// headerBytes is what the headers of a source count for, in bytes.
	headerBytes = 16 << 10
)

func (p *pace) add(size, work float64) {
	p.runs++
	p.work += work
	p.bytes += size + headerBytes
}

func (p *pace) of(size float64) (work float64, ok bool) {
	if p.runs < minRuns {
		return 0, false
	}
	return (size + headerBytes) * p.work / p.bytes, true
}
