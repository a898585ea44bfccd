package dht

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// watchMembers is how often changes of membership are looked for.
	watchMembers = time.Second
	// reannounce is how often everything is announced again: owners may have
	// restarted and forget after locationTTL.
	reannounce = 20 * time.Minute
	// gatherTime is what an announcement waits for others: a build makes many, and
	// those who need a blob at once know from its leader where it is.
	gatherTime = time.Second
	// maxProvided blobs are announced again; those announced longest ago are
	// forgotten first.
	maxProvided = 200_000
)

// announcements are what this node says it holds.
type announcements struct {
	news chan struct{} // holds a token while fresh is not empty

	mu       sync.Mutex
	fresh    map[digest.Digest]struct{}
	provided map[digest.Digest]time.Time // when
}

func newAnnouncements() *announcements {
	return &announcements{
		news:  make(chan struct{}, 1),
		fresh: map[digest.Digest]struct{}{}, provided: map[digest.Digest]time.Time{},
	}
}

// Provide announces, soon and in bulk, that this node holds ds. It does not
// wait. Announcements are made while Run runs, again to new owners when the
// members change, and every reannounce.
func (d *DHT) Provide(ds ...digest.Digest) {
	d.provided.add(ds)
	for _, key := range ds {
		if d.kad != nil && key.Size() >= Large {
			d.kad.Provide(key)
		}
	}
}

// ProvideRoot is Provide for the root of an action's result: its record goes
// to kad-dht too, whatever its size.
func (d *DHT) ProvideRoot(root digest.Digest) {
	d.provided.add([]digest.Digest{root})
	if d.kad != nil {
		d.kad.Provide(root)
	}
}

// Withdraw ends the announcing of blobs that are no longer here. What was
// announced is forgotten by its owners in time.
func (d *DHT) Withdraw(ds ...digest.Digest) {
	d.provided.remove(ds)
	if d.kad != nil {
		d.kad.Withdraw(ds...)
	}
}

func (a *announcements) add(ds []digest.Digest) {
	if len(ds) == 0 {
		return
	}
	a.mu.Lock()
	for _, key := range ds {
		if len(a.fresh) < maxProvided {
			a.fresh[key] = struct{}{}
		}
	}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (a *announcements) remove(ds []digest.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range ds {
		delete(a.fresh, key)
		delete(a.provided, key)
	}
}

// take moves what is fresh to what was provided, and returns it.
func (a *announcements) take(now time.Time) []digest.Digest {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := slices.Collect(maps.Keys(a.fresh))
	clear(a.fresh)
	for _, key := range keys {
		a.provided[key] = now
	}
	if over := len(a.provided) - maxProvided; over > 0 {
		oldest := slices.SortedFunc(maps.Keys(a.provided), func(x, y digest.Digest) int { return a.provided[x].Compare(a.provided[y]) })
		for _, key := range oldest[:over] {
			delete(a.provided, key)
		}
	}
	return keys
}

func (a *announcements) all() []digest.Digest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.provided))
}

// Run announces, and keeps what kad-dht needs, until ctx ends. Then every
// stream of this DHT is closed; it fetches no more.
func (d *DHT) Run(ctx context.Context) error {
	var kadding sync.WaitGroup
	if d.kad != nil {
		kadding.Go(func() {
			if err := d.kad.Run(ctx); err != nil {
				d.opts.Log.Error("kad-dht ended; large blobs are found by rendezvous alone", "error", err)
			}
		})
	}
	d.announceLoop(ctx)
	d.lanes.close()
	d.bulk.close()
	kadding.Wait()
	return nil
}

func (d *DHT) announceLoop(ctx context.Context) {
	tick := time.NewTicker(watchMembers)
	defer tick.Stop()
	members := sorted(d.opts.Members())
	owed := map[peer.ID][]digest.Digest{} // to owners that did not answer
	again := time.Now().Add(reannounce)
	var gathered <-chan time.Time // nil while there is nothing to gather
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.provided.news:
			if gathered == nil {
				gathered = time.After(gatherTime)
			}
		case <-gathered:
			gathered = nil
			keep(owed, d.announce(ctx, byOwner(d.provided.take(time.Now()), members)))
		case <-tick.C:
			now := sorted(d.opts.Members())
			groups := owed
			if !slices.Equal(now, members) {
				keep(groups, moved(d.provided.all(), members, now))
				members = now
			}
			if time.Now().After(again) {
				groups = byOwner(d.provided.all(), members)
				again = time.Now().Add(reannounce)
				d.table.expire(time.Now())
			}
			maps.DeleteFunc(groups, func(id peer.ID, _ []digest.Digest) bool { return !slices.Contains(members, id) })
			owed = d.announce(ctx, groups)
		}
	}
}

func sorted(ids []peer.ID) []peer.ID { return slices.Sorted(slices.Values(ids)) }

// keep adds more to owed, at most maxProvided a peer.
func keep(owed, more map[peer.ID][]digest.Digest) {
	for id, keys := range more {
		owed[id] = append(owed[id], keys[:min(len(keys), maxProvided-len(owed[id]))]...)
	}
}

// moved groups keys by the owners that they have now and did not have before.
func moved(keys []digest.Digest, before, now []peer.ID) map[peer.ID][]digest.Digest {
	groups := map[peer.ID][]digest.Digest{}
	for _, key := range keys {
		old := rendezvous.Rank(before, key, replicas)
		for _, id := range rendezvous.Rank(now, key, replicas) {
			if !slices.Contains(old, id) {
				groups[id] = append(groups[id], key)
			}
		}
	}
	return groups
}

// announce tells each owner its keys and returns what it could not tell.
func (d *DHT) announce(ctx context.Context, groups map[peer.ID][]digest.Digest) map[peer.ID][]digest.Digest {
	var mu sync.Mutex
	untold := map[peer.ID][]digest.Digest{}
	var told sync.WaitGroup
	for id, keys := range groups {
		if id == d.opts.Self {
			d.table.add(time.Now(), id, keys)
			continue
		}
		told.Go(func() {
			for len(keys) > 0 {
				part := keys[:min(len(keys), maxBatch)]
				if _, err := d.ask(ctx, id, dhtpb.Request_PROVIDE, part); err != nil {
					d.opts.Log.Debug("owner did not take an announcement", "peer", id, "error", err)
					mu.Lock()
					defer mu.Unlock()
					untold[id] = keys
					return
				}
				keys = keys[len(part):]
			}
		})
	}
	told.Wait()
	return untold
}
