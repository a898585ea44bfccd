package registry_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAbsent = errors.New("not here")

// world is a mesh in memory whose members own every action in their order.
type world struct {
	t   *testing.T
	net *peertest.Network

	mu    sync.Mutex
	nodes []*node // alive, as membership knows
	watch map[chan struct{}]bool
}

type node struct {
	*registry.Registry
	w    *world
	id   peer.ID
	key  ed25519.PrivateKey
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	entries map[digest.Digest]action.Entry
}

func inWorld(t *testing.T, n int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: peertest.NewNetwork(), watch: map[chan struct{}]bool{}}
		defer func() {
			for _, m := range slices.Clone(w.nodes) {
				w.kill(m)
			}
			w.net.Close()
		}()
		for i := range n {
			w.join(byte(i+1), registry.Options{})
		}
		time.Sleep(5 * time.Second) // until membership has settled
		test(t, w)
	})
}

func (w *world) join(seed byte, opts registry.Options) *node {
	w.t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	public, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{w: w, id: peer.ID(raw.String()), key: key, entries: map[digest.Digest]action.Entry{}}
	opts.Self, opts.Network, opts.Store = n.id, w.net.Join(n.id), n
	opts.Owners, opts.Changes = w.owners, w.changes
	opts.Log = slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("self", n.id.Short())
	n.Registry = registry.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.done.Go(func() {
		if err := n.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	w.announce()
	return n
}

// kill takes a node away; membership knows at once.
func (w *world) kill(n *node) {
	w.net.Kill(n.id)
	n.stop()
	n.done.Wait()
	w.mu.Lock()
	w.nodes = slices.DeleteFunc(w.nodes, func(o *node) bool { return o == n })
	w.mu.Unlock()
	w.announce()
}

func (w *world) owners(_ digest.Digest, n int) []peer.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []peer.ID
	for _, o := range w.nodes[:min(n, len(w.nodes))] {
		ids = append(ids, o.id)
	}
	return ids
}

func (w *world) announce() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (w *world) changes() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch[c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watch, c)
	}
}

func (n *node) Get(_ context.Context, a digest.Digest) (action.Entry, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.entries[a]
	if !ok {
		return action.Entry{}, errAbsent
	}
	return e, nil
}

func (n *node) Put(_ context.Context, e action.Entry) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries[e.Action] = e
	return nil
}

func (n *node) Each(f func(action.Entry) bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.entries {
		if !f(e) {
			return nil
		}
	}
	return nil
}

func (n *node) has(a digest.Digest) bool {
	_, err := n.Get(context.Background(), a)
	return err == nil
}

func (n *node) entry(a digest.Digest, isolation action.Isolation) action.Entry {
	n.w.t.Helper()
	e, err := action.SignEntry(a, action.Result{Isolation: isolation}, n.id, func(b []byte) ([]byte, error) {
		return ed25519.Sign(n.key, b), nil
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
	return e
}

func (n *node) scope(build claim.Build) registry.Scope {
	return registry.Scope{Build: build, Initiator: n.id, Reach: registry.Mesh}
}

func (n *node) publish(s registry.Scope, e action.Entry) {
	n.w.t.Helper()
	if err := n.Publish(n.w.t.Context(), s, e, []peer.ID{n.id}); err != nil {
		n.w.t.Fatal(err)
	}
}

// claimed is what came of a claim.
type claimed struct {
	known bool
	found registry.Found
	err   error
}

func (n *node) claim(ctx context.Context, build claim.Build, a digest.Digest) <-chan claimed {
	c := make(chan claimed, 1)
	go func() {
		f, known, err := n.Claim(ctx, n.scope(build), a, registry.Early{})
		c <- claimed{known, f, err}
	}()
	return c
}

func name(s string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(s)) }

func waits(t *testing.T, c <-chan claimed) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		t.Fatalf("claim = %+v, want it to wait", got)
	default:
	}
}

func granted(t *testing.T, c <-chan claimed) {
	t.Helper()
	if got := <-c; got.known || got.err != nil {
		t.Errorf("claim = %+v, want it granted", got)
	}
}

func found(t *testing.T, c <-chan claimed, executor peer.ID) {
	t.Helper()
	got := <-c
	if !got.known || got.err != nil || got.found.Entry.Executor != executor || !slices.Contains(got.found.Holders, executor) {
		t.Errorf("claim = %+v, want the result", got)
	}
}

