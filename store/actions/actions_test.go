package actions_test

import (
	"crypto/ed25519"
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// executor signs results.
type executor struct {
	id   peer.ID
	sign func([]byte) ([]byte, error)
}

func newExecutor(t testing.TB) executor {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return executor{id: peer.ID(id.String()), sign: func(b []byte) ([]byte, error) { return ed25519.Sign(private, b), nil }}
}

func (x executor) entry(t testing.TB, name string, r action.Result) action.Entry {
	t.Helper()
	r.Isolation = action.Full
	e, err := action.SignEntry(digest.Of(digest.BLAKE3, []byte(name)), r, x.id, x.sign)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func result(content string) action.Result {
	return action.Result{Outputs: []action.Output{{Path: "out", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte(content))}}}
}

func TestEntriesComeBackAsTheyWent(t *testing.T) {
	x := newExecutor(t)
	c := actions.New(&memory.KV{})
	for i := range 10 {
		e := x.entry(t, strconv.Itoa(i), result(strconv.Itoa(i)))
		if err := c.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		got, err := c.Get(t.Context(), e.Action)
		if err != nil || got.Verify() != nil {
			t.Fatalf("get: %v, signature %v", err, got.Verify())
		}
		if diff := cmp.Diff(e.Result, got.Result, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	if c.Len() != 10 {
		t.Errorf("%d entries, want 10", c.Len())
	}
	seen := 0
	if err := c.Each(func(action.Entry) bool { seen++; return seen < 4 }); err != nil || seen != 4 {
		t.Errorf("each saw %d, %v", seen, err)
	}
	gone := digest.Of(digest.BLAKE3, []byte("3"))
	if err := c.Delete(gone); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), gone); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get what was deleted: %v", err)
	}
	if err := c.Clear(); err != nil || c.Len() != 0 {
		t.Errorf("clear: %v, %d stay", err, c.Len())
	}
}

func TestWhatMustNotBeKept(t *testing.T) {
	x, other := newExecutor(t), newExecutor(t)
	c := actions.New(&memory.KV{})
	for name, r := range map[string]action.Result{"ExitCode": {ExitCode: 1}, "Message": {Message: "output missing"}} {
		if err := c.Put(t.Context(), x.entry(t, name, r)); !errors.Is(err, actions.ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := x.entry(t, "a", result("a"))
	forged.Executor = other.id
	if err := c.Put(t.Context(), forged); !errors.Is(err, peer.ErrBadSignature) {
		t.Errorf("another's signature: %v", err)
	}
	if c.Len() != 0 {
		t.Errorf("%d entries were kept", c.Len())
	}
}

func TestDamagedEntriesWereNeverThere(t *testing.T) {
	x := newExecutor(t)
	kv := &memory.KV{}
	c := actions.New(kv)
	e := x.entry(t, "a", result("a"))
	key := e.Action.Binary()
	if err := c.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	good, err := kv.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	other := digest.Of(digest.BLAKE3, []byte("b"))
	for what, at := range map[string]struct {
		a     digest.Digest
		value []byte
	}{
		"flipped":        {e.Action, append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1)},
		"cut":            {e.Action, good[:len(good)/2]},
		"another action": {other, good},
	} {
		if err := kv.Put(at.a.Binary(), at.value); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), at.a); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := kv.Get(at.a.Binary()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: stays", what)
		}
	}
}

// counting counts writes.
type counting struct {
	memory.KV
	puts int
}

func (c *counting) Put(key, value []byte) error {
	c.puts++
	return c.KV.Put(key, value)
}

func TestAnEntryOfAMomentAgoIsNotWrittenAgain(t *testing.T) {
	x, kv := newExecutor(t), &counting{}
	c := actions.New(kv)
	e, other := x.entry(t, "a", result("1")), x.entry(t, "a", result("2"))
	put := func(want int, e action.Entry) {
		t.Helper()
		if err := c.Put(t.Context(), e); err != nil || kv.puts != want {
			t.Errorf("%d writes, want %d; %v", kv.puts, want, err)
		}
	}
	put(1, e)
	put(1, e)
	put(2, other)
	put(3, e)
	if err := c.Delete(e.Action); err != nil {
		t.Fatal(err)
	}
	put(4, e)
	if err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	put(5, e)
	if err := kv.Delete(e.Action.Binary()); err != nil { // as if the disk had lost it
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), e.Action); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	put(6, e)
}

func TestOnlyOwnEntriesAreKeptUnchecked(t *testing.T) {
	e := newExecutor(t).entry(t, "a", result("1"))
	e.Signature[0] ^= 1
	c := actions.New(&memory.KV{})
	if err := c.Put(t.Context(), e); err == nil {
		t.Error("a bad signature is kept")
	}
	if err := c.PutOwn(t.Context(), e); err != nil {
		t.Error(err)
	}
	if got, err := c.Get(t.Context(), e.Action); err != nil || got.Verify() == nil {
		t.Errorf("%v, and its signature is good", err)
	}
}
