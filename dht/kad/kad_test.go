package kad_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/buildnet/buildnet/dht/kad"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// mesh returns nodes on loopback, each connected to the one before, whose
// DHTs run.
func mesh(t testing.TB, n int) ([]host.Host, []*kad.DHT) {
	t.Helper()
	var hosts []host.Host
	var dhts []*kad.DHT
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range n {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableRelay())
		if err != nil {
			t.Fatal(err)
		}
		d := kad.New(h, kad.Options{})
		hosts, dhts = append(hosts, h), append(dhts, d)
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, h := range hosts {
			_ = h.Close()
		}
	})
	for i := 1; i < n; i++ {
		before := libp2ppeer.AddrInfo{ID: hosts[i-1].ID(), Addrs: hosts[i-1].Addrs()}
		if err := hosts[i].Connect(ctx, before); err != nil {
			t.Fatal(err)
		}
	}
	return hosts, dhts
}

// eventually waits for the world, which here is real sockets.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}

func TestRecordsAreFoundAcrossTheMesh(t *testing.T) {
	hosts, dhts := mesh(t, 4)
	for _, d := range dhts {
		eventually(t, "a peer in the table", func() bool { return d.Peers() > 0 })
	}
	root := digest.Of(digest.BLAKE3, []byte("root"))
	dhts[0].Provide(root)
	want := peer.ID(hosts[0].ID().String())
	eventually(t, "the record is found", func() bool {
		ids := dhts[3].Holders(t.Context(), root, 8)
		return len(ids) == 1 && ids[0] == want
	})
	if ids := dhts[3].Holders(t.Context(), digest.Of(digest.BLAKE3, []byte("unknown")), 8); len(ids) != 0 {
		t.Errorf("Holders of an unknown digest = %v", ids)
	}
}

func TestNothingHappensUnlessItRuns(t *testing.T) {
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d := kad.New(h, kad.Options{})
	d.Provide(digest.Of(digest.BLAKE3, nil))
	if ids := d.Holders(t.Context(), digest.Of(digest.BLAKE3, nil), 8); ids != nil || d.Peers() != 0 {
		t.Errorf("Holders = %v with %d peers", ids, d.Peers())
	}
	if protocols := h.Mux().Protocols(); len(protocols) > 0 {
		for _, p := range protocols {
			if len(p) > len(kad.Prefix) && p[:len(kad.Prefix)] == kad.Prefix {
				t.Errorf("%s is served before Run", p)
			}
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	const n = 1000
	_, dhts := mesh(b, 4)
	for _, d := range dhts {
		eventually(b, "a peer in the table", func() bool { return d.Peers() > 0 })
	}
	round := 0
	for b.Loop() {
		var ds []digest.Digest
		for i := range n {
			ds = append(ds, digest.Of(digest.BLAKE3, fmt.Append(nil, round, i)))
		}
		round++
		dhts[0].Provide(ds...)
		eventually(b, "every record is found", func() bool {
			for len(ds) > 0 && len(dhts[3].Holders(b.Context(), ds[0], 1)) == 1 {
				ds = ds[1:]
			}
			return len(ds) == 0
		})
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
}
