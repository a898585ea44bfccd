package names_test

import (
	"errors"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

const hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func of(t testing.TB, fn digest.Function, size int64) digest.Digest {
	t.Helper()
	d, err := digest.FromHex(fn, hash, size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUploads(t *testing.T) {
	sha, blake := of(t, digest.SHA256, 3), of(t, digest.BLAKE3, 3)
	const zstd = repb.Compressor_ZSTD
	for in, want := range map[string]names.Upload{
		"uploads/u/blobs/" + hash + "/3":                           {UUID: "u", Blob: names.Blob{Digest: sha}},
		"/uploads/u/blobs/" + hash + "/3":                          {UUID: "u", Blob: names.Blob{Digest: sha}},
		"uploads/u/blobs/sha256/" + hash + "/3":                    {UUID: "u", Blob: names.Blob{Digest: sha}},
		"main/uploads/u/blobs/blake3/" + hash + "/3":               {UUID: "u", Blob: names.Blob{Instance: "main", Digest: blake}},
		"a/b/c/uploads/u/blobs/" + hash + "/3/meta/data":           {UUID: "u", Blob: names.Blob{Instance: "a/b/c", Digest: sha}},
		"uploads/u/compressed-blobs/zstd/" + hash + "/3":           {UUID: "u", Blob: names.Blob{Compressor: zstd, Digest: sha}},
		"x/uploads/u/compressed-blobs/zstd/blake3/" + hash + "/3/": {UUID: "u", Blob: names.Blob{Instance: "x", Compressor: zstd, Digest: blake}},
	} {
		if got, err := names.ParseUpload(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
}

func TestMalformedUploads(t *testing.T) {
	for _, in := range []string{
		"", "/", "uploads", "uploads/u", "uploads/u/blobs", "uploads/u/blobs/" + hash, "uploads//blobs/" + hash + "/3",
		"blobs/" + hash + "/3", "a//uploads/u/blobs/" + hash + "/3", "//uploads/u/blobs/" + hash + "/3",
		"operations/uploads/u/blobs/" + hash + "/3", "uploads/u/actions/" + hash + "/3",
		"uploads/u/blobs/sha1/" + hash + "/3", "uploads/u/blobs/BLAKE3/" + hash + "/3",
		"uploads/u/blobs/" + strings.ToUpper(hash) + "/3", "uploads/u/blobs/" + hash[1:] + "/3", "uploads/u/blobs/z" + hash[1:] + "/3",
		"uploads/u/blobs/" + hash + "/-1", "uploads/u/blobs/" + hash + "/+3", "uploads/u/blobs/" + hash + "/03",
		"uploads/u/blobs/" + hash + "/", "uploads/u/blobs/" + hash + "/99999999999999999999",
		"uploads/u/compressed-blobs/" + hash + "/3", "uploads/u/compressed-blobs/identity/" + hash + "/3",
		"uploads/u/compressed-blobs/deflate/" + hash + "/3", "uploads/u/compressed-blobs",
		strings.Repeat("a", names.MaxBytes) + "/uploads/u/blobs/" + hash + "/3",
		strings.Repeat("a", names.MaxInstanceBytes+1) + "/uploads/u/blobs/" + hash + "/3",
	} {
		if got, err := names.ParseUpload(in); !errors.Is(err, names.ErrMalformed) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestBlobs(t *testing.T) {
	sha, blake := of(t, digest.SHA256, 0), of(t, digest.BLAKE3, 1<<40)
	for in, want := range map[string]names.Blob{
		"blobs/" + hash + "/0":                                      {Digest: sha},
		"a/b/blobs/blake3/" + hash + "/1099511627776":               {Instance: "a/b", Digest: blake},
		"a/compressed-blobs/zstd/blake3/" + hash + "/1099511627776": {Instance: "a", Digest: blake, Compressor: repb.Compressor_ZSTD},
		"uploads-of-mine/compressed-blobs/zstd/" + hash + "/0":      {Instance: "uploads-of-mine", Digest: sha, Compressor: repb.Compressor_ZSTD},
	} {
		got, err := names.ParseBlob(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"blobs/" + hash + "/0/more", "blobs/" + hash + "/0/", "uploads/u/blobs/" + hash + "/0", "blobs", "compressed-blobs"} {
		if got, err := names.ParseBlob(in); !errors.Is(err, names.ErrMalformed) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestSubject(t *testing.T) {
	if got, want := names.Subject(of(t, digest.SHA256, 42)), "blobs/"+hash+"/42"; got != want {
		t.Errorf("subject %s, want %s", got, want)
	}
	if got, want := names.Subject(of(t, digest.BLAKE3, 42)), "blobs/blake3/"+hash+"/42"; got != want {
		t.Errorf("subject %s, want %s", got, want)
	}
}

func TestFunctions(t *testing.T) {
	for v, want := range map[repb.DigestFunction_Value]digest.Function{
		repb.DigestFunction_UNKNOWN: digest.SHA256, repb.DigestFunction_SHA256: digest.SHA256, repb.DigestFunction_BLAKE3: digest.BLAKE3,
	} {
		got, err := names.Function(v)
		if err != nil || got != want {
			t.Errorf("%v: %v, %v", v, got, err)
		}
		if v != repb.DigestFunction_UNKNOWN && names.Value(got) != v {
			t.Errorf("value of %v is %v", got, names.Value(got))
		}
	}
	for v := range repb.DigestFunction_Value_name {
		switch v := repb.DigestFunction_Value(v); v {
		case repb.DigestFunction_UNKNOWN, repb.DigestFunction_SHA256, repb.DigestFunction_BLAKE3:
		default:
			if got, err := names.Function(v); !errors.Is(err, names.ErrMalformed) {
				t.Errorf("%v: %v, %v", v, got, err)
			}
		}
	}
}

func TestDigests(t *testing.T) {
	good := of(t, digest.SHA256, 3)
	got, err := names.Digests(digest.SHA256, []*repb.Digest{names.Message(good), names.Message(good)})
	if err != nil || len(got) != 2 || got[0] != good || got[1] != good {
		t.Errorf("%v, %v", got, err)
	}
	for what, bad := range map[string]*repb.Digest{
		"nothing": nil, "no hash": {SizeBytes: 3}, "negative": {Hash: hash, SizeBytes: -1},
		"short": {Hash: hash[:40]}, "long": {Hash: hash + hash}, "upper case": {Hash: strings.ToUpper(hash)},
	} {
		if got, err := names.Digests(digest.SHA256, []*repb.Digest{names.Message(good), bad}); !errors.Is(err, names.ErrMalformed) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

func TestInstances(t *testing.T) {
	for in, ok := range map[string]bool{
		"": true, "main": true, "a/b/c": true, "a/blobs": false, "capabilities": false, "a//b": false, "/a": false, "a/": false,
		strings.Repeat("a", names.MaxInstanceBytes+1): false,
	} {
		if err := names.CheckInstance(in); (err == nil) != ok || err != nil && !errors.Is(err, names.ErrMalformed) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := names.Blob{
			Instance:   rapid.StringMatching(`([a-z]{1,6}(/[A-Z .-]{1,6}){0,3})?`).Draw(t, "instance"),
			Compressor: rapid.SampledFrom([]repb.Compressor_Value{repb.Compressor_IDENTITY, repb.Compressor_ZSTD}).Draw(t, "compressor"),
			Digest:     digest.Of(rapid.SampledFrom([]digest.Function{digest.BLAKE3, digest.SHA256}).Draw(t, "fn"), rapid.SliceOf(rapid.Byte()).Draw(t, "content")),
		}
		if names.CheckInstance(b.Instance) != nil {
			t.Skip("a keyword")
		}
		if got, err := names.ParseBlob(b.String()); err != nil || got != b {
			t.Fatalf("%s: %+v, %v", b, got, err)
		}
		u := names.Upload{Blob: b, UUID: rapid.StringMatching(`[a-f0-9-]{1,36}`).Draw(t, "uuid")}
		if got, err := names.ParseUpload(u.String()); err != nil || got != u {
			t.Fatalf("%s: %+v, %v", u, got, err)
		}
	})
}

// FuzzDigest checks that what is taken for a digest is one, and comes back the same.
func FuzzDigest(f *testing.F) {
	for _, c := range []struct {
		hash string
		size int64
	}{
		{hash, 3}, {hash, -1}, {hash, 1<<63 - 1}, {strings.ToUpper(hash), 3}, {hash[1:], 3}, {hash + "0", 3}, {"", 0}, {"../" + hash[3:], 3}, {hash[:63] + "\x00", 3},
	} {
		for v := range int32(3) {
			f.Add(v, c.hash, c.size)
		}
		f.Add(int32(repb.DigestFunction_BLAKE3), c.hash, c.size)
	}
	f.Fuzz(func(t *testing.T, v int32, hash string, size int64) {
		fn, err := names.Function(repb.DigestFunction_Value(v))
		if err != nil {
			return
		}
		m := &repb.Digest{Hash: hash, SizeBytes: size}
		d, err := names.Digest(fn, m)
		if err != nil {
			if !errors.Is(err, names.ErrMalformed) {
				t.Errorf("%v: %v", m, err)
			}
			return
		}
		if again := names.Message(d); again.Hash != hash || again.SizeBytes != size || size < 0 || d.Function() != fn || strings.Trim(hash, "0123456789abcdef") != "" || len(hash) != 64 {
			t.Errorf("%v became %v of %v", m, again, d.Function())
		}
	})
}

// FuzzParse checks that what is accepted comes back the same from its own String.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"uploads/u/blobs/" + hash + "/3", "a/b/uploads/u/compressed-blobs/zstd/blake3/" + hash + "/3/x",
		"blobs/" + hash + "/0", "a/compressed-blobs/zstd/" + hash + "/7", "//blobs//", "uploads/blobs/uploads",
		"../blobs/" + hash + "/1", "/uploads/../blobs/" + hash + "/1", "blobs/" + hash + "/-1", "blobs/" + hash + "/99999999999999999999",
		"blobs/sha1/" + hash + "/3", "uploads/\x00/blobs/" + hash + "/3", strings.Repeat("a/", 3000) + "blobs/" + hash + "/3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := names.ParseUpload(s); err == nil {
			if again, err := names.ParseUpload(u.String()); err != nil || again != u {
				t.Errorf("%q: %+v, then %+v, %v", s, u, again, err)
			}
		}
		if b, err := names.ParseBlob(s); err == nil {
			if again, err := names.ParseBlob(b.String()); err != nil || again != b {
				t.Errorf("%q: %+v, then %+v, %v", s, b, again, err)
			}
		}
	})
}
