package decree_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/mesh/decree"
	"github.com/buildnet/buildnet/mesh/decree/decreepb"
	"github.com/buildnet/buildnet/mesh/peer"
)

func author(i byte) decree.Author {
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), i))
	public, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	id, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		panic(err)
	}
	return decree.Author{ID: peer.ID(id.String()), Sign: func(b []byte) ([]byte, error) { return ed25519.Sign(key, b), nil }}
}

var (
	alice, bob = author(1), author(2)
	at         = time.Unix(1_700_000_000, 0)
)

func next(t interface{ Fatal(...any) }, d decree.Decree, text string, a decree.Author) decree.Decree {
	n, err := d.Next("m", []byte(text), at, a)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheLastOneHolds(t *testing.T) {
	first := next(t, decree.Decree{}, "one", alice)
	second := next(t, first, "two", bob)
	for _, c := range []struct{ have, told, want decree.Decree }{
		{decree.Decree{}, first, first},
		{decree.Decree{}, second, second},
		{first, second, second},
		{second, first, second},
		{second, decree.Decree{}, second},
		{second, second, second},
	} {
		got, err := c.have.Adopt("m", decree.Read(c.told.Message()))
		if err != nil || !cmp.Equal(got, c.want, cmpopts.EquateEmpty()) {
			t.Errorf("%d told %d: %d, %v", c.have.Version, c.told.Version, got.Version, err)
		}
	}
	if back := next(t, second, "", alice); back.Version != 3 || len(back.Text) > 0 {
		t.Errorf("taken back: %+v", back)
	}
}

func TestWhatIsNotBelieved(t *testing.T) {
	told := next(t, decree.Decree{}, "one", alice)
	for name, change := range map[string]func(*decree.Decree){
		"another text":    func(d *decree.Decree) { d.Text = []byte("two") },
		"another number":  func(d *decree.Decree) { d.Version++ },
		"another author":  func(d *decree.Decree) { d.By = bob.ID },
		"another time":    func(d *decree.Decree) { d.At++ },
		"nobody":          func(d *decree.Decree) { d.By = "nobody" },
		"no signature":    func(d *decree.Decree) { d.Signature = nil },
		"far ahead":       func(d *decree.Decree) { d.Version = 1 << 40 },
		"before the time": func(d *decree.Decree) { d.At = -1 },
		"too long":        func(d *decree.Decree) { d.Text = bytes.Repeat([]byte("x"), decree.MaxText+1) },
	} {
		o := told
		change(&o)
		if got, err := (decree.Decree{}).Adopt("m", o); !errors.Is(err, decree.ErrRefused) || got.Version != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := (decree.Decree{}).Adopt("n", told); !errors.Is(err, decree.ErrRefused) {
		t.Errorf("of another mesh: %v", err)
	}
	if _, err := told.Next("m", make([]byte, decree.MaxText+1), at, bob); err == nil {
		t.Error("a text beyond the limit was laid down")
	}
}

// A member that has just come finds a mesh that has long counted.
func TestHowFarANumberMayBeAhead(t *testing.T) {
	numbered := func(version uint64) decree.Decree {
		return next(t, decree.Decree{Version: version - 1}, "x", alice)
	}
	for _, c := range []struct {
		have, told uint64
		believed   bool
	}{
		{0, 1, true},
		{0, 1 << 40, true},
		{0, 1<<62 - 1, true},
		{0, 1 << 62, false},
		{0, 1<<64 - 1, false},
		{1, 1 + 1<<16, true},
		{1, 2 + 1<<16, false},
		{1, 1 << 40, false},
		{1<<62 - 1, 1 << 62, true},
	} {
		var have decree.Decree
		if c.have > 0 {
			have = numbered(c.have)
		}
		got, err := have.Adopt("m", numbered(c.told))
		if (err == nil) != c.believed || err != nil && !errors.Is(err, decree.ErrRefused) || (got.Version == c.told) != c.believed {
			t.Errorf("%d told %d: %d, %v", c.have, c.told, got.Version, err)
		}
	}
}

// TestAllComeToTheSame lets members lay things down and meet in any order.
func TestAllComeToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		authors := []decree.Author{alice, bob, author(3), author(4)}
		has := make([]decree.Decree, len(authors))
		tell := func(from, to int) {
			var err error
			if has[to], err = has[to].Adopt("m", has[from]); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			i, j := rapid.IntRange(0, 3).Draw(t, "who"), rapid.IntRange(0, 3).Draw(t, "whom")
			if rapid.Bool().Draw(t, "lays down") {
				has[i] = next(t, has[i], rapid.StringMatching(`[a-c]{0,2}`).Draw(t, "text"), authors[i])
			} else {
				tell(i, j)
			}
		}
		for range 2 {
			for i := range has {
				tell(i, (i+1)%len(has))
			}
		}
		for i := range has {
			if !cmp.Equal(has[i], has[0], cmpopts.EquateEmpty()) {
				t.Fatalf("%d has %d of %s, the first %d of %s", i, has[i].Version, has[i].By, has[0].Version, has[0].By)
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	d, err := decree.Decree{}.Next("m", []byte("one"), at, alice)
	if err != nil {
		f.Fatal(err)
	}
	b, err := proto.Marshal(d.Message())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m decreepb.Decree
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		got, err := decree.Decree{}.Adopt("m", decree.Read(&m))
		if err == nil && got.Version > 0 && got.Verify("m") != nil {
			t.Fatalf("%+v was believed", got)
		}
	})
}
