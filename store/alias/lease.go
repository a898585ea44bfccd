package alias

import (
	"context"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Leases are leases of under that take foreign names too: what has no alias yet is
// held from the moment it gets one.
func (b *Blobs) Leases(under store.Leaser) store.Leaser { return leases{blobs: b, under: under} }

type leases struct {
	blobs *Blobs
	under store.Leaser
}

// Lease implements store.Leaser.
func (l leases) Lease() store.Lease {
	return &lease{blobs: l.blobs, under: l.under.Lease(), waits: map[digest.Digest]struct{}{}}
}

// Keeper takes foreign names too, for promises of under. What has no alias is not
// here.
func (b *Blobs) Keeper(under store.Keeper) store.Keeper { return keeper{blobs: b, under: under} }

type keeper struct {
	blobs *Blobs
	under store.Keeper
}

// Keep implements store.Keeper.
func (k keeper) Keep(ctx context.Context, until time.Time, ds []digest.Digest) ([]bool, error) {
	return k.blobs.ask(ds, func(ns []digest.Digest) ([]bool, error) { return k.under.Keep(ctx, until, ns) })
}

// lease passes native names on; foreign ones without an alias wait in the Blobs.
type lease struct {
	blobs *Blobs

	// mu orders Hold and Release of under: an alias that comes during Release must
	// not hold for ever.
	mu    sync.Mutex
	under store.Lease
	waits map[digest.Digest]struct{}
}

// Hold implements store.Lease.
func (l *lease) Hold(ds ...digest.Digest) {
	known, unknown := l.blobs.known(ds)
	l.mu.Lock()
	for _, d := range unknown {
		l.waits[d] = struct{}{}
	}
	l.mu.Unlock()
	l.blobs.waiting.add(l, unknown)
	// An alias that came before the waiting began is seen now.
	late, _ := l.blobs.known(unknown)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under.Hold(append(known, late...)...)
}

// came holds n if d is still waited for.
func (l *lease) came(d, n digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.waits[d]; ok {
		l.under.Hold(n)
	}
}

// Release implements store.Lease.
func (l *lease) Release() {
	l.mu.Lock()
	waits := l.waits
	l.waits = map[digest.Digest]struct{}{}
	l.under.Release()
	l.mu.Unlock()
	l.blobs.waiting.drop(l, waits)
}

// known returns the native digests of those that have one, and the others.
func (b *Blobs) known(ds []digest.Digest) (natives, unknown []digest.Digest) {
	now := grain(time.Now())
	for _, d := range ds {
		if n, err := b.native(d, now); err == nil {
			natives = append(natives, n)
		} else {
			unknown = append(unknown, d)
		}
	}
	return natives, unknown
}

// waiting are the leases that wait for an alias. Its zero value is empty.
type waiting struct {
	mu sync.Mutex
	of map[digest.Digest]map[*lease]struct{}
}

func (w *waiting) add(l *lease, ds []digest.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range ds {
		if w.of == nil {
			w.of = map[digest.Digest]map[*lease]struct{}{}
		}
		if w.of[d] == nil {
			w.of[d] = map[*lease]struct{}{}
		}
		w.of[d][l] = struct{}{}
	}
}

func (w *waiting) drop(l *lease, ds map[digest.Digest]struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range ds {
		if delete(w.of[d], l); len(w.of[d]) == 0 {
			delete(w.of, d)
		}
	}
}

// came tells those who wait for d what it is.
func (w *waiting) came(d, n digest.Digest) {
	w.mu.Lock()
	who := make([]*lease, 0, len(w.of[d]))
	for l := range w.of[d] {
		who = append(who, l)
	}
	w.mu.Unlock()
	for _, l := range who {
		l.came(d, n)
	}
}
