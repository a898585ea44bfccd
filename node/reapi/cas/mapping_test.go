package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/cdc"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

const (
	fast   = repb.ChunkingFunction_FAST_CDC_2020
	repMax = repb.ChunkingFunction_REP_MAX_CDC
	noneOf = repb.ChunkingFunction_UNKNOWN
)

// mappings calls both versions of the calls about chunks.
type mappings struct {
	*world
	unary bool
}

func bothVersions(t *testing.T, test func(t *testing.T, m mappings, fn digest.Function)) {
	for _, unary := range []bool{true, false} {
		for _, fn := range both {
			name := map[bool]string{true: "SplitBlob, SpliceBlob, ", false: "GetChunkMapping, RegisterChunkMapping, "}[unary] + fn.String()
			t.Run(name, func(t *testing.T) {
				test(t, mappings{serve(t, cas.Options{Lists: chunks.New(&memory.KV{})}), unary}, fn)
			})
		}
	}
}

func (m mappings) split(d digest.Digest, by repb.ChunkingFunction_Value) ([]digest.Digest, repb.ChunkingFunction_Value, error) {
	if m.unary {
		a, err := m.cas.SplitBlob(m.t.Context(), &repb.SplitBlobRequest{BlobDigest: names.Message(d), DigestFunction: value(d.Function()), ChunkingFunction: by})
		return m.parse(d, a.GetChunkDigests()), a.GetChunkingFunction(), err
	}
	stream, err := m.cas.GetChunkMapping(m.t.Context(), &repb.GetChunkMappingRequest{BlobDigest: names.Message(d), DigestFunction: names.Value(d.Function()), ChunkingFunction: by})
	if err != nil {
		return nil, 0, err
	}
	var list []digest.Digest
	var fn repb.ChunkingFunction_Value
	for first := true; ; first = false {
		a, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list, fn, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if first {
			fn = a.ChunkingFunction
		}
		list = append(list, m.parse(d, a.ChunkDigests)...)
	}
}

func (m mappings) parse(of digest.Digest, ms []*repb.Digest) []digest.Digest {
	m.t.Helper()
	ds, err := names.Digests(of.Function(), ms)
	if err != nil {
		m.t.Fatal(err)
	}
	return ds
}

func (m mappings) splice(d digest.Digest, by repb.ChunkingFunction_Value, list ...digest.Digest) error {
	if m.unary {
		a, err := m.cas.SpliceBlob(m.t.Context(), &repb.SpliceBlobRequest{
			BlobDigest: names.Message(d), ChunkDigests: messages(list), DigestFunction: value(d.Function()), ChunkingFunction: by,
		})
		if err == nil && m.parse(d, []*repb.Digest{a.BlobDigest})[0] != d {
			m.t.Errorf("spliced %v, want %v", a.BlobDigest, d)
		}
		return err
	}
	stream, err := m.cas.RegisterChunkMapping(m.t.Context())
	if err != nil {
		return err
	}
	q := &repb.RegisterChunkMappingRequest{BlobDigest: names.Message(d), DigestFunction: names.Value(d.Function()), ChunkingFunction: by}
	for {
		n := min(len(list), 7000)
		q.ChunkDigests = messages(list[:n])
		if err := stream.Send(q); err != nil || len(list) == n {
			break // what has gone wrong is in the answer
		}
		list = list[n:]
		q = &repb.RegisterChunkMappingRequest{}
	}
	a, err := stream.CloseAndRecv()
	if err == nil && m.parse(d, []*repb.Digest{a.BlobDigest})[0] != d {
		m.t.Errorf("spliced %v, want %v", a.BlobDigest, d)
	}
	return err
}

// joined reads chunks as a client does.
func (m mappings) joined(list []digest.Digest) []byte {
	m.t.Helper()
	var all []byte
	for _, d := range list {
		content, err := store.ReadAll(m.t.Context(), m.blobs, d, limits.MaxBlobBytes)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

// cut uploads content in chunks of n bytes.
func (m mappings) cut(fn digest.Function, content []byte, n int) (list []digest.Digest) {
	for part := range slices.Chunk(content, n) {
		list = append(list, m.add(fn, part))
	}
	return list
}

func sizes(list []digest.Digest) []int64 {
	all := make([]int64, len(list))
	for i, d := range list {
		all[i] = d.Size()
	}
	return all
}

// cuts are the sizes of the chunks of content by a function.
func cuts(fn repb.ChunkingFunction_Value, content []byte) (all []int64) {
	for c := cdc.New(fn, bytes.NewReader(content)); ; {
		chunk, err := c.ReadNextChunk()
		if err != nil {
			return all
		}
		all = append(all, int64(len(chunk)))
	}
}

// REAPI v2.12, SplitBlob; v2.13, GetChunkMapping: the chunks are in the CAS and make up
// the blob, whichever function the client prefers.
func TestDemand9SplitBlob(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 2<<20)
		d := m.add(fn, content)
		for _, c := range []struct{ prefers, want repb.ChunkingFunction_Value }{{repMax, repMax}, {fast, fast}, {noneOf, fast}, {99, fast}} {
			list, by, err := m.split(d, c.prefers)
			if err != nil || by != c.want || !slices.Equal(sizes(list), cuts(c.want, content)) || !bytes.Equal(m.joined(list), content) {
				t.Errorf("%v: %d chunks by %v, %v", c.prefers, len(list), by, err)
			}
			if got := m.missing(fn, list...); len(got) > 0 {
				t.Errorf("%v: %d chunks are missing", c.prefers, len(got))
			}
		}
		for what, small := range map[string][]byte{"nothing": nil, "a small blob": random(2, 5000)} {
			list, _, err := m.split(m.add(fn, small), noneOf)
			if err != nil || !bytes.Equal(m.joined(list), small) {
				t.Errorf("%s: %d chunks, %v", what, len(list), err)
			}
		}
	})
}

