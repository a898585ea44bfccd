package cas_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// REAPI v2, DigestFunction: SHA-256 is what an unset function means, BLAKE3 has
// to be said, in the message or as a segment of the name; others are refused.
func TestDemand2DigestFunction(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 5000)
	for _, fn := range both {
		d := digest.Of(fn, content)
		w.under.Drop(digest.Of(digest.BLAKE3, content))
		for _, instance := range []string{"", "main", "a/b/c"} {
			name := names.Upload{UUID: uuid, Blob: names.Blob{Instance: instance, Digest: d}}
			if got, err := w.write(name.String(), content, 1000); err != nil || got != d.Size() {
				t.Errorf("write %s: %d, %v", name, got, err)
			}
			if got, err := w.read(&bspb.ReadRequest{ResourceName: name.Blob.String()}); err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %s: %d bytes, %v", name.Blob, len(got), err)
			}
		}
		if got := w.missing(fn, d); len(got) != 0 {
			t.Errorf("%v is missing", d)
		}
	}
	sha := digest.Of(digest.SHA256, content)
	if got := w.missing(digest.BLAKE3, sha); len(got) != 1 {
		t.Error("a SHA-256 hash is found as BLAKE3")
	}
	_, err := w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: messages([]digest.Digest{sha}), DigestFunction: repb.DigestFunction_SHA1})
	wantCode(t, "SHA1", err, codes.InvalidArgument)
	_, err = w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{{Hash: "abc", SizeBytes: 1}}})
	wantCode(t, "a short hash", err, codes.InvalidArgument)
	_, err = w.read(&bspb.ReadRequest{ResourceName: "main/actions/" + sha.Hex() + "/5000"})
	wantCode(t, "no name of a blob", err, codes.InvalidArgument)
}

// REAPI v2, ContentAddressableStorage.FindMissingBlobs: what is missing of what
// was asked for, and nothing else; the empty blob never is.
func TestDemand4FindMissingBlobs(t *testing.T) {
	for _, fn := range both {
		t.Run(fn.String(), func(t *testing.T) {
			var mu sync.Mutex
			var kept []digest.Digest
			w := serve(t, cas.Options{Keep: func(ds []digest.Digest) {
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, ds...)
			}})
			here := w.add(fn, []byte("here"))
			empty, gone := digest.Of(fn, nil), digest.Of(fn, []byte("gone"))
			got := w.missing(fn, gone, here, empty, gone)
			if len(got) != 1 || !proto.Equal(got[0], names.Message(gone)) {
				t.Errorf("missing %v", got)
			}
			if got := w.missing(fn); len(got) != 0 {
				t.Errorf("of nothing, %v is missing", got)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Contains(kept, here) || slices.Contains(kept, gone) {
				t.Errorf("kept %v", kept)
			}
		})
	}
}

// REAPI v2, ContentAddressableStorage.FindMissingBlobs: a digest without hash and
// size, as please has for outputs that are links, names nothing that could be missing;
// one of which half is there is malformed.
func TestDemand4FindMissingBlobsOfNothing(t *testing.T) {
	w := serve(t, cas.Options{})
	gone := names.Message(digest.Of(digest.SHA256, []byte("gone")))
	got, err := w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{{}, gone, {}}})
	if err != nil || len(got.MissingBlobDigests) != 1 || !proto.Equal(got.MissingBlobDigests[0], gone) {
		t.Errorf("missing %v, %v", got, err)
	}
	for _, half := range []*repb.Digest{{SizeBytes: 1}, {Hash: "abc"}} {
		_, err := w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{half}})
		wantCode(t, half.String(), err, codes.InvalidArgument)
	}
}

