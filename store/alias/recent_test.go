package alias

import (
	"bytes"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// countedTable counts reads, and has something happen right after the next that found
// a value.
type countedTable struct {
	memory.KV
	reads int
	then  func()
}

func (c *countedTable) Get(key []byte) ([]byte, error) {
	c.reads++
	value, err := c.KV.Get(key)
	if then := c.then; err == nil && then != nil {
		c.then = nil
		then()
	}
	return value, err
}

func of(fn digest.Function, text string) digest.Digest { return digest.Of(fn, []byte(text)) }

func wantNative(t *testing.T, b *Blobs, d, want digest.Digest) {
	t.Helper()
	if n, err := b.Native(t.Context(), d); err != nil || n != want {
		t.Errorf("%v is %v, %v; want %v", d, n, err, want)
	}
}

// An alias is read once in a grain: then its use is noted again.
func TestAliasIsReadOnceAGrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kv countedTable
		b := New(memory.New(1000), &kv)
		d, n := of(digest.SHA256, "one"), of(digest.BLAKE3, "one")
		if err := b.Note(d, n); err != nil {
			t.Fatal(err)
		}
		kv.reads = 0
		for range 3 {
			wantNative(t, b, d, n)
		}
		if kv.reads != 1 {
			t.Errorf("%d reads of one alias, want 1", kv.reads)
		}
		time.Sleep(useGrain)
		wantNative(t, b, d, n)
		if raw, err := kv.Get(forward(d).bytes()); err != nil || stamp(raw) != grain(time.Now()) {
			t.Errorf("the use of what is remembered is not noted: %v", err)
		}
	})
}

func TestWrongNoteThatWasReadGoes(t *testing.T) {
	b := New(memory.New(1<<20), &memory.KV{})
	for _, size := range []int{10, 2 * unasked} {
		right, wrong := bytes.Repeat([]byte("r"), size), bytes.Repeat([]byte("w"), size)
		d := digest.Of(digest.SHA256, right)
		if err := b.Note(d, digest.Of(digest.BLAKE3, wrong)); err != nil {
			t.Fatal(err)
		}
		wantNative(t, b, d, digest.Of(digest.BLAKE3, wrong))
		_ = b.Put(t.Context(), d, bytes.NewReader(right)) // that of a large one shows the mistake alone
		if err := b.Put(t.Context(), d, bytes.NewReader(right)); err != nil {
			t.Fatal(err)
		}
		if got, err := store.ReadAll(t.Context(), b, d, int64(size)); err != nil || !bytes.Equal(got, right) {
			t.Errorf("%d bytes: read %.5q, %v", size, got, err)
		}
	}
}

func TestReadThatAWriteOvertookIsNotRemembered(t *testing.T) {
	var kv countedTable
	b := New(memory.New(1000), &kv)
	d := of(digest.SHA256, "one")
	if err := b.Note(d, of(digest.BLAKE3, "two")); err != nil {
		t.Fatal(err)
	}
	kv.then = func() {
		if err := b.Put(t.Context(), d, bytes.NewReader([]byte("one"))); err != nil {
			t.Error(err)
		}
	}
	wantNative(t, b, d, of(digest.BLAKE3, "two")) // as it was when it was read
	wantNative(t, b, d, of(digest.BLAKE3, "one"))
}

func numbered(i int) key { return forward(of(digest.SHA256, strconv.Itoa(i))) }

func TestRecentIsBoundedByUse(t *testing.T) {
	var r recent
	u := used{d: of(digest.BLAKE3, "one")}
	for i := range 4 * recentAliases {
		r.add(numbered(i), u, 0)
		if _, ok, _ := r.of(numbered(0), 0); !ok {
			t.Fatalf("what is used is forgotten after %d", i)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*recentAliases {
		t.Errorf("%d are remembered", n)
	}
	if _, ok, _ := r.of(numbered(1), 0); ok {
		t.Error("the oldest is remembered")
	}
}

func TestWhatIsWrittenIsForgottenHoweverOld(t *testing.T) {
	var r recent
	u := used{d: of(digest.BLAKE3, "one")}
	for i := range recentAliases + 1 {
		r.add(numbered(i), u, 0)
	}
	if _, ok := r.old[numbered(0)]; !ok {
		t.Fatal("the first is not old")
	}
	r.written(numbered(0))
	if _, ok, _ := r.of(numbered(0), 0); ok {
		t.Error("it is remembered")
	}
}
