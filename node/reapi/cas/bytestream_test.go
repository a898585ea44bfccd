package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// bazelPiece is what Bazel 4 sends at once.
const bazelPiece = 16 << 10

// ByteStream.Write as remote_execution.proto, ContentAddressableStorage, has it:
// committed_size is the blob's size.
func TestDemand3ByteStreamWrite(t *testing.T) {
	w := serve(t, cas.Options{})
	for _, fn := range both {
		for _, size := range []int{0, 1, bazelPiece - 1, bazelPiece, bazelPiece + 1, 1 << 20} {
			content := random(uint64(fn), size)
			d := digest.Of(fn, content)
			for _, when := range []string{"first", "again"} {
				if got, err := w.write(uploadName(d), content, bazelPiece); err != nil || got != d.Size() {
					t.Errorf("%v, %d bytes, %s: committed %d, %v", fn, size, when, got, err)
				}
			}
			if got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(d)}); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%v, %d bytes: read %d, %v", fn, size, len(got), err)
			}
		}
	}
}

// What a client has given is kept for it, however it came, and although it was there.
func TestDemand3WhatIsUploadedIsKept(t *testing.T) {
	var mu sync.Mutex
	var kept []digest.Digest
	w := serve(t, cas.Options{Keep: func(ds []digest.Digest) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, ds...)
	}})
	content := random(1, 3*bazelPiece)
	d := digest.Of(digest.SHA256, content)
	for what, piece := range map[string]int{"in one piece": len(content), "in pieces": bazelPiece} {
		for _, when := range []string{"first", "again"} {
			mu.Lock()
			kept = nil
			mu.Unlock()
			if _, err := w.write(uploadName(d), content, piece); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			if !slices.Contains(kept, d) {
				t.Errorf("%s, %s: it is not kept", what, when)
			}
			mu.Unlock()
		}
		w.under.Drop(digest.Of(digest.BLAKE3, content))
	}
}

// What is there already is answered at once, whatever has come of it.
func TestDemand3ByteStreamWriteOfWhatIsThereIsAnsweredEarly(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 100_000)
	d := w.add(digest.SHA256, content)
	for _, c := range []struct {
		name string
		want int64
	}{{uploadName(d), d.Size()}, {zstdUploadName(d), -1}} {
		stream := w.begin(c.name, content[:10])
		a := &bspb.WriteResponse{}
		if err := stream.RecvMsg(a); err != nil || a.CommittedSize != c.want {
			t.Errorf("%s: %v, %v", c.name, a, err)
		}
	}
}

// answerTime bounds what is answered at once, on a machine that has much else to do.
const answerTime = 10 * time.Second

// begin sends the first request of an upload that goes on.
func (w *world) begin(name string, content []byte) bspb.ByteStream_WriteClient {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), answerTime)
	w.t.Cleanup(cancel)
	stream, err := w.stream.Write(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := stream.Send(&bspb.WriteRequest{ResourceName: name, Data: content}); err != nil {
		w.t.Fatal(err)
	}
	return stream
}

func TestDemand3ByteStreamWriteOfOtherBytes(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 50_000)
	other := append(bytes.Clone(content[:49_999]), content[49_999]+1)
	for _, fn := range both {
		d := digest.Of(fn, content)
		w.under.Drop(digest.Of(digest.BLAKE3, content))
		for what, sent := range map[string][]byte{"another byte": other, "too short": content[:40_000], "too long": append(bytes.Clone(content), 0), "nothing": nil} {
			for _, piece := range []int{bazelPiece, 1 << 20} {
				_, err := w.write(uploadName(d), sent, piece)
				wantCode(t, fmt.Sprintf("%v, %s, in pieces of %d", fn, what, piece), err, codes.InvalidArgument)
			}
			_, err := w.write(zstdUploadName(d), pack(t, sent), bazelPiece)
			wantCode(t, fmt.Sprintf("%v, %s, compressed", fn, what), err, codes.InvalidArgument)
		}
		if w.has(d) {
			t.Errorf("%v is there", d)
		}
		if got, err := w.write(uploadName(d), content, bazelPiece); err != nil || got != d.Size() {
			t.Errorf("the right bytes after all: %d, %v", got, err)
		}
	}
}

