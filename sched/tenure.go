package sched

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// leaseEvery is how often a leader looks what its build has come to need: what is
	// brought to the initiator sooner, and read by nobody else, is never leased.
	leaseEvery = time.Second
	// renewals of a lease fit into its term: two may be lost.
	renewals = 3
	// leaseAgain is the pause after a member did not answer, leaseTime how long it has
	// to, and releaseTime how long it has to hear that all is over.
	leaseAgain  = 5 * time.Second
	leaseTime   = 30 * time.Second
	releaseTime = 2 * time.Second
	// maxLessors of one result are asked to keep it, beside the initiator, who keeps
	// what it has by itself.
	maxLessors = 2
)

// Needed is what a build needs of one member.
type Needed struct {
	// Name is the leader's own, and random.
	Name [16]byte
	// Files are blobs, Trees Directory messages of which all below is needed.
	Files, Trees []digest.Digest
}

// Leases keep blobs at members, or at this node, for builds. All methods may be called
// concurrently.
type Leases interface {
	// Term is how long a member keeps what was leased, if it is not leased again.
	Term() time.Duration
	// Lease asks a member to keep what it has. What it does not have, or has no room
	// for, is no error.
	Lease(ctx context.Context, at peer.ID, n Needed) error
	// Release ends all that was leased of a member under a name.
	Release(ctx context.Context, at peer.ID, name [16]byte) error
}

// tenure leases, while this node leads a build, what members have made of it: what the
// initiator has not got yet, and what later steps read. It looks at the machine and
// says nothing to it. Who succeeds to a leader that has died leases anew, under a name
// of its own; what the dead one leased ends by itself. It is owned by the leading.
type tenure struct {
	l       *leading
	name    [16]byte
	next    time.Time // look
	lessors map[peer.ID]*lessor
}

// lessor is a member that keeps something.
type lessor struct {
	leased map[steal.Step]*steal.Done
	due    time.Time // when all of it is leased again
	busy   bool
}

func newTenure(l *leading) *tenure {
	t := &tenure{l: l, lessors: map[peer.ID]*lessor{}}
	_, _ = rand.Read(t.name[:]) // never fails since Go 1.24
	return t
}

// idle reports whether nothing is to be leased, for this build or at all.
func (t *tenure) idle() bool { return t.l.s.opts.Leases == nil || t.l.opts.Plan.Modes.Local }

// look leases what has come to be needed, and renews what is due.
func (t *tenure) look(now time.Time) {
	if t.idle() || now.Before(t.next) {
		return
	}
	t.next = now.Add(leaseEvery)
	needed := t.needed()
	for id, k := range t.lessors {
		if _, ok := needed[id]; !ok && !k.busy {
			k.leased = nil // nothing of it is renewed
		}
	}
	for id, steps := range needed {
		t.lease(now, id, steps)
	}
}

// needed is what the build needs of each member that is alive.
func (t *tenure) needed() map[peer.ID]map[steal.Step]*steal.Done {
	var alive []peer.ID // who that is is asked for where there is something to lease
	of := map[peer.ID]map[steal.Step]*steal.Done{}
	for s, d := range t.l.machine.Needed() {
		if alive == nil {
			for _, m := range t.l.s.alive() {
				alive = append(alive, m.ID)
			}
		}
		asked := 0
		for _, id := range d.Holders {
			if id == t.l.opts.Initiator || asked == maxLessors || !slices.Contains(alive, id) {
				continue
			}
			asked++
			if of[id] == nil {
				of[id] = map[steal.Step]*steal.Done{}
			}
			of[id][s] = d
		}
	}
	return of
}

// lease asks one member for what it was not asked for yet, or for all if that is due.
func (t *tenure) lease(now time.Time, id peer.ID, steps map[steal.Step]*steal.Done) {
	k := t.lessors[id]
	if k == nil {
		k = &lessor{}
		t.lessors[id] = k
	}
	if k.busy {
		return
	}
	n, all := Needed{Name: t.name}, !now.Before(k.due)
	for s, d := range steps {
		if !all && k.leased[s] == d {
			continue
		}
		files, trees := d.Entry.Result.Blobs()
		n.Files, n.Trees = append(n.Files, files...), append(n.Trees, trees...)
	}
	k.leased = steps
	if all {
		k.due = now.Add(t.l.s.opts.Leases.Term() / renewals)
	}
	if len(n.Files)+len(n.Trees) == 0 {
		return
	}
	k.busy = true
	t.l.work.Go(func() {
		ctx, cancel := context.WithTimeout(t.l.ctx, leaseTime)
		defer cancel()
		err := t.l.s.opts.Leases.Lease(ctx, id, n)
		t.l.box.post(func() { t.leased(id, k, err) })
	})
}

func (t *tenure) leased(id peer.ID, k *lessor, err error) {
	k.busy = false
	if err != nil {
		k.due = time.Now().Add(leaseAgain)
		t.l.s.opts.Log.Debug("what a build needs is not leased", "build", t.l.build, "peer", id, "error", err)
	}
}

// end lets go of all that was leased if the build is over. If not it goes on without
// this leader, and what was leased stays until its successor has leased it.
func (t *tenure) end() {
	if t.idle() || t.l.machine == nil {
		return
	}
	for range t.l.machine.Needed() {
		return
	}
	for id := range t.lessors {
		t.l.published.Go(func() {
			ctx, cancel := context.WithTimeout(t.l.s.life, releaseTime)
			defer cancel()
			if err := t.l.s.opts.Leases.Release(ctx, id, t.name); err != nil {
				t.l.s.opts.Log.Debug("a lease ends by itself", "build", t.l.build, "peer", id, "error", err)
			}
		})
	}
}
