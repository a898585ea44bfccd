package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/lookup"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/store/digest"
)

// foreign is what is to be found across cells: records of results and of who
// holds a blob, which lie with the nodes closest to their keys.
type foreign struct {
	table   *lookup.Table
	results map[digest.Digest]*listing
}

// listing is a result, or who holds a blob, and which nodes keep it. They are those that were
// closest when it was put there; one that was started again has lost it.
type listing struct {
	known   *known
	holders []int
	keepers []keeper
}

type keeper struct{ place, life int }

// across reports whether there is anything beyond the own cell.
func (w *World) across() bool { return len(w.cells) > 1 }

// way is the network as look-ups see it.
type way struct{ w *World }

// RTT implements lookup.World.
func (s way) RTT(from, to int) (time.Duration, bool) {
	n := s.w.nodes[to]
	return s.w.net.RTT(from, to), n.alive && !n.stalled && s.w.Connected(from, to)
}

// find looks a key up and tells of it. holds may be nil.
func (n *node) find(key digest.Digest, holds func(place int) bool) lookup.Found {
	w := n.w
	if w.foreign.table == nil {
		w.foreign.table = lookup.New(w.setting.Lookup, len(w.nodes), w.chance)
	}
	f := w.foreign.table.Find(way{w}, n.place, lookup.KeyOf(key.Hash()), holds)
	w.traffic.Messages[n.place] += int64(f.Asked)
	w.traffic.MessageBytes[n.place] += int64(f.Asked) * frameBytes
	e := n.of(trace.Looked)
	e.Value, e.Digest = int64(f.Hops), uint64(f.Took)
	w.tell(e)
	return f
}

// look looks for a record; done is called with nil where there is none.
func (n *node) look(key digest.Digest, done func(*listing)) {
	w := n.w
	if !w.across() {
		done(nil)
		return
	}
	r := w.foreign.results[key]
	f := n.find(key, func(place int) bool {
		return r != nil && slices.ContainsFunc(r.keepers, func(k keeper) bool { return k.place == place && w.nodes[place].lives(k.life) })
	})
	n.later(f.Took, func() {
		if f.Held {
			done(r)
			return
		}
		done(nil)
	})
}

// foreign looks for a result that another cell made.
func (n *node) foreign(a digest.Digest, done func(*known)) {
	n.look(a, func(r *listing) {
		if r == nil {
			done(nil)
			return
		}
		done(r.known)
	})
}

// foreignHolders looks for holders of a blob in other cells.
func (n *node) foreignHolders(b *blob, done func([]int)) {
	n.look(b.digest, func(r *listing) {
		if r == nil {
			done(nil)
			return
		}
		done(r.holders)
	})
}

// record puts a result and the holders of its outputs where other cells find
// them.
func (n *node) record(k *known, holders []int) {
	if !n.w.across() {
		return
	}
	f := n.find(k.entry.Action, nil)
	n.put(k.entry.Action, &listing{known: k}, f.Took)
	for i := range k.entry.Result.Outputs {
		n.put(k.entry.Result.Outputs[i].Digest, &listing{holders: holders}, f.Took)
	}
}

// put has the nodes closest to a key keep a record. What looking for them
// costs is known of the record before.
func (n *node) put(key digest.Digest, r *listing, takes time.Duration) {
	w := n.w
	closest := w.foreign.table.Closest(lookup.KeyOf(key.Hash()), func(place int) bool {
		_, answers := way{w}.RTT(n.place, place)
		return answers
	})
	for _, place := range closest {
		r.keepers = append(r.keepers, keeper{place, w.nodes[place].life})
	}
	n.later(takes, func() {
		if w.foreign.results == nil {
			w.foreign.results = map[digest.Digest]*listing{}
		}
		w.foreign.results[key] = r
	})
}
