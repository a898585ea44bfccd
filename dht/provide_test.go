package dht_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

func (w *world) holders(t *testing.T, at peer.ID, ds []digest.Digest) map[digest.Digest][]peer.ID {
	t.Helper()
	found, err := w.dhts[at].Holders(t.Context(), ds)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func digests(n int) []digest.Digest {
	ds := make([]digest.Digest, n)
	for i := range ds {
		ds[i] = digest.Of(digest.BLAKE3, fmt.Append(nil, i))
	}
	return ds
}

// announced waits until what was provided is announced.
func announced() {
	<-time.After(time.Second)
	synctest.Wait()
}

func TestProvidedLocationsAreFoundInBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d", "e")
		ds := digests(10_000)
		w.dhts["b"].Provide(ds...)
		w.dhts["c"].Provide(ds[:10]...)
		announced()
		found := w.holders(t, "a", ds)
		if len(found) != len(ds) || len(found[ds[0]]) != 2 || !slices.Equal(found[ds[10]], []peer.ID{"b"}) {
			t.Errorf("%d found, %v and %v", len(found), found[ds[0]], found[ds[10]])
		}
		// To four others, each three fifths of the digests, at most 4,096 a
		// request.
		if got := w.dhts["b"].Stats().Requests; got > 8 {
			t.Errorf("%d requests for %d announcements, want at most 8", got, len(ds))
		}
	})
}

func TestLocationsExpireUnlessAnnouncedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		ds := digests(100)
		w.dhts["b"].Provide(ds...)
		announced()
		w.dhts["b"].Withdraw(ds[50:]...)
		<-time.After(50 * time.Minute)
		if got := len(w.holders(t, "a", ds)); got != 100 {
			t.Errorf("%d found before they expire, want 100", got)
		}
		<-time.After(70 * time.Minute)
		if got := len(w.holders(t, "a", ds)); got != 50 {
			t.Errorf("%d found two hours later, want the 50 that are still announced", got)
		}
	})
}

func TestNewOwnersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c", "d", "e", "f", "g")
		few := []peer.ID{"a", "b", "c", "d"}
		all := *w.members.Load()
		w.members.Store(&few)
		<-time.After(2 * time.Second)
		ds := digests(500)
		w.dhts["b"].Provide(ds...)
		announced()
		before := w.dhts["b"].Stats().Requests

		w.members.Store(&all)
		<-time.After(2 * time.Second)
		// With those that kept the locations gone, only the new ones know.
		left := []peer.ID{"b", "e", "f", "g"}
		for _, id := range []peer.ID{"a", "c", "d"} {
			w.net.Kill(id)
		}
		found := w.holders(t, "e", ds)
		if len(found) < 400 {
			t.Errorf("%d of 500 known to the new members", len(found))
		}
		w.members.Store(&left)
		<-time.After(2 * time.Second)
		if found := w.holders(t, "e", ds); len(found) != len(ds) {
			t.Errorf("%d of 500 found after members left", len(found))
		}
		if got := w.dhts["b"].Stats().Requests - before; got > 20 {
			t.Errorf("%d requests to tell new owners", got)
		}
	})
}

func TestOwnerThatDidNotAnswerIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		w.net.Cut("a", "b")
		ds := digests(10)
		w.dhts["b"].Provide(ds...)
		<-time.After(2 * time.Second)
		w.net.Heal("a", "b")
		<-time.After(2 * time.Second)
		w.net.Cut("a", "b")
		if got := len(w.holders(t, "a", ds)); got != 10 {
			t.Errorf("%d found, want what the owner was told after it healed", got)
		}
	})
}

func TestOwnersFollowMembership(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d", "e", "f")
	ds := digests(1000)
	share := map[peer.ID]int{}
	before := map[digest.Digest][]peer.ID{}
	for _, d := range ds {
		before[d] = w.dhts["a"].Owners(d, 3)
		if !slices.Equal(before[d], w.dhts["f"].Owners(d, 3)) {
			t.Fatalf("two members disagree on the owners of %v", d)
		}
		for _, id := range before[d] {
			share[id]++
		}
	}
	for id, n := range share {
		if n < 400 || n > 600 {
			t.Errorf("%s keeps %d of 1000 locations, want about 500", id, n)
		}
	}
	without := []peer.ID{"a", "b", "c", "d", "e"}
	w.members.Store(&without)
	for _, d := range ds {
		if now := w.dhts["a"].Owners(d, 3); !slices.Contains(before[d], "f") && !slices.Equal(now, before[d]) {
			t.Errorf("the owners of %v changed though none left", d)
		}
	}
}
