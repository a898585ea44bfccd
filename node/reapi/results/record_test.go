package results

import (
	"errors"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/results/resultspb"
	"github.com/buildnet/buildnet/store/digest"
)

func named(fn digest.Function, content string) Named {
	return Named{digest.Of(fn, []byte(content)), digest.Of(digest.BLAKE3, []byte(content))}
}

func TestRecordsReadBackAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fn := rapid.SampledFrom([]digest.Function{digest.SHA256, digest.BLAKE3}).Draw(t, "function")
		m := &Made{Result: &repb.ActionResult{}}
		for _, content := range rapid.SliceOfNDistinct(rapid.StringN(0, 8, 8), 1, 5, rapid.ID[string]).Draw(t, "contents") {
			n := named(fn, content)
			m.Blobs = append(m.Blobs, n)
			m.Result.OutputFiles = append(m.Result.OutputFiles, &repb.OutputFile{Path: content, Digest: names.Message(n.Name)})
		}
		m.Result.StdoutDigest = names.Message(m.Blobs[0].Name)
		encoded, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(fn, encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got.Result, m.Result) || len(got.Blobs) != len(m.Blobs) {
			t.Fatalf("%v of %v", got, m)
		}
		for i := range got.Blobs {
			if got.Blobs[i] != m.Blobs[i] {
				t.Fatalf("blob %d: %v of %v", i, got.Blobs[i], m.Blobs[i])
			}
		}
	})
}

func TestARecordThatIsNoneIsRefused(t *testing.T) {
	sha, other := named(digest.SHA256, "a"), named(digest.SHA256, "longer")
	result := func(ds ...digest.Digest) []byte {
		r := &repb.ActionResult{}
		for _, d := range ds {
			r.OutputFiles = append(r.OutputFiles, &repb.OutputFile{Path: "x", Digest: names.Message(d)})
		}
		b, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, r := range map[string]*resultspb.Record{
		"a blob of which nothing is said": {Result: result(sha.Name)},
		"a name of another size":          {Result: result(sha.Name), Blobs: []*resultspb.Blob{{Name: sha.Name.Binary(), Native: other.Native.Binary()}}},
		"a name that is native":           {Result: result(sha.Name), Blobs: []*resultspb.Blob{{Native: sha.Native.Binary()}}},
		"a native name that is none":      {Result: result(sha.Name), Blobs: []*resultspb.Blob{{Name: sha.Name.Binary(), Native: sha.Name.Binary()}}},
		"half a digest":                   {Result: result(sha.Name), Blobs: []*resultspb.Blob{{Name: sha.Name.Binary()[:9], Native: sha.Native.Binary()}}},
		"an output without a digest":      {Result: result(digest.Digest{})},
	} {
		encoded, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := decode(digest.SHA256, encoded); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestTheNameOfAResultIsOfAllThatItDependsOn(t *testing.T) {
	a := named(digest.SHA256, "a")
	seen := map[digest.Digest]string{}
	for name, d := range map[string]digest.Digest{
		"plain":             Key{Action: a.Name}.digest("blake3:x/1"),
		"other toolchain":   Key{Action: a.Name}.digest("blake3:y/1"),
		"no toolchain":      Key{Action: a.Name}.digest(""),
		"instance":          Key{Action: a.Name, Instance: "i"}.digest("blake3:x/1"),
		"instance as tools": Key{Action: a.Name, Instance: "blake3:x/1"}.digest(""),
		"other function":    Key{Action: a.Native}.digest("blake3:x/1"),
		"other action":      Key{Action: digest.Of(digest.SHA256, []byte("b"))}.digest("blake3:x/1"),
	} {
		if twin, ok := seen[d]; ok {
			t.Errorf("%s is %s", name, twin)
		}
		seen[d] = name
	}
}

func FuzzDecode(f *testing.F) {
	n := named(digest.SHA256, "a")
	m := &Made{Result: &repb.ActionResult{StdoutDigest: names.Message(n.Name)}, Blobs: []Named{n}}
	encoded, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(digest.SHA256, b)
		if err != nil {
			return
		}
		for _, n := range m.Blobs {
			if n.Name.Function() != digest.SHA256 || n.Native.Function() != digest.BLAKE3 || n.Name.Size() != n.Native.Size() {
				t.Errorf("%v was taken", n)
			}
		}
	})
}
