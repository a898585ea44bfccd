package stack

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/dht/kad"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/packets"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// wan is n hosts that are all latency away from each other.
func wan(n int, latency time.Duration, bandwidth float64) packets.Options {
	path := network.Path{Latency: latency, Bandwidth: bandwidth}
	return packets.Options{Seed: 1, Config: network.Config{Sites: []network.Site{{Name: "wan", Local: path}}, Site: make([]int, n)}}
}

// serve runs a service of a node until the bubble ends.
func (n *meshNode) serve(what string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop := n.stop
	n.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("%s: %v", what, err)
		}
		stop()
	}
}

// blobs is a store in memory as the exchange sees it.
type blobs struct{ *memory.Store }

func (b blobs) Open(ctx context.Context, d digest.Digest) (dht.Reader, error) {
	return b.Store.Open(ctx, d)
}

func (w *meshes) exchange(n *meshNode) (*dht.DHT, blobs) {
	w.t.Helper()
	store := blobs{memory.New(1 << 30)}
	d, err := dht.New(dht.Options{Self: n.Self(), Network: n.Mesh, Blobs: store, Members: n.alive})
	if err != nil {
		w.t.Fatal(err)
	}
	n.serve("exchange", d.Run)
	return d, store
}

func (n *meshNode) alive() (ids []peer.ID) {
	for _, m := range n.Members() {
		if m.State == peer.Alive {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func TestMeshFetchesBlobsNearLinkSpeed(t *testing.T) {
	const bandwidth, size = 12.5e6, 16 << 20 // 100 Mbit/s
	inMeshes(t, wan(2, 10*time.Millisecond, bandwidth), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		_, there := w.exchange(w.nodes[0])
		here, _ := w.exchange(w.nodes[1])
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
		for _, c := range []struct {
			what  string
			blobs [][]byte
		}{
			{"one of 16 MiB", [][]byte{content}},
			{"64 of 256 KiB", chunks(content, 256<<10)},
			{"4,096 of 4 KiB", chunks(content, 4<<10)},
		} {
			var ds []digest.Digest
			for _, b := range c.blobs {
				d := digest.Of(digest.BLAKE3, b)
				if err := there.Put(t.Context(), d, bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
				ds = append(ds, d)
			}
			began := time.Now()
			if _, err := here.Fetch(t.Context(), ds, []peer.ID{w.nodes[0].Self()}); err != nil {
				t.Fatal(err)
			}
			share := size / time.Since(began).Seconds() / bandwidth
			t.Logf("%s: %.0f %% of the link", c.what, 100*share)
			if share < 0.7 {
				t.Errorf("%s: %.0f %% of the link", c.what, 100*share)
			}
		}
	})
}

func chunks(b []byte, size int) (all [][]byte) {
	for ; len(b) > 0; b = b[size:] {
		all = append(all, b[:size])
	}
	return all
}

// kads runs kad-dht on every node, each connected to a few.
func (w *meshes) kads() []*kad.DHT {
	w.t.Helper()
	var all []*kad.DHT
	for _, n := range w.nodes {
		d := kad.New(n.Libp2p(), kad.Options{})
		n.serve("kad-dht", d.Run)
		all = append(all, d)
	}
	const acquaintances = 3
	for i, n := range w.nodes {
		for j := 1; j <= acquaintances; j++ {
			if err := n.hears(w.nodes[(i+j*j)%len(w.nodes)]); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return all
}

// TestMeshFindsRecords: each record is kept by the 20 peers nearest to its key
// (Kademlia's k), so up to 20 nodes have it themselves, and in larger meshes
// some nearest peer is asked at once.
func TestMeshFindsRecords(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	inMeshes(t, wan(*stackNodes, roundTrip/2, 12.5e6), func(t *testing.T, w *meshes) {
		w.mesh()
		w.within(meetWithin, "whole mesh", w.whole)
		all := w.kads()
		pass(10 * time.Second)
		var ds []digest.Digest
		for i, d := range all {
			ds = append(ds, digest.Of(digest.BLAKE3, fmt.Append(nil, i)))
			d.Provide(ds[i])
		}
		pass(10 * time.Second)
		var longest, sum time.Duration
		for i, d := range all {
			key := (i + len(all)/2) % len(all)
			began := time.Now()
			ids := d.Holders(t.Context(), ds[key], 1)
			took := time.Since(began)
			longest, sum = max(longest, took), sum+took
			if len(ids) != 1 || ids[0] != w.nodes[key].Self() {
				t.Errorf("node %d finds %v", i, ids)
			}
		}
		peers := 0
		for _, d := range all {
			peers += d.Peers()
		}
		if longest > 5*roundTrip {
			t.Errorf("found within %s, want %s", longest, 5*roundTrip)
		}
		t.Logf("found within %s, %s on average, at a round trip of %s; %d peers a table", longest, sum/time.Duration(len(all)), roundTrip, peers/len(all))
	})
}
