package actions

import (
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxLatest entries are remembered twice over.
	maxLatest = 1024
	// moment is for how long an entry need not be put again to be as new.
	moment = time.Minute
)

// latest are the entries that were put a moment ago, in two generations: the
// worker of a result, its initiator and its owner, who may be one node, each put
// it. The zero value is empty.
type latest struct {
	mu         sync.Mutex
	young, old map[digest.Digest]kept
	drops      uint64 // so far
}

// kept is an entry that is in the cache.
type kept struct {
	entry action.Entry
	at    time.Time
}

// has reports whether this very entry was put a moment ago.
func (l *latest) has(e *action.Entry, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.young[e.Action]
	if !ok {
		k, ok = l.old[e.Action]
	}
	return ok && now.Sub(k.at) < moment && k.entry.Same(e)
}

// dropped is how often something was dropped so far.
func (l *latest) dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drops
}

// add remembers an entry that was put, unless something was dropped since drops was
// asked for: it may have been this one.
func (l *latest) add(e action.Entry, now time.Time, drops uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drops != drops {
		return
	}
	if l.young == nil || len(l.young) >= maxLatest {
		l.young, l.old = make(map[digest.Digest]kept, maxLatest), l.young
	}
	l.young[e.Action] = kept{e, now}
}

func (l *latest) drop(a digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.young, a)
	delete(l.old, a)
	l.drops++
}

func (l *latest) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.young, l.old = nil, nil
	l.drops++
}
