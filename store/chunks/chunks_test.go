package chunks

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

var both = []digest.Function{digest.BLAKE3, digest.SHA256}

// sized returns a digest of that many bytes.
func sized(t testing.TB, fn digest.Function, seed, size int64) digest.Digest {
	t.Helper()
	hash := digest.Of(fn, fmt.Append(nil, seed)).Hash()
	d, err := digest.New(fn, hash[:], size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestListsAreApartByBlobAndWay(t *testing.T) {
	for _, fn := range both {
		kv := &memory.KV{}
		l := New(kv)
		blob := sized(t, fn, 0, 1000)
		one := []digest.Digest{sized(t, fn, 1, 400), sized(t, fn, 2, 200), sized(t, fn, 1, 400)}
		other := []digest.Digest{sized(t, fn, 3, 999), sized(t, fn, 4, 1)}
		if err := errors.Join(l.Put(blob, 1, one), l.Put(blob, 2, other), l.Put(digest.Of(fn, nil), 1, nil)); err != nil {
			t.Fatal(err)
		}
		for way, want := range map[Way][]digest.Digest{1: one, 2: other} {
			if got, err := New(kv).Of(blob, way); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, way %d: %v, %v", fn, way, got, err)
			}
		}
		if got, err := l.Of(digest.Of(fn, nil), 1); err != nil || len(got) != 0 {
			t.Errorf("of nothing: %v, %v", got, err)
		}
		for _, absent := range []struct {
			blob digest.Digest
			way  Way
		}{{blob, 3}, {sized(t, fn, 9, 1000), 1}} {
			if got, err := l.Of(absent.blob, absent.way); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("of what nobody put: %v, %v", got, err)
			}
		}
	}
}

func TestWhatIsNoListOfABlobIsRefused(t *testing.T) {
	blob := sized(t, digest.SHA256, 0, 1000)
	for what, list := range map[string][]digest.Digest{
		"nothing":          {},
		"too short":        {sized(t, digest.SHA256, 1, 999)},
		"too long":         {sized(t, digest.SHA256, 1, 999), sized(t, digest.SHA256, 2, 2)},
		"an empty chunk":   {sized(t, digest.SHA256, 1, 1000), sized(t, digest.SHA256, 2, 0)},
		"other functions":  {sized(t, digest.BLAKE3, 1, 1000)},
		"sizes that wrap":  {sized(t, digest.SHA256, 1, 1<<62), sized(t, digest.SHA256, 2, 1<<62), sized(t, digest.SHA256, 3, 1<<62), sized(t, digest.SHA256, 4, 1<<62+1000)},
		"more than we use": slices.Repeat([]digest.Digest{sized(t, digest.SHA256, 1, 1)}, Max+1),
	} {
		if err := Check(blob, list); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
		if err := New(&memory.KV{}).Put(blob, 1, list); !errors.Is(err, ErrNone) {
			t.Errorf("put %s: %v", what, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	blob := sized(f, digest.SHA256, 0, 1000)
	f.Add(encode([]digest.Digest{sized(f, digest.SHA256, 1, 400), sized(f, digest.SHA256, 2, 600)}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decode(blob, b)
		if err != nil {
			return
		}
		if err := Check(blob, list); err != nil {
			t.Fatal(err)
		}
		again, err := decode(blob, encode(list))
		if err != nil || !slices.Equal(again, list) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
