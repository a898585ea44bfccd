package mesh

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
)

// isIn waits until the node has the same secret as the other.
func (n *node) agreesWith(other *node) {
	n.t.Helper()
	await(n.t, "common secret", func() bool { return n.currentRoll().Secret == other.currentRoll().Secret })
}

// gossipsAlike waits until both gossip with the new key alone.
func (n *node) gossipsAlike(other *node) {
	n.t.Helper()
	for _, x := range []*node{n, other} {
		await(n.t, "the old key to go", func() bool {
			keys := x.keyring.GetKeys()
			return len(keys) == 1 && string(keys[0]) == string(n.currentRoll().Secret.GossipKey("test"))
		})
	}
}

func TestRevokedMemberIsOutForGood(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b, bad, sleeper := a.join(c), a.join(c), a.join(c)
	for _, n := range []*node{b, bad, sleeper} {
		a.sees(n.Self(), peer.Alive)
		n.echo()
	}
	a.echo()
	b.sees(bad.Self(), peer.Alive)
	if err := bad.hears(b.Self()); err != nil {
		t.Fatal(err)
	}
	sleeper.kill()
	a.sees(sleeper.Self(), peer.Failed)

	if err := a.Revoke(t.Context(), bad.Self()); err != nil {
		t.Fatal(err)
	}
	b.agreesWith(a)
	if a.currentRoll().Secret == c.Secret {
		t.Fatal("the secret is the old one")
	}
	for _, n := range []*node{a, b} {
		if _, listed := n.find(bad.Self()); listed {
			t.Errorf("%s lists the revoked peer", n.Self().Short())
		}
		if err := bad.hears(n.Self()); err == nil {
			t.Errorf("%s serves the revoked peer", n.Self().Short())
		}
		if saved, err := LoadCredentials(n.opts.Home); err != nil || saved.Secret != a.currentRoll().Secret {
			t.Errorf("on disk of %s: %v", n.Self().Short(), err)
		}
	}

	bad.kill()
	t.Run("it does not return", func(t *testing.T) {
		o := bad.opts
		o.Seeds = []netip.AddrPort{a.Addr()}
		refused(t, o, a)
	})
	t.Run("nor a new node with its secret", func(t *testing.T) {
		o := home(t, c)
		o.Seeds = []netip.AddrPort{a.Addr()}
		refused(t, o, b)
	})
	t.Run("a member that slept does", func(t *testing.T) {
		n := sleeper.again()
		a.sees(n.Self(), peer.Alive)
		n.sees(b.Self(), peer.Alive)
		n.agreesWith(a)
		if _, listed := n.find(bad.Self()); listed || !n.banned(bad.Self()) {
			t.Error("it does not know of the revocation")
		}
		if err := n.hears(b.Self()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a new invitation works", func(t *testing.T) {
		text, err := b.Invite(false)
		if err != nil {
			t.Fatal(err)
		}
		token, err := join.ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		o := home(t, Credentials{Mesh: token.Mesh, Secret: token.Secret})
		o.Seeds = token.Addrs
		n := up(t, o)
		a.sees(n.Self(), peer.Alive)
		if !n.banned(bad.Self()) {
			t.Error("it does not know of the revocation")
		}
	})
	t.Run("gossip goes on with the new key alone", func(t *testing.T) {
		a.gossipsAlike(b)
		a.sees(b.Self(), peer.Alive)
		b.sees(a.Self(), peer.Alive)
	})
}

// Of two changes the later one may be on disk sooner, and the earlier one is carried
// out after it.
func TestALateChangeDoesNotBringFormerKeysBack(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b, bad := a.join(c), a.join(c)
	a.sees(bad.Self(), peer.Alive)
	a.sees(b.Self(), peer.Alive)
	first := a.currentRoll()
	if err := a.Revoke(t.Context(), bad.Self()); err != nil {
		t.Fatal(err)
	}
	b.agreesWith(a)
	a.gossipsAlike(b)
	a.keys(a.rolls-1, first)
	fresh := home(t, Credentials{Mesh: c.Mesh, Secret: a.currentRoll().Secret})
	fresh.Seeds = []netip.AddrPort{a.Addr()}
	n := up(t, fresh)
	a.sees(n.Self(), peer.Alive)
}

// refused runs a node that nobody may answer.
func refused(t *testing.T, o Options, by *node) {
	t.Helper()
	before := by.Counters().HelloRefused
	if o.Seeds[0] != by.Addr() {
		before = 0
	}
	n := run(t, o)
	select {
	case <-n.Ready():
		t.Error("it got in")
	case err := <-n.ended:
		n.ended <- err
		if !errors.Is(err, ErrNoMember) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(2 * time.Second):
	}
	n.kill()
	if o.Seeds[0] == by.Addr() && by.Counters().HelloRefused == before {
		t.Error("nothing was refused")
	}
}

func TestRevokersAtOnceComeToOneSecret(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b, x, y := a.join(c), a.join(c), a.join(c)
	for _, n := range []*node{a, b} {
		for _, other := range []*node{a, b, x, y} {
			n.sees(other.Self(), peer.Alive)
		}
	}
	done := make(chan error, 2)
	go func() { done <- a.Revoke(t.Context(), x.Self()) }()
	go func() { done <- b.Revoke(t.Context(), y.Self()) }()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// For a moment both may have the secret that one of the revoked was still
	// given; it is rotated once more.
	await(t, "one roll that no revoked peer has", func() bool {
		p, q := a.currentRoll(), b.currentRoll()
		had := x.currentRoll().Secret == p.Secret || y.currentRoll().Secret == p.Secret
		return !had && p.Secret == q.Secret && p.Banned(x.Self()) && p.Banned(y.Self()) && q.Banned(x.Self()) && q.Banned(y.Self())
	})
}

func TestRevokingNobody(t *testing.T) {
	t.Parallel()
	a := up(t, home(t, NewCredentials("test")))
	if err := a.Revoke(t.Context(), a.Self()); err == nil {
		t.Error("a node revoked itself")
	}
	if err := a.Revoke(t.Context(), "12D3KooWNobody"); !errors.Is(err, ErrNoSuchMember) {
		t.Errorf("Revoke: %v", err)
	}
}
