// Package kad keeps provider records of roots and large blobs in a private
// Kademlia DHT of the mesh's members (go-libp2p-kad-dht), so that their
// holders are found where rendezvous over a partial view of the members no
// longer is enough. Nothing of it speaks to the public DHT: the protocol
// prefix is BuildNet's, and its only peers are those that the host is
// connected to. Start reading at DHT.
package kad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// Prefix is in front of kad-dht's protocol names.
	Prefix protocol.ID = "/buildnet"
	// maxQueued records wait to be written; the oldest wait longest, and new
	// ones beyond this are dropped: rendezvous knows them all the same.
	maxQueued = 10_000
	// maxKept records are written again every rewrite.
	maxKept = 50_000
	// rewrite is how often; kad-dht forgets a record after 48 h.
	rewrite = 12 * time.Hour
	// writers put records at once: each waits for a few round trips.
	writers = 4
	// writeTimeout bounds one record.
	writeTimeout = 10 * time.Second
	// lookupTimeout bounds a look-up: longer than that, making the blob again
	// is likely cheaper.
	lookupTimeout = 2 * time.Second
)

// Options may be left zero.
type Options struct {
	Log *slog.Logger
}

// DHT is a node's part in the Kademlia DHT. All methods may be called
// concurrently; nothing happens but while Run runs.
type DHT struct {
	host host.Host
	log  *slog.Logger
	news chan struct{}

	mu      sync.Mutex
	routing *dht.IpfsDHT // nil when Run does not run
	queue   []digest.Digest
	kept    map[digest.Digest]time.Time // when it is to be written again
}

// New returns a DHT on h.
func New(h host.Host, opts Options) *DHT {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &DHT{host: h, log: opts.Log, news: make(chan struct{}, 1), kept: map[digest.Digest]time.Time{}}
}

// Provide writes, soon, that this node holds ds.
func (d *DHT) Provide(ds ...digest.Digest) {
	d.mu.Lock()
	for _, key := range ds {
		if _, ok := d.kept[key]; ok || len(d.queue) >= maxQueued || len(d.kept) >= maxKept {
			continue
		}
		d.kept[key] = time.Time{}
		d.queue = append(d.queue, key)
	}
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// Withdraw ends the writing of ds. Records age and go by themselves.
func (d *DHT) Withdraw(ds ...digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range ds {
		delete(d.kept, key)
	}
}

// Holders returns at most limit peers that have a record for key, none when
// Run does not run.
func (d *DHT) Holders(ctx context.Context, key digest.Digest, limit int) []peer.ID {
	routing := d.running()
	if routing == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var ids []peer.ID
	for info := range routing.FindProvidersAsync(ctx, key.CID(), limit) {
		if info.ID != d.host.ID() {
			ids = append(ids, peer.ID(info.ID.String()))
		}
	}
	return ids
}

// Peers returns how many peers the routing table holds.
func (d *DHT) Peers() int {
	routing := d.running()
	if routing == nil {
		return 0
	}
	return routing.RoutingTable().Size()
}

func (d *DHT) running() *dht.IpfsDHT {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.routing
}

// Run takes part in the DHT until ctx ends.
func (d *DHT) Run(ctx context.Context) (err error) {
	// The table of peers fills itself with those that the host is connected
	// to, on whatever addresses: the default filters let LAN addresses through.
	routing, err := dht.New(d.host,
		dht.Mode(dht.ModeServer), dht.ProtocolPrefix(Prefix), dht.DisableValues(), dht.BootstrapPeers())
	if err != nil {
		return fmt.Errorf("start kad-dht: %w", err)
	}
	d.set(routing)
	var writing sync.WaitGroup
	defer func() {
		d.set(nil)
		writing.Wait()
		if closeErr := routing.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("stop kad-dht: %w", closeErr))
		}
	}()
	keys := make(chan digest.Digest)
	defer close(keys)
	for range writers {
		writing.Go(func() {
			for key := range keys {
				d.write(ctx, routing, key)
			}
		})
	}
	d.deal(ctx, keys)
	return nil
}

func (d *DHT) set(r *dht.IpfsDHT) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.routing = r
}

// deal gives the writers what is queued and what is due again.
func (d *DHT) deal(ctx context.Context, keys chan<- digest.Digest) {
	again := time.NewTicker(rewrite / 12)
	defer again.Stop()
	for {
		for key, ok := d.pop(); ok; key, ok = d.pop() {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-d.news:
		case <-again.C:
			d.requeue(time.Now())
		}
	}
}

func (d *DHT) pop() (digest.Digest, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return digest.Digest{}, false
	}
	key := d.queue[0]
	d.queue = d.queue[1:]
	return key, true
}

func (d *DHT) requeue(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, due := range d.kept {
		if !due.IsZero() && now.After(due) && len(d.queue) < maxQueued {
			d.kept[key] = time.Time{}
			d.queue = append(d.queue, key)
		}
	}
}

// write puts one record. One that fails is due again with the next round.
func (d *DHT) write(ctx context.Context, routing *dht.IpfsDHT, key digest.Digest) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	due := time.Now().Add(rewrite)
	if err := routing.Provide(ctx, key.CID(), true); err != nil {
		d.log.Debug("record was not written", "digest", key, "error", err)
		due = time.Now()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.kept[key]; ok {
		d.kept[key] = due
	}
}
