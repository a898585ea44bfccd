package simulations

import (
	"slices"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/simulations/trace"
)

const (
	// maxLarge blobs come to a node at once, and swarmFrom bytes are worth
	// several holders (dht/large.go).
	maxLarge  = 4
	swarmFrom = 4 << 20
	// chunkBytes is what one request of a large blob moves, and outlineBytes
	// what its outline has for each of them (dht/outline.go).
	chunkBytes   = 1 << 20
	outlineBytes = 64
)

// search finds holders of one large blob, source after source (dht/large.go).
type search struct {
	f      *fetching
	n      *node
	blob   *blob
	source int
	seen   []int
	late   []int // doubtful, or did not answer: asked at the end
}

// fetchLarge brings one large blob, when it is its turn.
func (n *node) fetchLarge(f *fetching, b *blob) {
	begin := func() {
		n.large++
		s := &search{f: f, n: n, blob: b}
		s.next()
	}
	if n.large >= maxLarge {
		n.queued = append(n.queued, begin)
		return
	}
	begin()
}

// end lands the blob and lets the next one begin.
func (s *search) end(ok bool) {
	n := s.n
	if ok {
		e := n.of(trace.Fetched)
		e.Value = s.blob.size()
		n.w.tell(e)
	}
	n.large--
	if len(n.queued) > 0 {
		next := n.queued[0]
		n.queued = n.queued[1:]
		n.later(0, next)
	}
	s.f.land(s.blob, ok)
}

// next goes to the holders of the next source; the blob is nowhere when every
// source is spent.
func (s *search) next() {
	s.more(func(found []int) {
		if len(found) == 0 {
			s.end(false)
			return
		}
		s.from(found)
	})
}

// more comes back with holders that confirmed to have the blob, none when
// every source is spent.
func (s *search) more(done func([]int)) {
	s.source++
	confirm := func(ids []int) {
		s.confirm(s.inTime(ids), func(found []int) {
			if len(found) > 0 {
				done(found)
				return
			}
			s.more(done)
		})
	}
	switch s.source {
	case 1:
		confirm(s.f.hints)
	case 2:
		s.n.locate(s.blob, confirm)
	case 3:
		s.n.foreignHolders(s.blob, confirm)
	case 4:
		confirm(placesOf(rendezvous.Rank(s.n.peers(nil), s.blob.digest, maxAsked)))
	case 5:
		late := s.late
		s.late = nil
		s.confirm(late, func(found []int) {
			if len(found) > 0 {
				done(found)
				return
			}
			s.more(done)
		})
	default:
		done(nil)
	}
}

// inTime returns those that were not asked yet and may answer soon.
func (s *search) inTime(ids []int) []int {
	var ask []int
	for _, id := range ids {
		switch {
		case slices.Contains(s.seen, id) || id == s.n.place:
			continue
		case s.n.doubts(id):
			s.late = append(s.late, id)
		default:
			ask = append(ask, id)
		}
		s.seen = append(s.seen, id)
	}
	return ask
}

// confirm asks all at once. When one has the blob, the others have a moment
// left to say so.
func (s *search) confirm(ids []int, done func([]int)) {
	var found []int
	waiting := slices.Clone(ids)
	over := false
	end := func() {
		if !over {
			over = true
			s.late = append(s.late, waiting...)
			slices.Sort(found)
			done(found)
		}
	}
	if len(ids) == 0 {
		end()
		return
	}
	for _, id := range ids {
		has := false
		s.n.call(id, frameBytes, func(to *node) (int, int64) {
			has = s.blob.has(to)
			return frameBytes, 0
		}, func(ok bool) {
			if over {
				return
			}
			waiting = without(waiting, id)
			if ok && has {
				if found = append(found, id); len(found) == 1 {
					s.n.later(nearTime, end)
				}
			}
			if len(waiting) == 0 {
				end()
			}
		})
	}
}

// from brings the blob from holders: by chunks, if there are several and it is
// worth it.
func (s *search) from(holders []int) {
	if s.blob.size() < swarmFrom {
		s.whole(holders)
		return
	}
	if len(holders) > 1 {
		s.outline(holders, holders)
		return
	}
	if s.source != 1 {
		s.whole(holders)
		return
	}
	// Company for the only hint that has it is looked for where that is cheap.
	s.source++
	s.n.locate(s.blob, func(ids []int) {
		s.confirm(s.inTime(ids), func(found []int) {
			if found = append(holders, found...); len(found) > 1 {
				s.outline(found, found)
				return
			}
			s.whole(found)
		})
	})
}

// whole brings the blob from one holder in one piece, and goes to the next one
// if that fails.
func (s *search) whole(holders []int) {
	if len(holders) == 0 {
		s.next()
		return
	}
	s.read(holders[0], s.blob.size(), func(ok bool) {
		if ok {
			s.end(true)
			return
		}
		s.whole(holders[1:])
	})
}

// outline brings what chunks are checked with, from the first of some holders
// that gives it, and then the chunks from all.
func (s *search) outline(from, holders []int) {
	if len(from) == 0 {
		s.whole(holders)
		return
	}
	has := false
	s.n.call(from[0], frameBytes, func(to *node) (int, int64) {
		has = s.blob.has(to)
		return frameBytes + int(s.blob.size()/chunkBytes)*outlineBytes, 0
	}, func(ok bool) {
		if ok && has {
			s.swarm(holders)
			return
		}
		s.outline(from[1:], holders)
	})
}

// read asks a holder for bytes of the blob.
func (s *search) read(place int, bytes int64, done func(ok bool)) {
	has := false
	s.n.call(place, frameBytes, func(to *node) (int, int64) {
		if has = s.blob.has(to) && !to.fails(); !has {
			return frameBytes, 0
		}
		to.sent(s.n, s.blob, bytes)
		return frameBytes, bytes
	}, func(ok bool) { done(ok && has) })
}