// bytestream.proto, WriteRequest: each request's name and offset.
func TestDemand3ByteStreamWriteRequests(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 30)
	d := digest.Of(digest.SHA256, content)
	name, other, large := uploadName(d), uploadName(digest.Of(digest.SHA256, nil)), uploadName(sized(t, 0, 100<<30))
	for what, c := range map[string]struct {
		requests []*bspb.WriteRequest
		want     codes.Code
	}{
		"the name again":   {[]*bspb.WriteRequest{{ResourceName: name, Data: content[:9]}, {ResourceName: name, WriteOffset: 9, Data: content[9:], FinishWrite: true}}, codes.OK},
		"empty requests":   {[]*bspb.WriteRequest{{ResourceName: name}, {Data: content}, {WriteOffset: 30, FinishWrite: true}}, codes.OK},
		"another name":     {[]*bspb.WriteRequest{{ResourceName: name, Data: content[:9]}, {ResourceName: other, WriteOffset: 9, Data: content[9:]}}, codes.InvalidArgument},
		"a gap":            {[]*bspb.WriteRequest{{ResourceName: name, Data: content[:9]}, {WriteOffset: 10, Data: content[10:]}}, codes.InvalidArgument},
		"no offset":        {[]*bspb.WriteRequest{{ResourceName: name, Data: content[:9]}, {Data: content[9:]}}, codes.InvalidArgument},
		"no name":          {[]*bspb.WriteRequest{{Data: content}}, codes.InvalidArgument},
		"name of a read":   {[]*bspb.WriteRequest{{ResourceName: blobName(d), Data: content}}, codes.InvalidArgument},
		"no request":       {nil, codes.InvalidArgument},
		"too large":        {[]*bspb.WriteRequest{{ResourceName: large, Data: content}}, codes.InvalidArgument},
		"negative offset":  {[]*bspb.WriteRequest{{ResourceName: name, WriteOffset: -1, Data: content}}, codes.OutOfRange},
		"offset too large": {[]*bspb.WriteRequest{{ResourceName: name, WriteOffset: 31}}, codes.OutOfRange},
		"unknown upload":   {[]*bspb.WriteRequest{{ResourceName: name, WriteOffset: 9, Data: content[9:], FinishWrite: true}}, codes.Aborted},
	} {
		stream, err := w.stream.Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range c.requests {
			if stream.Send(q) != nil {
				break // what it says comes below
			}
		}
		a, err := stream.CloseAndRecv()
		wantCode(t, what, err, c.want)
		if err == nil && a.CommittedSize != d.Size() {
			t.Errorf("%s: committed %d", what, a.CommittedSize)
		}
		w.under.Drop(digest.Of(digest.BLAKE3, content))
	}
}

// status asks until want bytes of an upload are committed: what was sent is on
// its way for a while.
func (w *world) status(name string, want int64) *bspb.QueryWriteStatusResponse {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), answerTime)
	defer cancel()
	for {
		a, err := w.stream.QueryWriteStatus(ctx, &bspb.QueryWriteStatusRequest{ResourceName: name})
		if err != nil {
			w.t.Fatalf("until %d bytes are committed: %v", want, err)
		}
		if a.CommittedSize == want {
			return a
		}
	}
}

// goOn sends the rest of an upload.
func (w *world) goOn(name string, offset int64, rest []byte) (int64, error) {
	stream, err := w.stream.Write(w.t.Context())
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&bspb.WriteRequest{ResourceName: name, WriteOffset: offset, Data: rest, FinishWrite: true}); err != nil {
		return 0, err
	}
	a, err := stream.CloseAndRecv()
	return a.GetCommittedSize(), err
}