func TestSecondClaimGetsTheResultOfTheFirst(t *testing.T) {
	for _, pair := range [][2]int{{0, 1}, {1, 0}, {3, 4}, {0, 0}, {3, 3}} {
		t.Run(fmt.Sprint(pair), func(t *testing.T) {
			inWorld(t, 5, func(t *testing.T, w *world) {
				one, two, a := w.nodes[pair[0]], w.nodes[pair[1]], name("a")
				granted(t, one.claim(t.Context(), "x", a))
				second := two.claim(t.Context(), "y", a)
				time.Sleep(time.Minute) // it is renewed for as long as it takes
				waits(t, second)
				one.publish(one.scope("x"), one.entry(a, action.Full))
				found(t, second, one.id)
				for _, n := range w.nodes[:3] {
					if !n.has(a) {
						t.Errorf("owner %s does not keep the result", n.id.Short())
					}
				}
				found(t, w.nodes[2].claim(t.Context(), "z", a), one.id)
				if got := w.nodes[4].Lookup(t.Context(), w.nodes[4].scope("q"), []digest.Digest{a, name("b")}); len(got) != 1 {
					t.Errorf("Lookup = %v, want one result", got)
				}
			})
		})
	}
}

func TestClaimEndsWhenItsBuildFindsTheResultAtHome(t *testing.T) {
	for _, pair := range [][2]int{{0, 0}, {3, 3}, {3, 4}} {
		t.Run(fmt.Sprint(pair), func(t *testing.T) {
			inWorld(t, 5, func(t *testing.T, w *world) {
				one, two, a := w.nodes[pair[0]], w.nodes[pair[1]], name("a")
				granted(t, one.claim(t.Context(), "x", a))
				second := two.claim(t.Context(), "y", a)
				waits(t, second)
				// It executed the action for a third build, whose leader is away.
				if err := one.Put(t.Context(), one.entry(a, action.Full)); err != nil {
					t.Fatal(err)
				}
				found(t, one.claim(t.Context(), "x", a), one.id)
				if one == two {
					found(t, second, one.id)
				} else {
					granted(t, second)
				}
			})
		})
	}
}

func TestClaimEndsWithReleaseCancelAndDeath(t *testing.T) {
	for name, end := range map[string]func(w *world, holder *node, a digest.Digest){
		"Release": func(_ *world, holder *node, a digest.Digest) { holder.Release(holder.scope("x"), a) },
		"Death":   func(w *world, holder *node, _ digest.Digest) { w.kill(holder) },
		"Failure": func(w *world, holder *node, a digest.Digest) {
			e, err := action.SignEntry(a, action.Result{ExitCode: 1, Isolation: action.Full}, holder.id, func([]byte) ([]byte, error) { return nil, nil })
			if err != nil {
				w.t.Fatal(err)
			}
			if err := holder.Publish(w.t.Context(), holder.scope("x"), e, nil); !errors.Is(err, action.ErrInvalid) {
				w.t.Errorf("Publish = %v, want ErrInvalid", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 5, func(t *testing.T, w *world) {
				a := digest.Of(digest.BLAKE3, []byte("a"))
				granted(t, w.nodes[3].claim(t.Context(), "x", a))
				cancelled, cancel := context.WithCancel(t.Context())
				second, third := w.nodes[4].claim(cancelled, "y", a), w.nodes[1].claim(t.Context(), "z", a)
				waits(t, second)
				cancel()
				if got := <-second; !errors.Is(got.err, context.Canceled) {
					t.Errorf("cancelled claim = %+v", got)
				}
				waits(t, third)
				end(w, w.nodes[3], a)
				granted(t, third)
			})
		})
	}
}

func TestClaimThatIsHadAtAnotherOwnerEndsAtTheFirst(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		a, holder := name("a"), w.nodes[3]
		granted(t, holder.claim(t.Context(), "x", a))
		granted(t, holder.claim(t.Context(), "w", name("b"))) // by which its stream lives on
		first := w.join(9, registry.Options{})
		w.mu.Lock()
		w.nodes = append([]*node{first}, w.nodes[:5]...)
		w.mu.Unlock()
		granted(t, holder.claim(t.Context(), "x", a)) // for another try
		holder.Release(holder.scope("x"), a)
		w.kill(first)
		second := w.nodes[4].claim(t.Context(), "y", a)
		time.Sleep(time.Minute)
		select {
		case got := <-second:
			if got.known || got.err != nil {
				t.Errorf("claim = %+v, want it granted", got)
			}
		default:
			t.Fatal("it waits for a claim that was released")
		}
	})
}

func TestWhoWaitsAtAFormerOwnerGetsTheResult(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		a, maker := name("a"), w.nodes[1]
		granted(t, maker.claim(t.Context(), "x", a))
		second := w.nodes[2].claim(t.Context(), "y", a)
		waits(t, second)
		w.join(7, registry.Options{})
		w.join(8, registry.Options{})
		w.join(9, registry.Options{})
		w.mu.Lock()
		w.nodes = append(slices.Clone(w.nodes[3:]), w.nodes[:3]...) // they own it now
		w.mu.Unlock()
		maker.publish(maker.scope("x"), maker.entry(a, action.Full))
		found(t, second, maker.id)
	})
}

