package mesh

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// holds waits until a text holds on the node; "" is none.
func (n *node) holds(text string) *LaidDown {
	n.t.Helper()
	var got *LaidDown
	await(n.t, "decree "+text, func() bool {
		got = n.LaidDown()
		return got == nil && text == "" || got != nil && string(got.Text) == text
	})
	return got
}

func TestWhatIsLaidDownHoldsForAll(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b, sleeper := a.join(c), a.join(c)
	for _, n := range []*node{b, sleeper} {
		a.sees(n.Self(), peer.Alive)
	}
	sleeper.kill()
	a.sees(sleeper.Self(), peer.Failed)
	if got := a.LaidDown(); got != nil {
		t.Errorf("before anything was: %+v", got)
	}
	if err := a.LayDown(t.Context(), []byte("fast")); err != nil {
		t.Fatal(err)
	}
	if got := b.holds("fast"); got.By != a.Self() || time.Since(got.At) > time.Hour {
		t.Errorf("%+v", got)
	}
	t.Run("also for who comes late", func(*testing.T) {
		late := a.join(c)
		late.holds("fast")
	})
	t.Run("and for who slept", func(*testing.T) {
		// By its address: it may have gone before it wrote down whom it knew.
		n := up(t, sleeper.opts)
		n.holds("fast")
	})
	t.Run("the last one holds", func(t *testing.T) {
		if err := b.LayDown(t.Context(), []byte("slow")); err != nil {
			t.Fatal(err)
		}
		if got := a.holds("slow"); got.By != b.Self() {
			t.Errorf("%+v", got)
		}
	})
	t.Run("until it is taken back", func(t *testing.T) {
		if err := a.LayDown(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		b.holds("")
	})
}

func TestWhatIsLaidDownIsRememberedInItsMeshAlone(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	if err := a.LayDown(t.Context(), []byte("fast")); err != nil {
		t.Fatal(err)
	}
	a.kill()
	n := a.again()
	n.holds("fast")
	n.kill()
	if err := SaveCredentials(a.opts.Home, NewCredentials("test")); err != nil {
		t.Fatal(err)
	}
	if other := a.again(); other.LaidDown() != nil {
		t.Errorf("in another mesh of the same name: %+v", other.LaidDown())
	}
}
