package makers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
	"github.com/buildnet/buildnet/store/memory"
)

func of(text string) digest.Digest { return digest.Of(digest.SHA256, []byte(text)) }

func TestTheFirstAndTheLatestAreRemembered(t *testing.T) {
	kv := &memory.KV{}
	m := makers.New(kv)
	var all []makers.Maker
	for i := range 7 {
		all = append(all, makers.Maker{Action: of(fmt.Sprint("action ", i)), Scope: strings.Repeat("s", i)})
		for range 2 {
			if err := m.Note(all[i], of("out"), of("other")); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []makers.Maker{all[6], all[5], all[4], all[0]}
	for _, m := range []*makers.Makers{m, makers.New(kv)} {
		if got, err := m.Of(of("out")); err != nil || !slices.Equal(got, want) {
			t.Errorf("made by %v, %v; want %v", got, err, want)
		}
	}
	if got, err := m.Of(of("nobody's")); err != nil || got != nil {
		t.Errorf("nobody's is made by %v, %v", got, err)
	}
	if err := m.Note(makers.Maker{Action: of("a"), Scope: strings.Repeat("s", 256)}, of("far")); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Of(of("far")); err != nil || got != nil {
		t.Errorf("of a scope that is too long: %v, %v", got, err)
	}
}

// same has every key hold the same.
type same struct {
	memory.KV
	raw []byte
}

func (s *same) Get([]byte) ([]byte, error) { return s.raw, nil }

func TestWhatIsDamagedIsNotThere(t *testing.T) {
	kv := &memory.KV{}
	m := makers.New(kv)
	maker := makers.Maker{Action: of("action"), Scope: "main"}
	if err := m.Note(maker, of("out")); err != nil {
		t.Fatal(err)
	}
	raw, err := kv.Get(of("out").Binary())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := slices.Clone(raw)[:rapid.IntRange(0, len(raw)).Draw(t, "cut")]
		if len(bad) == len(raw) {
			bad[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		got, err := makers.New(&same{raw: bad}).Of(of("out"))
		if err != nil || len(got) > 0 && !slices.Equal(got, []makers.Maker{maker}) {
			t.Fatalf("of %d damaged bytes: %v, %v", len(bad), got, err)
		}
	})
}

// What somebody says comes after what was seen, and takes no place of it.
func TestClaimsComeLast(t *testing.T) {
	m := makers.New(&memory.KV{})
	blob, other := digest.Of(digest.SHA256, []byte("blob")), digest.Of(digest.SHA256, []byte("other"))
	by := func(n int) makers.Maker { return makers.Maker{Action: digest.Of(digest.SHA256, []byte{byte(n)})} }
	want := func(when string, d digest.Digest, want ...makers.Maker) {
		t.Helper()
		if got, err := m.Of(d); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	for _, step := range []func() error{
		func() error { return m.Claim(by(1), blob, other) },
		func() error { return m.Claim(by(2), blob) },
		func() error { return m.Note(by(3), blob) },
		func() error { return m.Claim(by(4), blob) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want("seen after it was said", blob, by(3), by(1))
	want("only said", other, by(1))
}
