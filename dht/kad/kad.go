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
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// Prefix is in front of kad-dht's protocol names.
	Prefix protocol.ID = "/buildnet"
	// maxKept records are kept written; more are dropped: rendezvous knows
	// them all the same.
	maxKept = 50_000
	// gather is how long new records are collected: written together they cost
	// one search for the peers of a region, and not one each.
	gather = 2 * time.Second
	// again is when records are offered again after the DHT took none, as when
	// no peer is connected yet.
	again = 5 * time.Second
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
	news chan struct{} // holds a token while fresh or gone is not empty

	mu          sync.Mutex
	routing     *dht.IpfsDHT // nil when Run does not run
	kept        map[digest.Digest]struct{}
	fresh, gone []multihash.Multihash // what the provider is yet to be told
}

// New returns a DHT on h.
func New(h host.Host, opts Options) *DHT {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &DHT{host: h, log: opts.Log, news: make(chan struct{}, 1), kept: map[digest.Digest]struct{}{}}
}

// Provide writes, soon and again before the records age, that this node holds
// ds.
func (d *DHT) Provide(ds ...digest.Digest) {
	d.update(func() {
		for _, key := range ds {
			if _, ok := d.kept[key]; !ok && len(d.kept) < maxKept {
				d.kept[key] = struct{}{}
				d.fresh = append(d.fresh, key.CID().Hash())
			}
		}
	})
}

// Withdraw ends the writing of ds. Records age and go by themselves.
func (d *DHT) Withdraw(ds ...digest.Digest) {
	d.update(func() {
		for _, key := range ds {
			if _, ok := d.kept[key]; ok {
				delete(d.kept, key)
				d.gone = append(d.gone, key.CID().Hash())
			}
		}
	})
}

func (d *DHT) update(f func()) {
	d.mu.Lock()
	f()
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
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
	defer func() { err = errors.Join(err, stopped("kad-dht", routing.Close())) }()
	sweep, err := provider.New(
		provider.WithHost(d.host), provider.WithRouter(patient{routing, d.host.ID()}), provider.WithMessageSender(routing.MessageSender()),
		provider.WithSelfAddrs(routing.FilteredAddrs), provider.WithReplicationFactor(routing.BucketSize()),
		provider.WithConnectivityCheckOnlineInterval(again))
	if err != nil {
		return fmt.Errorf("start the provider of kad-dht: %w", err)
	}
	defer func() { err = errors.Join(err, stopped("the provider of kad-dht", sweep.Close())) }()
	d.set(routing)
	defer d.set(nil)
	d.tellLoop(ctx, sweep)
	return nil
}

func stopped(what string, err error) error {
	if err != nil {
		return fmt.Errorf("stop %s: %w", what, err)
	}
	return nil
}

func (d *DHT) set(r *dht.IpfsDHT) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.routing = r
}

// tellLoop tells the provider what is new, gathered, and again after it could
// take nothing.
func (d *DHT) tellLoop(ctx context.Context, sweep *provider.SweepingProvider) {
	wake := time.After(0) // nil while nothing is gathered
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.news:
			if wake == nil {
				wake = time.After(gather)
			}
		case <-wake:
			wake = nil
			if err := d.tell(sweep); err != nil {
				d.log.Debug("records wait to be written", "error", err)
				wake = time.After(again)
			}
		}
	}
}

func (d *DHT) tell(sweep *provider.SweepingProvider) error {
	d.mu.Lock()
	fresh, gone := d.fresh, d.gone
	d.fresh, d.gone = nil, nil
	d.mu.Unlock()
	if len(gone) > 0 {
		if err := sweep.StopProviding(gone...); err != nil {
			d.log.Debug("records go on being written", "error", err)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	// Forced, for those that the provider knows but could not write before.
	if err := sweep.StartProviding(true, fresh...); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fresh = append(fresh, d.fresh...)
		return fmt.Errorf("write %d records: %w", len(fresh), err)
	}
	return nil
}