func TestDemand4FindMissingBlobsOfTenThousand(t *testing.T) {
	w := serve(t, cas.Options{})
	var ds []digest.Digest
	for i := range 10_000 {
		content := fmt.Appendf(nil, "blob %d", i)
		if i%100 == 0 {
			w.add(digest.SHA256, content)
		}
		ds = append(ds, digest.Of(digest.SHA256, content))
	}
	got := w.missing(digest.SHA256, ds...)
	if len(got) != 9900 {
		t.Errorf("%d are missing", len(got))
	}
	for i, m := range got {
		if want := ds[i+i/99+1]; m.Hash != want.Hex() {
			t.Fatalf("missing %d is %v, want %v", i, m, want)
		}
	}
}

// The store loses a blob just when it has been found.
func TestDemand4FindMissingBlobsSeesWhatWentBeforeItWasKept(t *testing.T) {
	var w *world
	content := []byte("about to go")
	w = serve(t, cas.Options{Keep: func([]digest.Digest) { w.under.Drop(digest.Of(digest.BLAKE3, content)) }})
	d := w.add(digest.SHA256, content)
	if got := w.missing(digest.SHA256, d); len(got) != 1 {
		t.Errorf("missing %v", got)
	}
}

func TestDemand4WhatTheMeshHasIsThere(t *testing.T) {
	far := &elsewhere{blobs: memory.New(room)}
	under := memory.New(room)
	far.to = alias.New(under, &memory.KV{})
	var ds []digest.Digest
	var contents [][]byte
	for _, fn := range both {
		content := []byte("far away, by " + fn.String())
		d := digest.Of(fn, content)
		if err := far.blobs.Put(t.Context(), d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		ds, contents = append(ds, d), append(contents, content)
	}
	w := &world{t: t, under: under, blobs: far.to.(*alias.Blobs)}
	w.connect(cas.Options{Mesh: far})
	nowhere := digest.Of(digest.SHA256, []byte("nowhere"))
	if got := w.missing(digest.SHA256, nowhere, ds[0]); len(got) != 1 || got[0].Hash != nowhere.Hex() || far.fetched != 0 {
		t.Errorf("missing %v, %d fetched", got, far.fetched)
	}
	if got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(ds[0])}); err != nil || !bytes.Equal(got, contents[0]) {
		t.Errorf("read %q, %v", got, err)
	}
	a, err := w.cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: messages(ds[1:]), DigestFunction: repb.DigestFunction_BLAKE3})
	if err != nil || !bytes.Equal(a.Responses[0].Data, contents[1]) {
		t.Errorf("batch %v, %v", a, err)
	}
	_, err = w.read(&bspb.ReadRequest{ResourceName: blobName(nowhere)})
	wantCode(t, "a blob that nobody has", err, codes.NotFound)
}

// REAPI v2, ContentAddressableStorage.BatchUpdateBlobs: a status for each.
func TestDemand9BatchUpdateBlobs(t *testing.T) {
	for _, fn := range both {
		w := serve(t, cas.Options{})
		good, packed := []byte("good"), bytes.Repeat([]byte("packed "), 1000)
		wrong := digest.Of(fn, []byte("right"))
		q := &repb.BatchUpdateBlobsRequest{DigestFunction: value(fn), Requests: []*repb.BatchUpdateBlobsRequest_Request{
			{Digest: names.Message(digest.Of(fn, good)), Data: good},
			{Digest: names.Message(wrong), Data: []byte("wrong")},
			{Digest: names.Message(digest.Of(fn, packed)), Data: pack(t, packed), Compressor: repb.Compressor_ZSTD},
			{Digest: names.Message(digest.Of(fn, []byte("x"))), Data: []byte("no frame"), Compressor: repb.Compressor_ZSTD},
			{Digest: names.Message(digest.Of(fn, []byte("bomb"))), Data: pack(t, make([]byte, 1<<20)), Compressor: repb.Compressor_ZSTD},
			{Digest: names.Message(digest.Of(fn, []byte("y"))), Data: []byte("y"), Compressor: repb.Compressor_BROTLI},
			{Digest: names.Message(digest.Of(fn, nil))},
		}}
		a, err := w.cas.BatchUpdateBlobs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		bad := codes.InvalidArgument
		for i, want := range []codes.Code{codes.OK, bad, codes.OK, bad, bad, bad, codes.OK} {
			if r := a.Responses[i]; codes.Code(r.Status.Code) != want || !proto.Equal(r.Digest, q.Requests[i].Digest) {
				t.Errorf("%v: blob %d: %v, want %v", fn, i, r, want)
			}
		}
		if !w.has(digest.Of(fn, good)) || !w.has(digest.Of(fn, packed)) || w.has(wrong) {
			t.Errorf("%v: the store has not what it should have", fn)
		}
	}
}

