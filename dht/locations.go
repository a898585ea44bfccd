package dht

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxLocations bounds the table: about 400 bytes an entry, so 80 MB.
	maxLocations = 200_000
	// maxHolders of one digest are remembered; a fetch needs a few.
	maxHolders = 8
	// locationTTL forgets a holder that did not announce again; it does so
	// every reannounce, so three announcements may be lost.
	locationTTL = time.Hour
)

// locations is what peers told this node of who holds what. It is pure but
// for mu, which guards the rest.
type locations struct {
	mu    sync.Mutex
	byKey map[digest.Digest]*list.Element
	used  list.List // of *location, most recently used first
}

type location struct {
	key     digest.Digest
	holders []holder // least recently announced first
}

type holder struct {
	id    peer.ID
	until time.Time
}

func newLocations() *locations {
	return &locations{byKey: map[digest.Digest]*list.Element{}}
}

func (l *locations) add(now time.Time, id peer.ID, ds []digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		e, ok := l.byKey[d]
		if !ok {
			e = l.used.PushFront(&location{key: d})
			l.byKey[d] = e
		}
		l.used.MoveToFront(e)
		loc := e.Value.(*location)
		loc.drop(func(h holder) bool { return h.id == id || !now.Before(h.until) })
		if len(loc.holders) == maxHolders {
			loc.holders = slices.Delete(loc.holders, 0, 1)
		}
		loc.holders = append(loc.holders, holder{id, now.Add(locationTTL)})
	}
	for l.used.Len() > maxLocations {
		l.remove(l.used.Back())
	}
}

// of returns the holders of d that are still members, the latest to announce
// first.
func (l *locations) of(now time.Time, d digest.Digest, member func(peer.ID) bool) []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[d]
	if !ok {
		return nil
	}
	loc := e.Value.(*location)
	loc.drop(func(h holder) bool { return !member(h.id) || !now.Before(h.until) })
	if len(loc.holders) == 0 {
		l.remove(e)
		return nil
	}
	l.used.MoveToFront(e)
	ids := make([]peer.ID, 0, len(loc.holders))
	for _, h := range slices.Backward(loc.holders) {
		ids = append(ids, h.id)
	}
	return ids
}

// expire forgets what nobody announced for locationTTL.
func (l *locations) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.used.Back(); e != nil; {
		loc, next := e.Value.(*location), e.Prev()
		loc.drop(func(h holder) bool { return !now.Before(h.until) })
		if len(loc.holders) == 0 {
			l.remove(e)
		}
		e = next
	}
}

func (l *locations) remove(e *list.Element) {
	delete(l.byKey, l.used.Remove(e).(*location).key)
}

func (loc *location) drop(which func(holder) bool) {
	loc.holders = slices.DeleteFunc(loc.holders, which)
}
