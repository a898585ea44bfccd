package dht

import (
	"container/list"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxLocations bounds the table: about 300 bytes an entry, so 60 MB.
	maxLocations = 200_000
	// maxHolders of one digest are remembered; a fetch needs a few.
	maxHolders = 8
)

// locations is what peers told this node of who holds what.
type locations struct {
	mu    sync.Mutex
	byKey map[digest.Digest]*list.Element
	used  list.List // of *location, most recently used first
}

type location struct {
	key     digest.Digest
	holders []peer.ID // oldest first
}

func newLocations() *locations {
	return &locations{byKey: map[digest.Digest]*list.Element{}}
}

func (l *locations) add(holder peer.ID, ds []digest.Digest) {
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
		if slices.Contains(loc.holders, holder) {
			continue
		}
		if len(loc.holders) == maxHolders {
			loc.holders = slices.Delete(loc.holders, 0, 1)
		}
		loc.holders = append(loc.holders, holder)
	}
	for l.used.Len() > maxLocations {
		last := l.used.Back()
		delete(l.byKey, l.used.Remove(last).(*location).key)
	}
}

// of returns the holders of d that are still members, newest first.
func (l *locations) of(d digest.Digest, member func(peer.ID) bool) []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[d]
	if !ok {
		return nil
	}
	l.used.MoveToFront(e)
	loc := e.Value.(*location)
	loc.holders = slices.DeleteFunc(loc.holders, func(id peer.ID) bool { return !member(id) })
	found := slices.Clone(loc.holders)
	slices.Reverse(found)
	return found
}
