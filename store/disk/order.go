package disk

import (
	"cmp"
	"container/list"
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// classes of size that are told apart: up to firstClass bytes, then in steps
	// of classFactor. Each class goes after half of the age of the one below: to
	// fetch or to make many small blobs again takes longer than one of their bytes
	// together, and a tree without one of its messages is worth nothing.
	classes     = 4
	firstClass  = 16 << 10
	classFactor = 16
	// copyShift lets a blob of which others have a copy go after a quarter of the
	// age at which it would go otherwise.
	copyShift = 2

	// term is how exactly the end of a promise is known. Promises that end in the
	// same term are counted together.
	term = int64(time.Minute)
	// keptPart of the store, one of so many, is promised at most: the rest is for
	// what comes, and for the builds of this machine.
	keptPart = 2
	// maxAwaited blobs that have not come are promised to be kept when they do, at
	// some 150 bytes each.
	maxAwaited = 1 << 17
)

// index is what the store holds, in memory, and in which order it may go. It is
// pure: times come in, in Unix nanoseconds.
//
// Blobs of like weight are in one queue, least recently used first; of the
// queues' first blobs that one goes whose age times weight is the largest. These
// are the pyramids of Aggarwal, Wolf and Yu, "Caching on the World Wide Web"
// (1999), section 3, flatter: large blobs cost more to bring back. What is met at
// the head of a queue and is leased waits aside, so that it is met once and not
// for each blob that comes.
type index struct {
	blobs  map[digest.Digest]*blob
	queues [classes + copyShift]list.List // of *blob
	bytes  int64                          // with what is being written
	// leases counts the leases of a blob, which need not be here.
	leases map[digest.Digest]int
	// aside are blobs with leases, off the queues until the last is released.
	aside list.List // of *blob

	// terms are the promises, by the term at whose begin they end.
	terms    map[int64]*promises
	nextTerm int64 // no term ends earlier
	kept     int64 // bytes in all terms
	maxKept  int64
	// awaited are the terms of blobs that are not here and are kept when they come.
	awaited map[digest.Digest]int64
}

// promises end together.
type promises struct {
	bytes int64
	aside list.List // of *blob, off the queues until then
}

// blob is a blob that is here.
type blob struct {
	digest     digest.Digest
	generation uint64
	used       int64 // Unix nanoseconds
	dirty      bool  // used is not what is on disk
	copied     bool  // others have it, as of its last use
	until      int64 // the term of its promise, 0 without one
	at         *list.Element
	in         *list.List
}

func (b *blob) file() bool { return b.digest.Size() > smallBlob }

func cost(size int64) int64 { return size + blobOverhead }

func newIndex(maxBytes int64) *index {
	return &index{
		blobs: map[digest.Digest]*blob{}, leases: map[digest.Digest]int{},
		terms: map[int64]*promises{}, maxKept: maxBytes / keptPart, awaited: map[digest.Digest]int64{},
	}
}

// queue is where b waits; its weight is two to the power of that.
func (ix *index) queue(b *blob) *list.List {
	n := 0
	for limit := int64(firstClass); n < classes-1 && b.digest.Size() > limit; limit *= classFactor {
		n++
	}
	if b.copied {
		n += copyShift
	}
	return &ix.queues[n]
}

func (b *blob) moveTo(l *list.List) {
	if b.in == l {
		l.MoveToBack(b.at)
		return
	}
	b.leave()
	b.in, b.at = l, l.PushBack(b)
}

func (b *blob) leave() {
	if b.in != nil {
		b.in.Remove(b.at)
	}
}

// add takes in a blob that was used after all others.
func (ix *index) add(b *blob) {
	ix.blobs[b.digest] = b
	b.moveTo(ix.queue(b))
}

func (ix *index) remove(b *blob) {
	delete(ix.blobs, b.digest)
	b.leave()
	ix.unpromise(b)
	ix.bytes -= cost(b.digest.Size())
}

// use counts b as used now.
func (ix *index) use(b *blob, now int64) {
	if b.used/int64(time.Second) != now/int64(time.Second) {
		b.dirty = true
	}
	b.used, b.copied = now, false
	b.moveTo(ix.queue(b))
}

// wanted reports whether b may not go.
func (ix *index) wanted(b *blob, now int64) bool {
	return ix.leases[b.digest] > 0 || b.until*term > now
}

// next returns the blob that is to go first, which stays; nil if none may go.
func (ix *index) next(now int64) *blob {
	ix.expire(now)
	for {
		b := ix.first(now)
		if b == nil || !ix.wanted(b, now) {
			return b
		}
		ix.setAside(b)
	}
}

func (ix *index) first(now int64) *blob {
	var first *blob
	most := -1.0
	for i := len(ix.queues) - 1; i >= 0; i-- {
		e := ix.queues[i].Front()
		if e == nil {
			continue
		}
		b := e.Value.(*blob)
		if s := score(b, i, now); s > most {
			first, most = b, s
		}
	}
	return first
}

func (ix *index) setAside(b *blob) {
	if p := ix.terms[b.until]; p != nil {
		b.moveTo(&p.aside)
		return
	}
	b.moveTo(&ix.aside)
}

// back puts blobs that were aside at the heads of their queues: who waits there was
// used later than they, but for some that came back before.
func (ix *index) back(blobs []*blob) {
	sortByUse(blobs)
	for _, b := range slices.Backward(blobs) {
		b.leave()
		b.in = ix.queue(b)
		b.at = b.in.PushFront(b)
	}
}

