package digest_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	champine "lukechampine.com/blake3"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
)

func functions() *rapid.Generator[digest.Function] {
	return rapid.SampledFrom([]digest.Function{digest.BLAKE3, digest.SHA256})
}

func TestEveryFormReadsBackAsTheSameDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := digest.Of(functions().Draw(t, "fn"), rapid.SliceOf(rapid.Byte()).Draw(t, "content"))
		if got, err := digest.Parse(d.String()); err != nil || got != d {
			t.Fatalf("Parse(%v) = %v, %v", d, got, err)
		}
		if got, err := digest.FromBinary(d.Binary()); err != nil || got != d {
			t.Fatalf("FromBinary(%v) = %v, %v", d, got, err)
		}
		if got, err := digest.FromCID(d.CID(), d.Size()); err != nil || got != d {
			t.Fatalf("FromCID(%v) = %v, %v", d, got, err)
		}
	})
}

func TestHasherAgreesWithOfHoweverTheContentIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fn := functions().Draw(t, "fn")
		parts := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "parts")
		h := digest.NewHasher(fn)
		var whole []byte
		for _, p := range parts {
			whole = append(whole, p...)
			if _, err := h.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if want := digest.Of(fn, whole); h.Sum() != want {
			t.Fatalf("Sum = %v, want %v", h.Sum(), want)
		}
	})
}

func TestHashesAreThoseOfTheReferenceImplementations(t *testing.T) {
	content := []byte("the quick brown fox")
	if got, want := digest.Of(digest.BLAKE3, content).Hash(), champine.Sum256(content); got != want {
		t.Errorf("BLAKE3 = %x, want %x", got, want)
	}
	if got, want := digest.Of(digest.SHA256, content).Hash(), sha256.Sum256(content); got != want {
		t.Errorf("SHA256 = %x, want %x", got, want)
	}
}

func TestMalformedTextIsRefused(t *testing.T) {
	hash := digest.Of(digest.BLAKE3, nil).Hex()
	for _, s := range []string{
		"", "blake3", "blake3:", "md5:" + hash + "/0", "blake3:" + hash, "blake3:" + hash + "/-1",
		"blake3:" + hash + "/x", "blake3:" + hash[2:] + "/0", "blake3:AF" + hash[2:] + "/0", "blake3:zz" + hash[2:] + "/0",
	} {
		if d, err := digest.Parse(s); !errors.Is(err, digest.ErrMalformed) {
			t.Errorf("Parse(%q) = %v, %v, want ErrMalformed", s, d, err)
		}
	}
}

func FuzzFromBinary(f *testing.F) {
	f.Add(digest.Of(digest.BLAKE3, []byte("x")).Binary())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := digest.FromBinary(b)
		if err == nil && string(d.Binary()) != string(b) {
			t.Fatalf("%x reads as %v, which writes %x", b, d, d.Binary())
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(digest.Of(digest.SHA256, []byte("x")).String())
	f.Fuzz(func(t *testing.T, s string) {
		d, err := digest.Parse(s)
		if err != nil {
			return
		}
		if again, err := digest.Parse(d.String()); err != nil || again != d {
			t.Fatalf("%q reads as %v, which reads as %v, %v", s, d, again, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, size := range []int{512, 4 << 10, 64 << 10, 1 << 20} {
		content := make([]byte, size)
		for name, hash := range map[string]func(){
			"zeebo":    func() { digest.Of(digest.BLAKE3, content) },
			"champine": func() { champine.Sum256(content) },
			"sha256":   func() { digest.Of(digest.SHA256, content) },
		} {
			b.Run(name+"/"+byteCount(size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					hash()
				}
			})
		}
	}
}

func byteCount(n int) string {
	if n >= 1<<20 {
		return "1MiB"
	}
	return map[int]string{512: "512B", 4 << 10: "4KiB", 64 << 10: "64KiB"}[n]
}
