// Package dht finds blobs on the mesh and brings them here, verified. Where a
// blob lies is known to the members that rendezvous names for its digest, and
// for large blobs and roots of action results to kad-dht (dht/kad) as well.
// The deciding parts (dht/rendezvous, locations, dht/swarm) are pure; DHT drives them.
// Start reading at DHT.Fetch.
package dht

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"golang.org/x/sync/semaphore"

	"github.com/buildnet/buildnet/dht/kad"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// Protocol is the stream protocol of this package.
const Protocol = "/buildnet/blobs/1"

// Reader reads one blob. ReadAt may be called concurrently with itself.
type Reader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Blobs is the local store. Put keeps nothing and returns an error if the
// content is not d's; it may leave r unread if d is here. All methods may be
// called concurrently.
type Blobs interface {
	Has(ctx context.Context, ds []digest.Digest) ([]bool, error)
	Open(ctx context.Context, d digest.Digest) (Reader, error)
	Put(ctx context.Context, d digest.Digest, r io.Reader) error
}

// Options are what a DHT needs; the fields from RTT on may be left out.
type Options struct {
	Self    peer.ID
	Network peer.Network
	Blobs   Blobs
	// Members returns the alive members, this node included.
	Members func() []peer.ID

	RTT func(peer.ID) time.Duration
	// Host runs kad-dht. Without one, rendezvous alone finds blobs.
	Host host.Host
	// OnCorrupt is told of each answer with other bytes than asked for. It
	// must not block.
	OnCorrupt func(peer.ID, digest.Digest)
	// Keep is Has for peers that ask for blobs to stay for a while; nil is Has.
	Keep func(ctx context.Context, ds []digest.Digest) ([]bool, error)
	// Native returns what the store calls a blob whose digest is of another function,
	// or an error if it does not know; nil knows none.
	Native func(ctx context.Context, d digest.Digest) (digest.Digest, error)
	// Landlord keeps what members lease; nil keeps nothing for them.
	Landlord Landlord
	Log      *slog.Logger
}

// Stats counts since New.
type Stats struct {
	BytesIn, BytesOut int64
	BlobsIn           int64
	// Requests sent to peers, of every kind, and Hedges among them.
	Requests, Hedges int64
	// Corrupt counts answers with other bytes than asked for, by peer.
	Corrupt map[peer.ID]int
}

// DHT is one node's part in finding and moving blobs. All methods may be
// called concurrently.
type DHT struct {
	opts     Options
	kad      *kad.DHT // nil: off
	table    *locations
	lanes    *lanes
	bulk     *bulk
	blame    *blame
	provided *announcements
	served   *admission
	outlines *outlines
	ranks    ranks
	large    *semaphore.Weighted // large blobs on their way

	mu      sync.Mutex
	givers  [kinds]peer.ID // who gave small blobs of each kind last
	flights map[digest.Digest]*flight
	// landings counts the flights that have ended.
	landings int64
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
	if opts.OnCorrupt == nil {
		opts.OnCorrupt = func(peer.ID, digest.Digest) {}
	}
	if opts.Keep == nil {
		opts.Keep = opts.Blobs.Has
	}
	if opts.Native == nil {
		opts.Native = func(context.Context, digest.Digest) (digest.Digest, error) { return digest.Digest{}, errUnnamed }
	}
	if opts.Landlord == nil {
		opts.Landlord = withoutLeases{opts.Blobs}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	d := &DHT{
		opts:     opts,
		table:    newLocations(),
		bulk:     newBulk(opts.Network),
		blame:    newBlame(),
		provided: newAnnouncements(),
		served:   newAdmission(),
		outlines: newOutlines(opts.Blobs),
		large:    semaphore.NewWeighted(maxLarge),
		flights:  map[digest.Digest]*flight{},
	}
	d.lanes = newLanes(opts.Network, d.blame.ended)
	if opts.Host != nil {
		d.kad = kad.New(opts.Host, kad.Options{Log: opts.Log})
	}
	opts.Network.Handle(Protocol, d.serve)
	return d, nil
}

// Owners returns the n members that keep the locations of key, best first.
func (d *DHT) Owners(key digest.Digest, n int) []peer.ID {
	return d.ranks.of(d.opts.Members(), key, n)
}

// Stats returns a copy of the counts.
func (d *DHT) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Corrupt = d.blame.counts()
	return s
}

func (d *DHT) count(f func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

func (d *DHT) member() func(peer.ID) bool {
	ids := map[peer.ID]bool{}
	for _, id := range d.opts.Members() {
		ids[id] = true
	}
	return func(id peer.ID) bool { return ids[id] }
}

// corrupt notes that id answered with other bytes than those of key.
func (d *DHT) corrupt(id peer.ID, key digest.Digest) {
	if d.blame.corrupt(time.Now(), id) == 1 {
		d.opts.Log.Warn("peer answered with other bytes than asked for; it is asked last for a while",
			"peer", id, "digest", key, "for", quarantine)
	}
	d.opts.OnCorrupt(id, key)
}