func (ix *index) hold(d digest.Digest) { ix.leases[d]++ }

// release ends one lease of each.
func (ix *index) release(ds map[digest.Digest]struct{}) {
	var free []*blob
	for d := range ds {
		if ix.leases[d]--; ix.leases[d] > 0 {
			continue
		}
		delete(ix.leases, d)
		if b, ok := ix.blobs[d]; ok && b.in == &ix.aside {
			free = append(free, b)
		}
	}
	ix.back(free)
}

// promise keeps b until then at least, and reports whether it may. Promises are
// never shortened.
func (ix *index) promise(b *blob, until, now int64) bool {
	ix.expire(now)
	t := (until + term - 1) / term
	if t*term <= now || t <= b.until {
		return t*term > now
	}
	size := cost(b.digest.Size())
	if ix.terms[b.until] == nil && ix.kept+size > ix.maxKept {
		return false
	}
	ix.unpromise(b)
	p := ix.term(t)
	b.until = t
	p.bytes += size
	ix.kept += size
	return true
}

// term returns the promises that end at t.
func (ix *index) term(t int64) *promises {
	p := ix.terms[t]
	if p == nil {
		p = &promises{}
		if len(ix.terms) == 0 || t < ix.nextTerm {
			ix.nextTerm = t
		}
		ix.terms[t] = p
	}
	return p
}

// await promises to keep d when it comes, until then at least, and reports whether
// it may.
func (ix *index) await(d digest.Digest, until, now int64) bool {
	ix.expire(now)
	t := (until + term - 1) / term
	before, known := ix.awaited[d]
	if t*term <= now || t <= before {
		return t*term > now
	}
	if !known && len(ix.awaited) >= maxAwaited {
		return false
	}
	ix.awaited[d] = t
	ix.term(t) // at whose end it is forgotten
	return true
}

// came keeps b if it was awaited, and reports whether it may where it was.
func (ix *index) came(b *blob, now int64) bool {
	ix.expire(now)
	t, ok := ix.awaited[b.digest]
	if !ok {
		return true
	}
	delete(ix.awaited, b.digest)
	return ix.promise(b, t*term, now)
}

// unpromise takes b out of the counts; it is aside no more, or about to leave.
func (ix *index) unpromise(b *blob) {
	p := ix.terms[b.until]
	b.until = 0
	if p == nil {
		return
	}
	size := cost(b.digest.Size())
	p.bytes -= size
	ix.kept -= size
}

// expire ends the promises that are over.
func (ix *index) expire(now int64) {
	if len(ix.terms) == 0 || ix.nextTerm*term > now {
		return
	}
	var free []*blob
	ix.nextTerm = 0
	for t, p := range ix.terms {
		if t*term > now {
			if ix.nextTerm == 0 || t < ix.nextTerm {
				ix.nextTerm = t
			}
			continue
		}
		for e := p.aside.Front(); e != nil; e = e.Next() {
			free = append(free, e.Value.(*blob))
		}
		ix.kept -= p.bytes
		delete(ix.terms, t)
	}
	maps.DeleteFunc(ix.awaited, func(_ digest.Digest, t int64) bool { return t*term <= now })
	ix.back(free)
}

// unused takes out at most n blobs that were last used before then and may go.
func (ix *index) unused(before, now int64, n int) []*blob {
	ix.expire(now)
	var out []*blob
	for i := range ix.queues {
		for len(out) < n {
			e := ix.queues[i].Front()
			if e == nil || e.Value.(*blob).used >= before {
				break
			}
			b := e.Value.(*blob)
			if ix.wanted(b, now) {
				ix.setAside(b)
				continue
			}
			ix.remove(b)
			out = append(out, b)
		}
	}
	return out
}

// brink returns at most n of the blobs that are to go first, of those of which
// nobody is known to have a copy.
func (ix *index) brink(now int64, n int) []digest.Digest {
	type candidate struct {
		d     digest.Digest
		score float64
	}
	var all []candidate
	for i := range ix.queues {
		for e, k := ix.queues[i].Front(), 0; e != nil && k < n; e, k = e.Next(), k+1 {
			if b := e.Value.(*blob); !b.copied {
				all = append(all, candidate{b.digest, score(b, i, now)})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), a.d.Compare(b.d))
	})
	all = all[:min(n, len(all))]
	ds := make([]digest.Digest, len(all))
	for i, c := range all {
		ds[i] = c.d
	}
	return ds
}

// score says how soon b, of queue i, is to go: the largest first.
func score(b *blob, i int, now int64) float64 {
	return float64(max(now-b.used, 0)) * float64(int(1)<<i)
}

// copiedElsewhere moves b to those that go sooner, at its place by use.
func (ix *index) copiedElsewhere(b *blob) {
	waits := b.in == ix.queue(b)
	b.copied = true
	q := ix.queue(b)
	if !waits || b.in == q {
		return
	}
	e := q.Back()
	for e != nil && e.Value.(*blob).used > b.used {
		e = e.Prev()
	}
	b.leave()
	b.in = q
	if e == nil {
		b.at = q.PushFront(b)
	} else {
		b.at = q.InsertAfter(b, e)
	}
}

func sortByUse(blobs []*blob) {
	slices.SortFunc(blobs, func(a, b *blob) int {
		return cmp.Or(cmp.Compare(a.used, b.used), a.digest.Compare(b.digest))
	})
}
