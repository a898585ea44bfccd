package remake

import (
	"slices"

	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
)

const (
	// maxJobs bounds the actions of one plan: more than a large build has.
	maxJobs = 100_000
	// maxTries of one action: each beyond the first says that of what it reads
	// something was lost again, or was not known to be.
	maxTries = 3
)

// plan is in which order actions are to be executed so that wanted blobs come to be
// again. An action is tried at once; what it turns out to lack is wanted then, and it
// is tried again when that is there. Of several makers of a blob the next is tried
// when those before came to nothing. It is pure.
type plan struct {
	// makers returns those who made a blob, the best first.
	makers func(digest.Digest) []makers.Maker

	blobs  map[digest.Digest]*blob
	wanted []*blob // all, as they came
	jobs   map[makers.Maker]*job
	may    map[makers.Maker][]*blob // what each may make of what was wanted
	ready  []*job                   // as they became so
}

// blob is wanted, until it is here or lost for good.
type blob struct {
	d       digest.Digest
	makers  []makers.Maker
	untried []makers.Maker
	state   state
	of      []*job // that wait for it
}

// job is an action.
type job struct {
	m     makers.Maker
	state state
	tries int
	needs map[digest.Digest]bool
}

// state is that of a blob, which is waiting, done or failed, or of a job:
//
//	idle -> ready -> going -> done
//	        ready -> idle, going -> waiting -> ready, any but done -> failed
type state uint8

const (
	idle state = iota
	ready
	going
	waiting
	done
	failed
)

// may says whether a job in this state may make something yet.
func (s state) may() bool { return s == ready || s == going || s == waiting }

func newPlan(of func(digest.Digest) []makers.Maker) *plan {
	return &plan{makers: of, blobs: map[digest.Digest]*blob{}, jobs: map[makers.Maker]*job{}, may: map[makers.Maker][]*blob{}}
}

// want adds a blob that is not here. One that came and was lost again is wanted
// again.
func (p *plan) want(d digest.Digest) *blob {
	b, ok := p.blobs[d]
	if !ok {
		b = &blob{d: d, makers: p.makers(d)}
		p.blobs[d] = b
		p.wanted = append(p.wanted, b)
		for _, m := range b.makers {
			p.may[m] = append(p.may[m], b)
		}
	}
	if !ok || b.state == done {
		b.state, b.untried = waiting, b.makers
		p.attend(b)
	}
	return b
}

// attend sees to it that somebody is about to make a blob that waits. If nobody can it
// is lost, and so is who waits for it.
func (p *plan) attend(b *blob) {
	for b.state == waiting && !p.attended(b) {
		if !p.try(b) {
			p.lose(b)
		}
	}
}

func (p *plan) attended(b *blob) bool {
	return slices.ContainsFunc(b.makers, func(m makers.Maker) bool {
		j := p.jobs[m]
		return j != nil && j.state.may()
	})
}

// try has the next maker of a blob tried, and reports whether there was one.
func (p *plan) try(b *blob) bool {
	for len(b.untried) > 0 {
		m := b.untried[0]
		b.untried = b.untried[1:]
		j := p.jobs[m]
		if j == nil && len(p.jobs) < maxJobs {
			j = &job{m: m}
			p.jobs[m] = j
		}
		if j != nil && j.state == idle {
			p.prepare(j)
			return true
		}
	}
	return false
}

func (p *plan) prepare(j *job) {
	j.state = ready
	p.ready = append(p.ready, j)
}

func (p *plan) lose(b *blob) {
	b.state = failed
	of := b.of
	b.of = nil
	for _, j := range of {
		p.fail(j)
	}
}

// fail ends a job; what was wanted of it is for its other makers.
func (p *plan) fail(j *job) {
	if j.state == failed || j.state == done {
		return
	}
	j.state = failed
	p.leave(j)
}

// leave attends to what a job that has ended might have made.
func (p *plan) leave(j *job) {
	for _, b := range p.may[j.m] {
		p.attend(b)
	}
}

// take returns an action to execute now, if there is one.
func (p *plan) take() (makers.Maker, bool) {
	for len(p.ready) > 0 {
		j := p.ready[0]
		p.ready = p.ready[1:]
		switch {
		case j.state != ready:
		case len(p.wantedOf(j.m)) == 0: // others have made it meanwhile
			j.state = idle
		default:
			j.state = going
			j.tries++
			return j.m, true
		}
	}
	return makers.Maker{}, false
}

// wantedOf returns what an action may make of what is wanted, to be looked for when
// it has been executed.
func (p *plan) wantedOf(m makers.Maker) (ds []digest.Digest) {
	for _, b := range p.may[m] {
		if b.state == waiting {
			ds = append(ds, b.d)
		}
	}
	return ds
}

// made says that an action was executed, and which of wantedOf are here.
func (p *plan) made(m makers.Maker, here []digest.Digest) {
	j := p.jobs[m]
	j.state = done
	for _, d := range here {
		b := p.blobs[d]
		b.state = done
		of := b.of
		b.of = nil
		for _, waits := range of {
			p.got(waits, d)
		}
	}
	p.leave(j)
}

// got takes a blob off what a job waits for.
func (p *plan) got(j *job, d digest.Digest) {
	delete(j.needs, d)
	if j.state == waiting && len(j.needs) == 0 {
		p.prepare(j)
	}
}

// lacks says that an action could not be executed for want of blobs.
func (p *plan) lacks(m makers.Maker, ds []digest.Digest) {
	j := p.jobs[m]
	if j.tries == maxTries || len(ds) == 0 {
		p.fail(j)
		return
	}
	j.state, j.needs = waiting, map[digest.Digest]bool{}
	for _, d := range ds {
		j.needs[d] = true
	}
	for _, d := range ds {
		b := p.want(d)
		if b.state == failed {
			p.fail(j)
			return
		}
		if !slices.Contains(b.of, j) {
			b.of = append(b.of, j)
		}
	}
}

// broke says that an action could not be executed, or failed.
func (p *plan) broke(m makers.Maker) { p.fail(p.jobs[m]) }

// settle is called when nothing goes on and nothing is ready: then what waits, waits
// for itself, as a copy does that is made of what it makes. All that waits is left to
// other makers as well; when there are none it is lost. It reports whether there is
// something to take.
func (p *plan) settle() bool {
	for i := 0; i < len(p.wanted); i++ {
		if b := p.wanted[i]; b.state == waiting {
			p.try(b)
		}
	}
	if len(p.ready) > 0 {
		return true
	}
	for _, b := range p.wanted {
		if b.state == waiting {
			b.state = failed
		}
	}
	return false
}

// isHere says that a wanted blob has come.
func (p *plan) isHere(d digest.Digest) bool {
	b, ok := p.blobs[d]
	return ok && b.state == done
}
