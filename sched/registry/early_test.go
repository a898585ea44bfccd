package registry_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/store/digest"
)

// early is claim for an execution that may begin before all is answered. begun is
// closed when it may.
func (n *node) early(ctx context.Context, build claim.Build, a digest.Digest, start claim.Start) (c <-chan claimed, begun <-chan struct{}) {
	answered, begins := make(chan claimed, 1), make(chan struct{})
	go func() {
		f, known, err := n.Claim(ctx, n.scope(build), a, registry.Early{Start: start, Begin: func() { close(begins) }})
		answered <- claimed{known, f, err}
	}()
	return answered, begins
}

func begins(t *testing.T, begun <-chan struct{}, want bool) {
	t.Helper()
	synctest.Wait()
	select {
	case <-begun:
		if !want {
			t.Error("the execution begins")
		}
	default:
		if want {
			t.Error("the execution does not begin")
		}
	}
}

func TestWhoGoesAheadHearsOfTheResult(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		a, one, two := name("a"), w.nodes[3], w.nodes[4]
		granted(t, one.claim(t.Context(), "x", a))
		second, begun := two.early(t.Context(), "y", a, claim.AtOnce)
		begins(t, begun, true)
		waits(t, second)
		one.publish(one.scope("x"), one.entry(a, action.Full))
		found(t, second, one.id)
	})
}

func TestAClaimIsNobodysBetweenAnExecutionAndItsResult(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		a, one, two := name("a"), w.nodes[3], w.nodes[4]
		granted(t, one.claim(t.Context(), "x", a))
		ctx, end := context.WithCancelCause(t.Context())
		second, begun := two.early(ctx, "y", a, claim.AtOnce)
		begins(t, begun, true)
		third := w.nodes[1].claim(t.Context(), "z", a)
		waits(t, third)
		end(registry.ErrMade)
		if got := <-second; got.known || !errors.Is(got.err, context.Canceled) {
			t.Errorf("claim = %+v, want it ended", got)
		}
		one.Release(one.scope("x"), a)
		waits(t, third)
		two.publish(two.scope("y"), two.entry(a, action.Full))
		found(t, third, two.id)
		two.Release(two.scope("y"), a)
		granted(t, w.nodes[2].claim(t.Context(), "q", name("b")))
	})
}

func TestWhoseClaimIsGivenBeginsBeforeTheOthersAnswer(t *testing.T) {
	for start, want := range map[claim.Start]bool{claim.Answered: false, claim.Claimed: true} {
		inWorld(t, 5, func(t *testing.T, w *world) {
			a, two := name("a"), w.nodes[4]
			w.net.Join(w.nodes[1].id).Handle(registry.Protocol, func(_ context.Context, _ peer.ID, s peer.Stream) {
				_, _ = io.Copy(io.Discard, s) // and never answers
			})
			second, begun := two.early(t.Context(), "y", a, start)
			time.Sleep(100 * time.Millisecond)
			begins(t, begun, want)
			granted(t, second)
			third := w.nodes[3].claim(t.Context(), "z", a)
			waits(t, third)
			two.Release(two.scope("y"), a)
			granted(t, third)
		})
	}
}
