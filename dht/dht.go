// Package dht finds blobs on the mesh and brings them here, verified. Where a
// blob lies is known to the members that rendezvous names for its digest. The
// deciding parts (rank, locations) do no I/O; DHT drives them. Start reading
// at DHT.Fetch.
package dht

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// Protocol is the stream protocol of this package.
const Protocol = "/buildnet/blobs/1"

// Reader reads one blob.
type Reader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Blobs is the local store. Put keeps nothing if the content is not d's; it
// may leave r unread if d is here. All methods may be called concurrently.
type Blobs interface {
	Has(ctx context.Context, ds []digest.Digest) ([]bool, error)
	Open(ctx context.Context, d digest.Digest) (Reader, error)
	Put(ctx context.Context, d digest.Digest, r io.Reader) error
}

// Options are what a DHT needs; RTT and Log may be nil.
type Options struct {
	Self    peer.ID
	Network peer.Network
	Blobs   Blobs
	// Members returns the alive members, this node included.
	Members func() []peer.ID
	RTT     func(peer.ID) time.Duration
	Log     *slog.Logger
}

// Stats counts since New.
type Stats struct {
	BytesIn, BytesOut int64
	// Corrupt counts answers with other bytes than asked for, by peer.
	Corrupt map[peer.ID]int
}

// DHT is one node's part in finding and moving blobs. All methods may be
// called concurrently.
type DHT struct {
	opts  Options
	table *locations
	conns *conns
	news  chan struct{} // holds a token while pending is not empty

	mu       sync.Mutex
	pending  map[digest.Digest]struct{}
	provided map[digest.Digest]struct{}
	flights  map[digest.Digest]*flight
	stats    Stats
}

// New returns a DHT that serves peers and fetches at once, and announces while
// Run runs.
func New(opts Options) (*DHT, error) {
	if opts.Self == "" || opts.Network == nil || opts.Blobs == nil || opts.Members == nil {
		return nil, errors.New("new dht: Self, Network, Blobs and Members are required")
	}
	if opts.RTT == nil {
		opts.RTT = func(peer.ID) time.Duration { return 0 }
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	d := &DHT{
		opts: opts, table: newLocations(), conns: newConns(opts.Network), news: make(chan struct{}, 1),
		pending: map[digest.Digest]struct{}{}, provided: map[digest.Digest]struct{}{},
		flights: map[digest.Digest]*flight{}, stats: Stats{Corrupt: map[peer.ID]int{}},
	}
	opts.Network.Handle(Protocol, d.serve)
	return d, nil
}

// Owners returns the n members that keep the locations of key, best first.
func (d *DHT) Owners(key digest.Digest, n int) []peer.ID { return rank(d.opts.Members(), key, n) }

// Stats returns a copy of the counts.
func (d *DHT) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Corrupt = make(map[peer.ID]int, len(d.stats.Corrupt))
	for id, n := range d.stats.Corrupt {
		s.Corrupt[id] = n
	}
	return s
}

func (d *DHT) member() func(peer.ID) bool {
	ids := map[peer.ID]bool{}
	for _, id := range d.opts.Members() {
		ids[id] = true
	}
	return func(id peer.ID) bool { return ids[id] }
}

func (d *DHT) quarantined(id peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats.Corrupt[id] > 0
}

func (d *DHT) blame(id peer.ID, what digest.Digest) {
	d.mu.Lock()
	d.stats.Corrupt[id]++
	first := d.stats.Corrupt[id] == 1
	d.mu.Unlock()
	if first {
		d.opts.Log.Warn("peer answered with other bytes than asked for; nothing more is fetched from it", "peer", id, "digest", what)
	}
}