// bytestream.proto, QueryWriteStatus and the resumption of a Write.
func TestDemand3ByteStreamQueryWriteStatus(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 200_000)
	for _, fn := range both {
		d := digest.Of(fn, content)
		w.under.Drop(digest.Of(digest.BLAKE3, content))
		name := uploadName(d)
		if a := w.status(name, 0); a.Complete {
			t.Error("complete before it began")
		}
		ctx, cut := context.WithCancel(t.Context())
		stream, err := w.stream.Write(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&bspb.WriteRequest{ResourceName: name, Data: content[:120_000]}); err != nil {
			t.Fatal(err)
		}
		w.status(name, 120_000)
		cut()
		for _, offset := range []int64{1, 119_999, 120_001} {
			_, err := w.goOn(name, offset, content[offset:])
			wantCode(t, fmt.Sprintf("from %d", offset), err, codes.Aborted)
		}
		if got, err := w.goOn(name, 120_000, content[120_000:]); err != nil || got != d.Size() {
			t.Errorf("%v: committed %d, %v", fn, got, err)
		}
		if a := w.status(name, d.Size()); !a.Complete {
			t.Error("whole and not complete")
		}
		if got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(d)}); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
	_, err := w.stream.QueryWriteStatus(t.Context(), &bspb.QueryWriteStatusRequest{ResourceName: "nothing"})
	wantCode(t, "no name of an upload", err, codes.InvalidArgument)
}

func TestDemand3AnUploadClosedBeforeItIsWholeCanBeGoneOnWithOrBegunAgain(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 200_000)
	d := digest.Of(digest.SHA256, content)
	for _, again := range []bool{false, true} {
		w.under.Drop(digest.Of(digest.BLAKE3, content))
		stream := w.begin(uploadName(d), content[:70_000])
		if a, err := stream.CloseAndRecv(); err != nil || a.CommittedSize != 70_000 {
			t.Errorf("committed %v, %v", a, err)
		}
		from := int64(70_000)
		if again {
			from = 0
		}
		if got, err := w.goOn(uploadName(d), from, content[from:]); err != nil || got != d.Size() {
			t.Errorf("from %d: committed %d, %v", from, got, err)
		}
	}
}

func TestDemand3AnotherCallTakesAnUploadOver(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 200_000)
	d := digest.Of(digest.SHA256, content)
	old := w.begin(uploadName(d), content[:70_000])
	w.status(uploadName(d), 70_000)
	taken, err := w.stream.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Send(&bspb.WriteRequest{ResourceName: uploadName(d), WriteOffset: 70_000, Data: content[70_000:80_000]}); err != nil {
		t.Fatal(err)
	}
	w.status(uploadName(d), 80_000)
	if err := old.Send(&bspb.WriteRequest{WriteOffset: 70_000, Data: content[70_000:]}); err != nil {
		t.Fatal(err)
	}
	_, err = old.CloseAndRecv()
	wantCode(t, "the old call", err, codes.Aborted)
	if err := taken.Send(&bspb.WriteRequest{WriteOffset: 80_000, Data: content[80_000:], FinishWrite: true}); err != nil {
		t.Fatal(err)
	}
	if a, err := taken.CloseAndRecv(); err != nil || a.CommittedSize != d.Size() {
		t.Errorf("%v, %v", a, err)
	}
}

func TestDemand3ByteStreamWritesOfTheSameBlobAtOnce(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 300_000)
	d := digest.Of(digest.SHA256, content)
	packed := pack(t, content)
	var writing sync.WaitGroup
	for i := range 16 {
		writing.Go(func() {
			name := names.Upload{UUID: fmt.Sprint(i), Blob: names.Blob{Digest: d}}
			want, sent := d.Size(), content
			if i%2 == 1 {
				name.Compressor, want, sent = repb.Compressor_ZSTD, int64(len(packed)), packed
			}
			got, err := w.write(name.String(), sent, bazelPiece)
			if err != nil || got != want && (i%2 == 0 || got != -1) {
				t.Errorf("upload %d: committed %d, %v", i, got, err)
			}
		})
	}
	writing.Wait()
	if !w.has(d) {
		t.Error("it is not there")
	}
}