func TestDemand9SplitBlobOfWhatNobodyHas(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		_, _, err := m.split(digest.Of(fn, []byte("gone")), noneOf)
		wantCode(t, "nobody's", err, codes.NotFound)
		hash := digest.Of(fn, nil).Hash()
		large, err := digest.New(fn, hash[:], limits.MaxBlobBytes+1)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = m.split(large, noneOf)
		wantCode(t, "too large", err, codes.InvalidArgument)
		// It went after it was split.
		d := m.add(fn, random(1, 1<<20))
		if _, _, err := m.split(d, fast); err != nil {
			t.Fatal(err)
		}
		m.under.Drop(digest.Of(digest.BLAKE3, random(1, 1<<20)))
		_, _, err = m.split(d, fast)
		wantCode(t, "one that went", err, codes.NotFound)
	})
}

// A chunk and the blob may go at different times.
func TestDemand9ChunksThatWentAreCutAgain(t *testing.T) {
	bothVersions(t, func(t *testing.T, m mappings, fn digest.Function) {
		content := random(1, 2<<20)
		d := m.add(fn, content)
		first, _, err := m.split(d, fast)
		if err != nil {
			t.Fatal(err)
		}
		m.under.Drop(digest.Of(digest.BLAKE3, content[first[0].Size():first[0].Size()+first[1].Size()]))
		if m.has(first[1]) {
			t.Fatal("it is there")
		}
		again, _, err := m.split(d, fast)
		if err != nil || !slices.Equal(again, first) || !bytes.Equal(m.joined(again), content) {
			t.Errorf("%d chunks, %v", len(again), err)
		}
	})
}

func TestDemand9ChunkMappingsKeepTheBlobAndItsChunks(t *testing.T) {
	var mu sync.Mutex
	kept := map[digest.Digest]int{}
	w := serve(t, cas.Options{Lists: chunks.New(&memory.KV{}), Keep: func(ds []digest.Digest) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			kept[d]++
		}
	}})
	d := w.add(digest.SHA256, random(1, 2<<20))
	m := mappings{w, true}
	list, _, err := m.split(d, fast)
	if err != nil {
		t.Fatal(err)
	}
	for times := 1; times <= 2; times++ {
		mu.Lock()
		for _, d := range append([]digest.Digest{d}, list...) {
			if kept[d] != times {
				t.Errorf("%v was kept %d times, want %d", d, kept[d], times)
			}
		}
		mu.Unlock()
		if _, _, err := m.split(d, fast); err != nil {
			t.Fatal(err)
		}
	}
	content := random(2, 1000)
	d, list = digest.Of(digest.SHA256, content), m.cut(digest.SHA256, content, 500)
	for times := 1; times <= 2; times++ {
		if err := m.splice(d, fast, list...); err != nil {
			t.Fatal(err)
		}
		for _, d := range append([]digest.Digest{d}, list...) {
			if kept[d] != times {
				t.Errorf("%v, spliced, was kept %d times, want %d", d, kept[d], times)
			}
		}
	}
}

// changed is a store whose blobs are no longer what they were.
type changed struct{ store.Blobs }

type changedReader struct{ store.Reader }

func (changed) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	return slices.Repeat([]bool{true}, len(ds)), nil
}

func (c changed) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	r, err := c.Blobs.Open(ctx, d)
	return changedReader{r}, err
}

func (c changedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	if off == 0 && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

func TestDemand9SplitBlobGivesNoChunksOfBytesThatChanged(t *testing.T) {
	c := changed{alias.New(memory.New(room), &memory.KV{})}
	w := &world{t: t, server: run(t, c, cas.Options{Lists: chunks.New(&memory.KV{})})}
	w.connectAgain()
	content := random(1, 1<<20)
	d := digest.Of(digest.SHA256, content)
	if err := c.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if list, _, err := (mappings{w, true}).split(d, fast); err == nil {
			t.Errorf("%d chunks", len(list))
		}
	}
}