func TestNodeThatStartsAgainDoesNotWaitForItself(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		a, crashed := name("a"), w.nodes[3]
		granted(t, crashed.claim(t.Context(), "x", a))
		// Its streams do not break: nobody notices that it is gone.
		again := w.join(4, registry.Options{})
		begun := time.Now()
		granted(t, again.claim(t.Context(), "y", a))
		if took := time.Since(begun); took > 0 {
			t.Errorf("it waited %v", took)
		}
	})
}

func TestDeathOfTheOwnerCostsTheClaimAlone(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *world) {
		a := name("a")
		granted(t, w.nodes[3].claim(t.Context(), "x", a))
		second := w.nodes[4].claim(t.Context(), "y", a)
		waits(t, second)
		w.kill(w.nodes[0])
		granted(t, second) // by the second owner, who knows of no claim
	})
}

func TestHungOwnerIsPassedOver(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.net.Join(w.nodes[0].id).Handle(registry.Protocol, func(ctx context.Context, _ peer.ID, _ peer.Stream) { <-ctx.Done() })
		begun := time.Now()
		granted(t, w.nodes[3].claim(t.Context(), "x", name("a")))
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		waits(t, w.nodes[2].claim(t.Context(), "y", name("a")))
		w.nodes[3].publish(w.nodes[3].scope("x"), w.nodes[3].entry(name("a"), action.Full))
	})
}

func TestResultsOutliveTheirOwners(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *world) {
		const n = 150
		maker := w.nodes[5]
		for i := range n {
			maker.publish(maker.scope("x"), maker.entry(name(fmt.Sprint(i)), action.Full))
		}
		for range 4 { // one after another, until only the last two are left
			w.kill(w.nodes[0])
			time.Sleep(30 * time.Second)
		}
		w.kill(w.nodes[1])
		late := w.join(9, registry.Options{})
		time.Sleep(30 * time.Second)
		w.kill(w.nodes[0])
		for i := range n {
			if a := name(fmt.Sprint(i)); !late.has(a) {
				t.Fatalf("result %d is lost", i)
			}
		}
	})
}

func TestJoiningOwnerNeedsNoResultsToAnswer(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		maker := w.nodes[2]
		maker.publish(maker.scope("x"), maker.entry(name("a"), action.Full))
		late := w.join(9, registry.Options{})
		w.mu.Lock()
		w.nodes = []*node{late, w.nodes[0], w.nodes[1], w.nodes[2]} // it is the first owner now
		w.mu.Unlock()
		found(t, late.claim(t.Context(), "y", name("a")), maker.id)
	})
}

func TestReducedResultsServeTheExecutorAlone(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		one, two, a := w.nodes[0], w.nodes[1], name("a")
		granted(t, one.claim(t.Context(), "x", a))
		second := two.claim(t.Context(), "y", a)
		waits(t, second)
		one.publish(one.scope("x"), one.entry(a, action.Reduced))
		granted(t, second)
		found(t, one.claim(t.Context(), "z", a), one.id)
		two.Release(two.scope("y"), a)
		if two.has(a) {
			t.Error("it was given away")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: peertest.NewNetwork(), watch: map[chan struct{}]bool{}}
		one, two := w.join(1, registry.Options{ShareReduced: true}), w.join(2, registry.Options{ShareReduced: true})
		one.publish(one.scope("x"), one.entry(name("a"), action.Reduced))
		found(t, two.claim(t.Context(), "y", name("a")), one.id)
		w.kill(one)
		w.kill(two)
		w.net.Close()
	})
}

func TestAloneAsksNobody(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		one, two, a := w.nodes[0], w.nodes[1], name("a")
		two.publish(two.scope("x"), two.entry(a, action.Full))
		_ = one.Put(t.Context(), action.Entry{}) // not a
		one.mu.Lock()
		delete(one.entries, a)
		one.mu.Unlock()
		scope := one.scope("y")
		scope.Reach = registry.Alone
		if _, known, err := one.Claim(t.Context(), scope, a, registry.Early{}); known || err != nil {
			t.Errorf("Claim = %v, %v, want it granted", known, err)
		}
		other := scope
		other.Build = "z"
		second := make(chan claimed, 1)
		go func() {
			f, known, err := one.Claim(t.Context(), other, a, registry.Early{})
			second <- claimed{known, f, err}
		}()
		waits(t, second)
		one.publish(scope, one.entry(a, action.Full))
		found(t, second, one.id)
	})
}
