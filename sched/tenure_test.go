package sched_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// rentTerm is the term of leases in a world.
const rentTerm = 3 * time.Second

// rent is what the members of a world lease of one another.
type rent struct {
	mu    sync.Mutex
	held  map[tenancy]map[digest.Digest]time.Time // until when
	asked int
	deaf  map[peer.ID]bool // members that answer nothing
}

type tenancy struct {
	of, at peer.ID
	name   [16]byte
}

// rents are the leases of one member.
type rents struct {
	*rent
	of peer.ID
}

func (r rents) Term() time.Duration { return rentTerm }

func (r rents) Lease(_ context.Context, at peer.ID, n sched.Needed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.deaf[at] {
		return errors.New("no answer")
	}
	key := tenancy{r.of, at, n.Name}
	if r.held[key] == nil {
		r.held[key] = map[digest.Digest]time.Time{}
	}
	for _, d := range append(n.Files, n.Trees...) {
		r.held[key][d] = time.Now().Add(rentTerm)
	}
	return nil
}

func (r rents) Release(_ context.Context, at peer.ID, name [16]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, tenancy{r.of, at, name})
	return nil
}

// leasers are those who lease d of a member now.
func (r *rent) leasers(at peer.ID, d digest.Digest) (of []peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, held := range r.held {
		if key.at == at && time.Now().Before(held[d]) {
			of = append(of, key.of)
		}
	}
	return of
}

// valid counts the leases that go on.
func (r *rent) valid() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, held := range r.held {
		for _, until := range held {
			if time.Now().Before(until) {
				n++
				break
			}
		}
	}
	return n
}

// leased checks that leader leases all that others made and were announced.
func (d *diary) leased(leader peer.ID) {
	t := d.m.w.t
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	others := 0
	for s, done := range d.finished {
		if done.Peer == d.m.id {
			continue // what the initiator made it keeps itself
		}
		others++
		for _, o := range done.Entry.Result.Outputs {
			if of := d.m.w.rent.leasers(done.Peer, o.Digest); len(of) == 0 || of[0] != leader && of[len(of)-1] != leader {
				t.Errorf("%s, which step %d made, is leased by %v", done.Peer.Short(), s, of)
			}
		}
	}
	if others == 0 {
		t.Error("the initiator made all, it proves nothing")
	}
}

// The link reads what the compiles made: that is leased of who made it, renewed, and let
// go of in the end.
func TestALeaderLeasesWhatItsBuildNeeds(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		w.runTime = 4 * time.Second
		m := w.at(0)
		g := m.compile(20)
		d := m.diary(g, 12)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 0)...), d)
		<-d.reached
		for range 3 {
			pass(time.Second + 200*time.Millisecond)
			d.leased(w.ids(1)[0])
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		pass(100 * time.Millisecond)
		if n := w.rent.valid(); n > 0 {
			t.Errorf("%d leases of a build that is over", n)
		}
	})
}

// What is read by nobody else, and is with the initiator at once, is not worth a word.
func TestWhatIsBroughtAtOnceIsNotLeased(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(2) // ends within a second
		if err := m.Build(t.Context(), sched.Build{ID: "b", Plan: m.plan(g, steal.Modes{})}, m.diary(g, 0)); err != nil {
			t.Fatal(err)
		}
		if w.rent.asked > 0 {
			t.Errorf("%d leases were asked for", w.rent.asked)
		}
	})
}

// Who succeeds a leader leases what it has made as well; what the dead one leased ends
// by itself.
func TestASuccessorLeasesAnew(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.runTime = 5 * time.Second
		m, first := w.at(0), w.at(1)
		g := m.compile(30)
		d := m.diary(g, 10)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 0)...), d)
		<-d.reached
		pass(time.Second)
		second := w.ids(2)[0]
		w.kill(first.id)
		killed, inherited := time.Now(), 0
		pass(rentTerm + time.Second)
		if got := d.leader(); got != second {
			t.Fatalf("%s leads", got.Short())
		}
		d.mu.Lock()
		for s, done := range d.finished {
			if done.Peer == m.id || done.Peer == first.id || time.Since(d.at[s]) < 1200*time.Millisecond {
				continue
			}
			if d.at[s].Before(killed) {
				inherited++
			}
			for _, o := range done.Entry.Result.Outputs {
				if of := w.rent.leasers(done.Peer, o.Digest); len(of) != 1 || of[0] != second {
					t.Errorf("what step %d made is leased by %v", s, of)
				}
			}
		}
		d.mu.Unlock()
		if inherited == 0 {
			t.Error("nothing was made under the first leader, it proves nothing")
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
		if n := w.rent.valid(); n > 0 {
			t.Errorf("%d leases of a build that is over", n)
		}
	})
}

// A member that does not answer is asked again soon, and not for ever.
func TestASilentMemberIsAskedAgain(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.runTime = 8 * time.Second
		m, other := w.at(0), w.at(1)
		w.rent.deaf[other.id] = true
		g := m.compile(12)
		d := m.diary(g, 4)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}), d)
		<-d.reached
		pass(7 * time.Second)
		w.rent.mu.Lock()
		asked := w.rent.asked
		w.rent.deaf = nil
		w.rent.mu.Unlock()
		if asked < 2 || asked > 4 {
			t.Errorf("asked %d times in 7 s", asked)
		}
		pass(6 * time.Second)
		if w.rent.valid() == 0 {
			t.Error("it was not asked when it could answer")
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}