// What another member has is brought, and so are chunks.
func TestDemand9ChunkMappingsOfWhatTheMeshHas(t *testing.T) {
	content := random(1, 2<<20)
	far := &elsewhere{blobs: memory.New(room)}
	w := serve(t, cas.Options{Mesh: far, Lists: chunks.New(&memory.KV{})})
	far.to = w.blobs
	m := mappings{w, true}
	d := digest.Of(digest.BLAKE3, content)
	if err := far.blobs.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	list, _, err := m.split(d, noneOf)
	if err != nil || !bytes.Equal(m.joined(list), content) {
		t.Errorf("split: %d chunks, %v", len(list), err)
	}
	whole := append(bytes.Clone(content), "another end"...)
	end := digest.Of(digest.BLAKE3, []byte("another end"))
	if err := far.blobs.Put(t.Context(), end, bytes.NewReader([]byte("another end"))); err != nil {
		t.Fatal(err)
	}
	spliced := digest.Of(digest.BLAKE3, whole)
	if err := m.splice(spliced, noneOf, append(list, end)...); err != nil || !m.has(spliced) {
		t.Errorf("splice: %v", err)
	}
}

// most is how many digests one message can have.
func most(unary bool) int {
	if unary {
		return 50_000
	}
	return chunks.Max + 1
}

// REAPI v2.13: clients say the digest function, and the blob in the first request, which
// counts whatever those behind it say.
func TestDemand9RegisterChunkMappingReadsTheFirstRequest(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 1000)
	d := digest.Of(digest.BLAKE3, content)
	m := mappings{w, false}
	list := m.cut(digest.BLAKE3, content, 500)
	for what, c := range map[string]struct {
		requests []*repb.RegisterChunkMappingRequest
		want     codes.Code
	}{
		"nothing":     {nil, codes.InvalidArgument},
		"no function": {[]*repb.RegisterChunkMappingRequest{{BlobDigest: names.Message(d), ChunkDigests: messages(list)}}, codes.InvalidArgument},
		"the blob late": {[]*repb.RegisterChunkMappingRequest{
			{DigestFunction: repb.DigestFunction_BLAKE3}, {BlobDigest: names.Message(d), ChunkDigests: messages(list)},
		}, codes.InvalidArgument},
		"another blob later": {[]*repb.RegisterChunkMappingRequest{
			{DigestFunction: repb.DigestFunction_BLAKE3, BlobDigest: names.Message(d), ChunkDigests: messages(list[:1])}, {},
			{DigestFunction: repb.DigestFunction_SHA256, BlobDigest: names.Message(list[0]), ChunkDigests: messages(list[1:])},
		}, codes.OK},
	} {
		stream, err := w.cas.RegisterChunkMapping(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range c.requests {
			if stream.Send(q) != nil {
				break // the answer says why
			}
		}
		_, err = stream.CloseAndRecv()
		wantCode(t, what, err, c.want)
	}
	stream, err := w.cas.GetChunkMapping(t.Context(), &repb.GetChunkMappingRequest{BlobDigest: names.Message(d)})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, "GetChunkMapping without a function", err, codes.InvalidArgument)
}

func TestDemand9ChunkMappingsInAFullStore(t *testing.T) {
	w := serveOn(t, memory.New(1<<20), cas.Options{})
	m := mappings{w, true}
	content := random(1, 700_000)
	list := m.cut(digest.SHA256, content, 100_000)
	lease := w.blobs.Leases(w.under).Lease()
	lease.Hold(list...)
	d := digest.Of(digest.SHA256, content)
	wantCode(t, "splice", m.splice(d, noneOf, list...), codes.ResourceExhausted)
	if w.has(d) || len(w.missing(digest.SHA256, list...)) > 0 {
		t.Error("the blob is there, or a chunk went")
	}
	lease.Release()
	d = m.add(digest.SHA256, random(2, 900_000))
	lease.Hold(d)
	_, _, err := m.split(d, fast)
	wantCode(t, "split", err, codes.ResourceExhausted)
}

// counting is a store that counts the readers that are open at once.
type counting struct {
	store.Blobs
	mu         sync.Mutex
	open, most int
}

type counted struct {
	store.Reader
	of *counting
}

func (c *counting) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	r, err := c.Blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.most = max(c.most, c.open)
	return counted{r, c}, nil
}

func (r counted) Close() error {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.of.open--
	return r.Reader.Close()
}

// Chunks are read one after the other, as the store takes them.
func TestDemand9SpliceBlobHoldsOneChunkOpen(t *testing.T) {
	c := &counting{Blobs: alias.New(memory.New(room), &memory.KV{})}
	w := &world{t: t}
	w.server = run(t, c, cas.Options{})
	w.connectAgain()
	w.blobs = alias.New(memory.New(room), &memory.KV{})
	content := random(1, 1_000_000)
	var list []digest.Digest
	for part := range slices.Chunk(content, 10_000) {
		d := digest.Of(digest.SHA256, part)
		if err := c.Put(t.Context(), d, bytes.NewReader(part)); err != nil {
			t.Fatal(err)
		}
		list = append(list, d)
	}
	if err := (mappings{w, true}).splice(digest.Of(digest.SHA256, content), noneOf, list...); err != nil {
		t.Fatal(err)
	}
	if c.most != 1 || c.open != 0 {
		t.Errorf("%d were open at once, %d are", c.most, c.open)
	}
}
