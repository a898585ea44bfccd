package dht_test

import (
	"bufio"
	"context"
	"testing"
	"testing/synctest"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

// A small action takes two questions: for what it is made of, and for its files.
// What a peer was sent once it is not sent again.
func TestSmallActionComesInTwoQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		b := w.shelfs["b"]
		root := b.plant(t, "root", 2, 2)
		var last digest.Digest
		for i, arg := range []string{"cc", "ld"} {
			command := b.message(t, &repb.Command{Arguments: []string{arg}})
			last = native(t, b.message(t, &repb.Action{CommandDigest: command, InputRootDigest: root}))
			asked, sent := w.dhts["a"].Stats().Requests, w.dhts["b"].Stats().BytesOut
			if _, err := w.dhts["a"].FetchAction(t.Context(), last, []peer.ID{"b"}, nil); err != nil {
				t.Fatal(err)
			}
			if n := w.dhts["a"].Stats().Requests - asked; n != int64(2-i) {
				t.Errorf("action %d took %d questions, want %d", i, n, 2-i)
			}
			if n := w.dhts["b"].Stats().BytesOut - sent; i == 1 && n != last.Size()+command.GetSizeBytes() {
				t.Errorf("the second action moved %d bytes, want its own and its command's", n)
			}
		}
		if len(b.blobs) != len(w.shelfs["a"].blobs) {
			t.Errorf("%d blobs here, %d there", len(w.shelfs["a"].blobs), len(b.blobs))
		}
	})
}

// A peer that sends other parts than an action has wastes its own bytes.
func TestPartsThatTheActionDoesNotNameAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b")
		b := w.shelfs["b"]
		root := b.plant(t, "root", 1, 1)
		command := b.message(t, &repb.Command{Arguments: []string{"cc"}})
		message, err := proto.Marshal(&repb.Action{CommandDigest: command, InputRootDigest: root})
		if err != nil {
			t.Fatal(err)
		}
		junk := noise(7, 100)
		w.handle("liar", func(_ context.Context, _ peer.ID, s peer.Stream) {
			r := bufio.NewReader(s)
			for {
				var req dhtpb.Request
				if wire.Read(r, &req, wire.MaxFrame) != nil {
					return
				}
				resp := &dhtpb.Response{Present: make([]byte, (len(req.GetDigests())+7)/8)}
				if req.GetParts() {
					resp = &dhtpb.Response{Present: []byte{1}, Blobs: [][]byte{message}, Parts: [][]byte{junk, junk[:50], {}}}
				}
				if wire.Write(s, resp) != nil {
					return
				}
			}
		})
		action := digest.Of(digest.BLAKE3, message)
		if _, err := w.dhts["a"].FetchAction(t.Context(), action, []peer.ID{"liar", "b"}, nil); err != nil {
			t.Fatal(err)
		}
		a := w.shelfs["a"]
		if a.holds(digest.Of(digest.BLAKE3, junk)) || a.holds(digest.Of(digest.BLAKE3, junk[:50])) {
			t.Error("junk was kept")
		}
		if !a.holds(native(t, root)) || !a.holds(native(t, command)) {
			t.Error("the action is not whole")
		}
	})
}
