package limits_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/limits"
)

func digestOf(i int) *repb.Digest {
	return &repb.Digest{Hash: fmt.Sprintf("%064x", i), SizeBytes: int64(i)}
}

// dense is a message of n empty ones, each in field 2.
func dense(n int) []byte { return bytes.Repeat([]byte{2<<3 | 2, 0}, n) }

// What messages take in truth, measured, is no more than was reckoned.
func TestDecodedIsNoLessThanAMessageTakes(t *testing.T) {
	find := &repb.FindMissingBlobsRequest{}
	batch := &repb.BatchUpdateBlobsRequest{}
	for i := range 20_000 {
		find.BlobDigests = append(find.BlobDigests, digestOf(i))
		batch.Requests = append(batch.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: digestOf(i), Data: []byte("0123456789")})
	}
	encoded := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		into proto.Message
		b    []byte
	}{
		"digests":        {&repb.FindMissingBlobsRequest{}, encoded(find)},
		"a batch":        {&repb.BatchUpdateBlobsRequest{}, encoded(batch)},
		"empty messages": {&repb.FindMissingBlobsRequest{}, dense(100_000)},
		"empty strings":  {&repb.Command{}, bytes.Repeat([]byte{1<<3 | 2, 0}, 100_000)},
		"one string":     {&repb.Command{}, encoded(&repb.Command{Arguments: []string{strings.Repeat("x", 1<<20)}})},
		"unknown fields": {&repb.Command{}, bytes.Repeat([]byte{100<<3&0x7f | 0x80, 6, 0}, 100_000)},
	} {
		reckoned, ok := limits.Decoded(c.into.ProtoReflect().Descriptor(), c.b)
		if !ok {
			t.Fatalf("%s: too large", name)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := proto.Unmarshal(c.b, c.into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		took := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		if took > reckoned+64<<10 {
			t.Errorf("%s: %d bytes take %d, reckoned %d", name, len(c.b), took, reckoned)
		}
		runtime.KeepAlive(c.into)
	}
}

func TestDecodedRefusesWhatIsLargerInMemoryThanItMayBe(t *testing.T) {
	find := (&repb.FindMissingBlobsRequest{}).ProtoReflect().Descriptor()
	if n, ok := limits.Decoded(find, dense(limits.MaxMessageBytes/2)); ok {
		t.Errorf("%d bytes are taken", n)
	}
	all := &repb.FindMissingBlobsRequest{}
	for i := range 50_000 {
		all.BlobDigests = append(all.BlobDigests, digestOf(i))
	}
	b, err := proto.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := limits.Decoded(find, b); !ok {
		t.Errorf("as many digests as one call may have take %d bytes", n)
	}
}

func FuzzDecoded(f *testing.F) {
	f.Add(dense(3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, _ := limits.Decoded((&repb.Tree{}).ProtoReflect().Descriptor(), b); n < int64(len(b)) {
			t.Errorf("%d bytes become %d", len(b), n)
		}
	})
}