func TestDemand9BatchUpdateBlobsWithoutRoom(t *testing.T) {
	w := serveOn(t, memory.New(100), cas.Options{})
	large, small := random(1, 200), []byte("small")
	a, err := w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{
		{Digest: names.Message(digest.Of(digest.SHA256, large)), Data: large},
		{Digest: names.Message(digest.Of(digest.SHA256, small)), Data: small},
	}})
	if err != nil || codes.Code(a.Responses[0].Status.Code) != codes.ResourceExhausted || a.Responses[1].Status.Code != 0 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestDemand9BatchesOfMoreThanTheCapabilitiesSay(t *testing.T) {
	w := serve(t, cas.Options{})
	half := digest.Of(digest.SHA256, random(1, limits.MaxBatchBytes/2))
	more := digest.Of(digest.SHA256, random(2, limits.MaxBatchBytes/2+1))
	_, err := w.cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: messages([]digest.Digest{half, more})})
	wantCode(t, "read", err, codes.InvalidArgument)
	_, err = w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: names.Message(half)}, {Digest: names.Message(more)}}})
	wantCode(t, "update", err, codes.InvalidArgument)
}

// REAPI v2, ContentAddressableStorage.BatchReadBlobs: a status for each, zstd
// for those who accept it.
func TestDemand9BatchReadBlobs(t *testing.T) {
	for _, fn := range both {
		w := serve(t, cas.Options{})
		text, noise := bytes.Repeat([]byte("text "), 1000), random(1, 1000)
		ds := []digest.Digest{w.add(fn, text), digest.Of(fn, []byte("gone")), w.add(fn, noise), digest.Of(fn, nil), w.add(fn, []byte("tiny"))}
		want := [][]byte{text, nil, noise, nil, []byte("tiny")}
		for _, zstd := range []bool{false, true} {
			q := &repb.BatchReadBlobsRequest{Digests: messages(ds), DigestFunction: value(fn)}
			if zstd {
				q.AcceptableCompressors = []repb.Compressor_Value{repb.Compressor_ZSTD}
			}
			a, err := w.cas.BatchReadBlobs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range a.Responses {
				code := codes.OK
				if i == 1 {
					code = codes.NotFound
				}
				got := r.Data
				if (r.Compressor == repb.Compressor_ZSTD) != (zstd && i == 0) {
					t.Errorf("%v: blob %d comes as %v", fn, i, r.Compressor)
				}
				if r.Compressor == repb.Compressor_ZSTD {
					got = unpack(t, got)
				}
				if codes.Code(r.Status.Code) != code || !bytes.Equal(got, want[i]) || !proto.Equal(r.Digest, q.Digests[i]) {
					t.Errorf("%v: blob %d: %v", fn, i, r.Status)
				}
			}
		}
	}
}

// addDirectory adds a Directory with the subdirectories.
func (w *world) addDirectory(fn digest.Function, label string, subs ...digest.Digest) digest.Digest {
	w.t.Helper()
	dir := &repb.Directory{Files: []*repb.FileNode{{Name: label, Digest: names.Message(digest.Of(fn, nil))}}}
	for i, d := range subs {
		dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: fmt.Sprintf("%04d", i), Digest: names.Message(d)})
	}
	raw, err := proto.Marshal(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.add(fn, raw)
}

