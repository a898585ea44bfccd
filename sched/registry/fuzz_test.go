package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// empty is a store that takes nothing.
type empty struct{}

var errEmpty = errors.New("nothing is here")

func (empty) Get(context.Context, digest.Digest) (action.Entry, error) {
	return action.Entry{}, errEmpty
}
func (empty) Put(context.Context, action.Entry) error { return errEmpty }
func (empty) Each(func(action.Entry) bool) error      { return nil }
func nobody(digest.Digest, int) []peer.ID             { return nil }
func never() (<-chan struct{}, func())                { return nil, func() {} }
func frame(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{byte(len(b))}, b...)
}

// tape is a stream that plays what a peer sends, and takes everything.
type tape struct{ io.Reader }

func (tape) Write(b []byte) (int, error) { return len(b), nil }
func (tape) CloseWrite() error           { return nil }
func (tape) Close() error                { return nil }
func (tape) Reset() error                { return nil }
func (tape) SetDeadline(time.Time) error { return nil }

func FuzzServe(f *testing.F) {
	a := digest.Of(digest.BLAKE3, nil)
	id := "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	f.Add(frame(f, &schedpb.Questions{Questions: []*schedpb.Question{
		{Number: 1, Body: &schedpb.Question_Claim{Claim: &schedpb.Claim{Action: a.Binary(), Build: "b", Initiator: id}}},
	}}))
	f.Add(frame(f, &schedpb.Questions{Questions: []*schedpb.Question{
		{Number: 1, Body: &schedpb.Question_Lookup{Lookup: &schedpb.Lookup{Action: a.Binary(), Initiator: id}}},
		{Number: 2, Body: &schedpb.Question_Release{Release: &schedpb.Release{Action: a.Binary(), Build: "b"}}},
	}}))
	f.Add(frame(f, &schedpb.Questions{Questions: []*schedpb.Question{
		{Number: 1, Body: &schedpb.Question_Lacking{Lacking: &schedpb.Lacking{Actions: [][]byte{a.Binary()}}}},
		{Number: 2, Body: &schedpb.Question_Offer{Offer: &schedpb.Offer{Entry: []byte{1}, Holders: []string{id}}}},
	}}))
	f.Add([]byte{0, 255, 255, 255, 255, 15})
	net := peertest.NewNetwork()
	f.Cleanup(net.Close)
	r := New(Options{Self: "self", Network: net.Join("self"), Owners: nobody, Changes: never, Store: empty{}})
	f.Fuzz(func(t *testing.T, b []byte) {
		r.serve(t.Context(), "peer", tape{bytes.NewReader(b)})
		if r.here.table.Len() != 0 || len(r.here.waits) != 0 || len(r.guard.streams) != 0 {
			t.Fatal("something of the stream is left")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	a := digest.Of(digest.BLAKE3, nil)
	net := peertest.NewNetwork()
	f.Cleanup(net.Close)
	r := New(Options{Self: "self", Network: net.Join("self"), Owners: nobody, Changes: never, Store: empty{}})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m schedpb.Answer
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		if got, err := r.accept(Scope{}, a, "peer", &m); err == nil && (got.Entry.Action != a || got.Entry.Verify() != nil) {
			t.Fatalf("accepted %+v", got)
		}
	})
}
