package dht_test

import (
	"bufio"
	"context"
	"io"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

type bytesOf []byte

func (b *bytesOf) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

func frame(t testing.TB, m *dhtpb.Request, r *dhtpb.Response) []byte {
	var b bytesOf
	var err error
	if m != nil {
		_, err = protodelim.MarshalTo(&b, m)
	} else {
		_, err = protodelim.MarshalTo(&b, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzServe sends requests to a node that holds a blob.
func FuzzServe(f *testing.F) {
	kept := digest.Of(digest.BLAKE3, []byte("kept"))
	for op := range dhtpb.Request_Op_name {
		f.Add(frame(f, &dhtpb.Request{Op: dhtpb.Request_Op(op), Digests: [][]byte{kept.Binary()}, Length: 4}, nil))
		f.Add(frame(f, &dhtpb.Request{Op: dhtpb.Request_Op(op), Digests: [][]byte{kept.Binary()}, Offset: -1, Length: 1 << 62, Keep: true}, nil))
		f.Add(frame(f, &dhtpb.Request{Op: dhtpb.Request_Op(op), Digests: [][]byte{kept.Binary()}, Keep: true, Lease: make([]byte, 16), Trees: true}, nil))
		f.Add(frame(f, &dhtpb.Request{Op: dhtpb.Request_Op(op), Keep: true, Lease: make([]byte, 16), Release: true}, nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t, "a")
		w.shelfs["a"].add([]byte("kept"))
		s, err := w.net.Join("z").Open(t.Context(), "a", dht.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = s.Write(b); _ = s.CloseWrite() }()
		_, _ = io.Copy(io.Discard, s)
		if !w.shelfs["a"].holds(kept) || len(w.shelfs["a"].blobs) != 1 {
			t.Fatal("a request changed the store")
		}
		for _, l := range w.landlords["a"].requests("z") {
			if len(l.Blobs) > 4096 || len(l.Trees) > 64 {
				t.Fatalf("lease of %d blobs and %d trees", len(l.Blobs), len(l.Trees))
			}
		}
	})
}

// FuzzAnswer lets a holder answer everything with the same bytes.
func FuzzAnswer(f *testing.F) {
	f.Add(frame(f, nil, &dhtpb.Response{Present: []byte{1}, Blobs: [][]byte{[]byte("x")}}), false)
	f.Add(frame(f, nil, &dhtpb.Response{Present: []byte{0}, Holders: []*dhtpb.Holders{{Peers: []string{"b", "c"}}}}), false)
	f.Add(append(frame(f, nil, &dhtpb.Response{Present: []byte{1}}), "not what was asked for"...), true)
	f.Fuzz(func(t *testing.T, answer []byte, large bool) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.handle("b", func(_ context.Context, _ peer.ID, s peer.Stream) {
				r := bufio.NewReader(s)
				for {
					var req dhtpb.Request
					if wire.Read(r, &req, wire.MaxFrame) != nil {
						return
					}
					if _, err := s.Write(answer); err != nil {
						return
					}
				}
			})
			size := 100
			if large {
				size = 5 << 20
			}
			d := digest.Of(digest.BLAKE3, noise(1, size))
			if _, err := w.dhts["a"].Fetch(t.Context(), []digest.Digest{d}, []peer.ID{"b"}); err == nil {
				t.Error("Fetch succeeded from a holder without the blob")
			}
			if w.shelfs["a"].holds(d) {
				t.Error("wrong bytes were stored")
			}
		})
	})
}

func TestStreamsOfOnePeerAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a")
		z := w.net.Join("z")
		open := 0
		for range 100 {
			s, err := z.Open(t.Context(), "a", dht.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if wire.Write(s, &dhtpb.Request{Op: dhtpb.Request_HAVE}) == nil {
				var resp dhtpb.Response
				if wire.Read(bufio.NewReader(s), &resp, wire.MaxFrame) == nil {
					open++
				}
			}
		}
		if open != 64 {
			t.Errorf("%d of 100 streams were served, want 64", open)
		}
		s, err := w.net.Join("y").Open(t.Context(), "a", dht.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.Write(s, &dhtpb.Request{Op: dhtpb.Request_HAVE}); err != nil {
			t.Errorf("another peer is refused too: %v", err)
		}
	})
}
