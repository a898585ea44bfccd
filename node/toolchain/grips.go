package toolchain

import "time"

const (
	// idleGrip is after how long a grip that no look uses is let go: who does not build
	// need not wonder why a file system cannot be unmounted, or a removed compiler still
	// takes room.
	idleGrip = 10 * time.Second
	// gripAgain is how often it is tried to take a grip of the same record: in a directory
	// that changes all the time it is soon lost, and takes as long as some looks.
	gripAgain = time.Second
	// maxOpen bounds the files that all grips have open: a quarter of what the kernel
	// allows a process if nobody says otherwise. What is beyond is looked at by its path.
	maxOpen = 1024
)

// fresh is record.fresh for as much of r as has to be looked at. reads is that of the
// mount table, before.
func (p *Prober) fresh(s Spec, r *record, reads uint64) bool {
	w := p.least(s)
	if w != always {
		return r.fresh(w)
	}
	if e, g := p.gripOf(s, r); g != nil {
		defer g.release()
		if g.holds(reads) {
			if g.partial {
				p.take(s, r, reads)
			}
			return true
		}
		p.lost(e, g)
	}
	if !r.fresh(always) {
		return false
	}
	p.take(s, r, reads)
	return true
}

// gripOf returns what is open of r, if anything is. The caller must release it.
func (p *Prober) gripOf(s Spec, r *record) (*entry, *grip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[s]
	if e == nil || e.record != r || e.grip == nil {
		return nil, nil
	}
	e.used = time.Now()
	e.grip.retain()
	return e, e.grip
}

// take opens the programs of r, if they hold still.
func (p *Prober) take(s Spec, r *record, reads uint64) {
	now := time.Now()
	p.mu.Lock()
	e := p.entries[s]
	if e == nil || e.record != r || now.Sub(e.tried) < gripAgain {
		p.mu.Unlock()
		return
	}
	e.tried = now
	room := maxOpen - p.open
	p.mu.Unlock()
	g := take(r, reads, room)
	if g == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loosen(e)
	if p.turn == 0 || p.entries[s] != e || p.open+g.size() > maxOpen { // without Run nobody would let it go
		g.release()
		return
	}
	if p.open == 0 {
		select {
		case p.taken <- struct{}{}:
		default: // it is told already
		}
	}
	e.grip, e.used = g, now
	p.open += g.size()
}

// lost notes that g, which e had, does not show any more that nothing has changed.
func (p *Prober) lost(e *entry, g *grip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.grip == g {
		p.loosen(e)
	}
}

// loosen lets go of what e has. The caller has locked p.
func (p *Prober) loosen(e *entry) {
	if e.grip == nil {
		return
	}
	p.open -= e.grip.size()
	e.grip.release()
	e.grip = nil
}

// loosenUnused lets go of what was not used for a time, and reports whether anything is
// left.
func (p *Prober) loosenUnused(now time.Time) (left bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if now.Sub(e.used) >= p.idle {
			p.loosen(e)
		}
		left = left || e.grip != nil
	}
	return left
}
