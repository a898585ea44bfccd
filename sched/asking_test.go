package sched

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// slowClaims are claims that are under way until the test answers them.
type slowClaims struct {
	asked    chan *slowClaim
	released int
}

type slowClaim struct {
	ctx   context.Context
	grant chan bool
}

func (c *slowClaims) Claim(ctx context.Context, _ registry.Scope, _ digest.Digest, _ registry.Early) (registry.Found, bool, error) {
	asked := &slowClaim{ctx, make(chan bool)}
	c.asked <- asked
	if <-asked.grant {
		return registry.Found{}, false, nil
	}
	return registry.Found{}, false, ctx.Err()
}

func (c *slowClaims) Release(registry.Scope, digest.Digest) { c.released++ }

func (*slowClaims) Owners(registry.Scope, digest.Digest) []peer.ID { return nil }

func (*slowClaims) Lookup(context.Context, registry.Scope, []digest.Digest) map[digest.Digest]registry.Found {
	return nil
}

func (*slowClaims) Publish(context.Context, registry.Scope, action.Entry, []peer.ID) error {
	return nil
}

// claimTwice has a step claim an action twice, the second time after between, and
// returns both answers. The second claim has to wait until nothing of the first is left.
func claimTwice(t *testing.T, between func(l *leading, a digest.Digest)) (first, second steal.Resolved) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		claims := &slowClaims{asked: make(chan *slowClaim, 2)}
		l := &leading{
			s: &Service{opts: Options{Results: claims}}, asking: map[digest.Digest][]*asking{},
			claims: map[digest.Digest]steal.Step{}, latest: map[steal.Step]digest.Digest{},
		}
		a := digest.Of(digest.BLAKE3, []byte("a"))
		first, second = steal.Resolved{Action: a, Attempt: 1}, steal.Resolved{Action: a, Attempt: 2}
		claim := func(r *steal.Resolved) <-chan bool {
			told := make(chan bool, 1)
			go func() { told <- l.claim(t.Context(), r, time.Minute, 0, func() {}) }()
			synctest.Wait()
			return told
		}
		one := claim(&first)
		between(l, a)
		two := claim(&second)
		before := <-claims.asked
		if cause := context.Cause(before.ctx); !errors.Is(cause, errWithdrawn) {
			t.Errorf("the first claim goes on: its context ended with %v", cause)
		}
		if len(claims.asked) > 0 {
			t.Fatal("the second claim is asked while the first one may be granted yet")
		}
		before.grant <- false
		synctest.Wait()
		(<-claims.asked).grant <- true
		if !<-one || !<-two {
			t.Error("a claim is not answered")
		}
		if !l.wants(a) || len(l.asking) > 0 {
			t.Errorf("the claim is not held, or something is left: %v, %v", l.claims, l.asking)
		}
	})
	return first, second
}

func TestASecondClaimOfAStepEndsTheFirst(t *testing.T) {
	first, second := claimTwice(t, func(*leading, digest.Digest) {})
	if first.Failure == nil || first.Claimed || second.Failure != nil || !second.Claimed {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

func TestAReleaseEndsWhatIsAskedFor(t *testing.T) {
	first, second := claimTwice(t, (*leading).release)
	if first.Failure == nil || first.Claimed || second.Failure != nil || !second.Claimed {
		t.Errorf("first %+v, second %+v", first, second)
	}
}
