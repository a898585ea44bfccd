//go:build unix

package dht_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2ppeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// quic is a peer.Network of plain libp2p streams, so that the code meets real
// ones too.
type quic struct{ host.Host }

func (q quic) Open(ctx context.Context, to peer.ID, p string) (peer.Stream, error) {
	id, err := libp2ppeer.Decode(string(to))
	if err != nil {
		return nil, err
	}
	s, err := q.NewStream(ctx, id, protocol.ID(p))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", peer.ErrUnreachable, err)
	}
	return quicStream{s}, nil
}

func (q quic) Handle(p string, h peer.Handler) {
	q.SetStreamHandler(protocol.ID(p), func(s network.Stream) {
		h(context.Background(), peer.ID(s.Conn().RemotePeer().String()), quicStream{s})
		_ = s.Close()
	})
}

type quicStream struct{ network.Stream }

func quicWorld(t testing.TB, n int) (*world, []peer.ID) {
	t.Helper()
	w := &world{dhts: map[peer.ID]*dht.DHT{}, shelfs: map[peer.ID]*shelf{}}
	var hosts []host.Host
	var ids []peer.ID
	for range n {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableRelay())
		if err != nil {
			t.Fatal(err)
		}
		hosts, ids = append(hosts, h), append(ids, peer.ID(h.ID().String()))
	}
	for i, a := range hosts {
		for _, b := range hosts[:i] {
			if err := a.Connect(t.Context(), libp2ppeer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, id := range ids {
		w.shelfs[id] = &shelf{blobs: map[digest.Digest][]byte{}}
		d, err := dht.New(dht.Options{Self: id, Network: quic{hosts[i]}, Blobs: w.shelfs[id], Members: func() []peer.ID { return ids }})
		if err != nil {
			t.Fatal(err)
		}
		w.dhts[id] = d
		running.Go(func() { _ = d.Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, h := range hosts {
			_ = h.Close()
		}
	})
	return w, ids
}

func TestBlobsMoveOverQUIC(t *testing.T) {
	w, ids := quicWorld(t, 3)
	a, holders := ids[0], ids[1:]
	var ds []digest.Digest
	for i, size := range []int{10, 100, 2 << 20, 9 << 20} {
		for _, id := range holders {
			w.shelfs[id].add(noise(uint64(i), size))
		}
		ds = append(ds, digest.Of(digest.BLAKE3, noise(uint64(i), size)))
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := w.dhts[a].Fetch(t.Context(), ds, holders); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, d := range ds {
		if !w.shelfs[a].holds(d) {
			t.Errorf("%v is not here", d)
		}
	}
	if s := w.dhts[a].Stats(); s.BlobsIn != int64(len(ds)) {
		t.Errorf("%d blobs moved, want %d", s.BlobsIn, len(ds))
	}
}

func BenchmarkQUIC(b *testing.B) {
	w, ids := quicWorld(b, 3)
	a, holders := ids[0], ids[1:]
	var small []digest.Digest
	for i := range 4000 {
		small = append(small, w.shelfs[ids[1]].add(noise(uint64(i), 2<<10)))
	}
	large := w.shelfs[ids[1]].add(noise(1, 64<<20))
	w.shelfs[ids[2]].add(noise(1, 64<<20))
	for name, bench := range map[string]struct {
		ds    []digest.Digest
		from  []peer.ID
		bytes int64
	}{
		"4000of2KiB":        {small, holders[:1], 4000 * 2 << 10},
		"64MiB/1holder":     {[]digest.Digest{large}, holders[:1], 64 << 20},
		"64MiB/2holders":    {[]digest.Digest{large}, holders, 64 << 20},
		"oneBlobRoundTrips": {small[:1], holders[:1], 2 << 10},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bench.bytes)
			before := cpu()
			defer func() { reportCPU(b, before, bench.bytes) }()
			for b.Loop() {
				s := w.shelfs[a]
				s.mu.Lock()
				clear(s.blobs)
				s.mu.Unlock()
				if _, err := w.dhts[a].Fetch(b.Context(), bench.ds, bench.from); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