// remote_execution.proto, ContentAddressableStorage: compressed-blobs.
func TestDemand3CompressedByteStream(t *testing.T) {
	w := serve(t, cas.Options{})
	for _, fn := range both {
		for what, content := range map[string][]byte{"nothing": nil, "text": bytes.Repeat([]byte("text of a build "), 50_000), "noise": random(1, 300_000)} {
			d := digest.Of(fn, content)
			w.under.Drop(digest.Of(digest.BLAKE3, content))
			packed := pack(t, content)
			want := int64(len(packed))
			if len(content) == 0 {
				want = -1 // it is always there
			}
			if got, err := w.write(zstdUploadName(d), packed, bazelPiece); err != nil || got != want {
				t.Errorf("%v, %s: committed %d, want %d, %v", fn, what, got, want, err)
			}
			for _, offset := range []int64{0, d.Size() / 2, d.Size()} {
				got, err := w.read(&bspb.ReadRequest{ResourceName: zstdBlobName(d), ReadOffset: offset})
				if err != nil || !bytes.Equal(unpack(t, got), content[offset:]) {
					t.Errorf("%v, %s from %d: %d bytes, %v", fn, what, offset, len(got), err)
				}
			}
			_, err := w.read(&bspb.ReadRequest{ResourceName: zstdBlobName(d), ReadLimit: 1})
			wantCode(t, "read_limit", err, codes.InvalidArgument)
		}
	}
}

// What clients take for a compressed upload that went well. Bazel, from 5.1 on, and
// Buck2 take all that was sent, from the offset that the upload began or went on with,
// or -1; remote-apis-sdks, in its package client, does not look.
func TestDemand3CommittedSizeOfACompressedUploadIsWhatClientsTake(t *testing.T) {
	for _, fn := range both {
		w := serve(t, cas.Options{})
		content := random(1, 400_000)
		d := digest.Of(fn, content)
		check := func(what string, got int64, err error, want ...int64) {
			t.Helper()
			if err != nil || !slices.Contains(want, got) {
				t.Errorf("%v, %s: committed %d, %v; want one of %v", fn, what, got, err, want)
			}
		}
		packed := pack(t, content)
		sent := int64(len(packed))
		got, err := w.write(zstdUploadName(d), packed, bazelPiece)
		check("whole", got, err, sent)
		got, err = w.write(zstdUploadName(d), packed, len(packed))
		check("there, in one request", got, err, -1)
		got, err = w.write(zstdUploadName(d), packed, bazelPiece)
		check("there", got, err, -1)

		w.under.Drop(digest.Of(digest.BLAKE3, content))
		stream := w.begin(zstdUploadName(d), packed[:len(packed)/2])
		w.add(fn, content)
		err = stream.Send(&bspb.WriteRequest{WriteOffset: sent / 2, Data: packed[sent/2:], FinishWrite: true})
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		a, err := stream.CloseAndRecv()
		check("another was faster", a.GetCommittedSize(), err, -1, sent)
	}
}

func TestDemand3CompressedUploadsThatAreNone(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 50_000)
	d := digest.Of(digest.SHA256, content)
	packed := pack(t, content)
	for what, sent := range map[string][]byte{
		"no frame": content, "half a frame": packed[:len(packed)/2], "a frame and more": append(bytes.Clone(packed), 1, 2, 3, 4),
		"a bomb": pack(t, make([]byte, 32<<20)),
	} {
		_, err := w.write(zstdUploadName(d), sent, bazelPiece)
		wantCode(t, what, err, codes.InvalidArgument)
	}
	if w.has(d) {
		t.Error("it is there")
	}
}

