package dht_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/store/digest"
)

// TestKadFindsHoldersBeyondTheKnownMembers uses real sockets for kad-dht, so
// it waits in real time; blobs move in memory.
func TestKadFindsHoldersBeyondTheKnownMembers(t *testing.T) {
	net := peertest.NewNetwork()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var before *libp2ppeer.AddrInfo
	var dhts []*dht.DHT
	var shelfs []*shelf
	for range 3 {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableRelay())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		if before != nil {
			if err := h.Connect(ctx, *before); err != nil {
				t.Fatal(err)
			}
		}
		before = &libp2ppeer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		id := peer.ID(h.ID().String())
		s := &shelf{blobs: map[digest.Digest][]byte{}}
		d, err := dht.New(dht.Options{
			Self: id, Network: net.Join(id), Blobs: s, Members: func() []peer.ID { return []peer.ID{id} }, Host: h,
		})
		if err != nil {
			t.Fatal(err)
		}
		dhts, shelfs = append(dhts, d), append(shelfs, s)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait(); net.Close() })

	root, large := shelfs[0].add([]byte("root")), shelfs[0].add(noise(1, 2<<20))
	dhts[0].ProvideRoot(root)
	dhts[0].Provide(large)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		_, err := dhts[2].Fetch(t.Context(), []digest.Digest{root, large}, nil)
		if err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("not fetched within 10 s: %v", err)
		case <-tick.C:
		}
	}
	if !shelfs[2].holds(root) || !shelfs[2].holds(large) {
		t.Error("the blobs are not here")
	}
}