// tree returns the labels of the directories that come, and the tokens.
func (w *world) tree(q *repb.GetTreeRequest) (labels, tokens []string, err error) {
	stream, err := w.cas.GetTree(context.Background(), q)
	if err != nil {
		return nil, nil, err
	}
	for {
		page, err := stream.Recv()
		if err != nil {
			if err.Error() == "EOF" {
				return labels, tokens, nil
			}
			return labels, tokens, err
		}
		for _, dir := range page.Directories {
			labels = append(labels, dir.Files[0].Name)
		}
		tokens = append(tokens, page.NextPageToken)
	}
}

// REAPI v2, ContentAddressableStorage.GetTree.
func TestDemand9GetTree(t *testing.T) {
	for _, fn := range both {
		w := serve(t, cas.Options{})
		var leaves []digest.Digest
		want := []string{"root", "left", "right"}
		for i := range 20 {
			label := fmt.Sprintf("leaf %d", i)
			leaves = append(leaves, w.addDirectory(fn, label))
			want = append(want, label)
		}
		lost := digest.Of(fn, []byte("lost"))
		left := w.addDirectory(fn, "left", leaves[:10]...)
		right := w.addDirectory(fn, "right", append(slices.Clone(leaves[5:]), lost)...)
		root := w.addDirectory(fn, "root", left, right)
		q := &repb.GetTreeRequest{RootDigest: names.Message(root), DigestFunction: value(fn)}
		if got, tokens, err := w.tree(q); err != nil || !slices.Equal(got, want) || len(tokens) != 1 || tokens[0] != "" {
			t.Errorf("%v: whole tree %q, tokens %q, %v", fn, got, tokens, err)
		}
		q.PageSize = 7
		got, tokens, err := w.tree(q)
		if err != nil || !slices.Equal(got, want) || len(tokens) != 4 || tokens[3] != "" {
			t.Errorf("%v: in pages %q, tokens %q, %v", fn, got, tokens, err)
		}
		for i, token := range tokens {
			if token == "" || i == 3 {
				break
			}
			q.PageToken = token
			if got, _, err := w.tree(q); err != nil || !slices.Equal(got, want[7*(i+1):]) {
				t.Errorf("%v: after page %d: %q, %v", fn, i, got, err)
			}
		}
		q.RootDigest = names.Message(left)
		_, _, err = w.tree(q)
		wantCode(t, "a token of another tree", err, codes.InvalidArgument)
		for _, token := range []string{"x", "0.", "-1.00", "999999999.0011223344556677"} {
			q.PageToken = token
			_, _, err := w.tree(q)
			wantCode(t, token, err, codes.InvalidArgument)
		}
		_, _, err = w.tree(&repb.GetTreeRequest{RootDigest: names.Message(root), DigestFunction: value(fn), PageSize: -1})
		wantCode(t, "a negative page", err, codes.InvalidArgument)
		_, _, err = w.tree(&repb.GetTreeRequest{RootDigest: names.Message(lost), DigestFunction: value(fn)})
		wantCode(t, "a root that nobody has", err, codes.NotFound)
		_, _, err = w.tree(&repb.GetTreeRequest{RootDigest: names.Message(w.add(fn, []byte("\xff\xff"))), DigestFunction: value(fn)})
		wantCode(t, "a root that is no Directory", err, codes.InvalidArgument)
	}
}

func TestDemand9GetTreeThatDoublesAtEachLevelComesOnce(t *testing.T) {
	w := serve(t, cas.Options{})
	at := w.addDirectory(digest.SHA256, "0")
	for i := range 200 {
		at = w.addDirectory(digest.SHA256, fmt.Sprint(i+1), at, at)
	}
	if got, _, err := w.tree(&repb.GetTreeRequest{RootDigest: names.Message(at)}); err != nil || len(got) != 201 {
		t.Errorf("%d directories, %v", len(got), err)
	}
}