// The offset of the first request is one of the plain bytes, those that follow
// count compressed ones.
func TestDemand3ACompressedUploadIsGoneOnWith(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 400_000)
	d := digest.Of(digest.SHA256, content)
	stream := w.begin(zstdUploadName(d), pack(t, content[:250_000]))
	a, err := stream.CloseAndRecv()
	if err != nil || a.CommittedSize == 0 || a.CommittedSize > 250_000 {
		t.Fatalf("committed %v, %v", a, err)
	}
	is := w.status(zstdUploadName(d), a.CommittedSize).CommittedSize
	rest := pack(t, content[is:])
	if got, err := w.goOn(zstdUploadName(d), is, rest); err != nil || got != is+int64(len(rest)) {
		t.Errorf("committed %d, %v", got, err)
	}
	if !w.has(d) {
		t.Error("it is not there")
	}
}

// bytestream.proto, ReadRequest.
func TestDemand3ByteStreamRead(t *testing.T) {
	w := serve(t, cas.Options{})
	content := random(1, 200_000)
	size := int64(len(content))
	for _, fn := range both {
		d := w.add(fn, content)
		for _, c := range []struct {
			offset, limit int64
			want          []byte
		}{
			{0, 0, content}, {1, 0, content[1:]}, {size, 0, nil}, {0, 1, content[:1]}, {size - 1, 100, content[size-1:]},
			{70_000, 70_000, content[70_000:140_000]}, {0, size, content},
		} {
			got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(d), ReadOffset: c.offset, ReadLimit: c.limit})
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%v from %d, at most %d: %d bytes, %v", fn, c.offset, c.limit, len(got), err)
			}
		}
		for what, c := range map[string]struct {
			q    *bspb.ReadRequest
			want codes.Code
		}{
			"negative offset": {&bspb.ReadRequest{ResourceName: blobName(d), ReadOffset: -1}, codes.OutOfRange},
			"after its end":   {&bspb.ReadRequest{ResourceName: blobName(d), ReadOffset: size + 1}, codes.OutOfRange},
			"negative limit":  {&bspb.ReadRequest{ResourceName: blobName(d), ReadLimit: -1}, codes.InvalidArgument},
			"missing":         {&bspb.ReadRequest{ResourceName: blobName(digest.Of(fn, []byte("gone")))}, codes.NotFound},
			"missing, zstd":   {&bspb.ReadRequest{ResourceName: zstdBlobName(digest.Of(fn, []byte("gone")))}, codes.NotFound},
			"another size":    {&bspb.ReadRequest{ResourceName: names.Blob{Digest: resized(t, d)}.String()}, codes.NotFound},
			"no name":         {&bspb.ReadRequest{ResourceName: "blobs/xyz/1"}, codes.InvalidArgument},
			"an upload":       {&bspb.ReadRequest{ResourceName: uploadName(d)}, codes.InvalidArgument},
		} {
			_, err := w.read(c.q)
			wantCode(t, what, err, c.want)
		}
		if got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(digest.Of(fn, nil))}); err != nil || len(got) != 0 {
			t.Errorf("the empty blob: %q, %v", got, err)
		}
	}
}

func resized(t *testing.T, d digest.Digest) digest.Digest {
	t.Helper()
	hash := d.Hash()
	other, err := digest.New(d.Function(), hash[:], d.Size()+1)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func TestDemand3UploadsWithoutRoomAreRefused(t *testing.T) {
	w := serveOn(t, memory.New(1000), cas.Options{})
	content := random(1, 100_000)
	d := digest.Of(digest.SHA256, content)
	for _, piece := range []int{bazelPiece, 1 << 20} {
		_, err := w.write(uploadName(d), content, piece)
		wantCode(t, "in pieces", err, codes.ResourceExhausted)
	}
}
