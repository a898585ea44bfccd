// Package collect looks after the store of a running node: what nobody used for
// long goes, and what others have a copy of goes before what may be the last in the
// mesh. What members lease stays meanwhile (Tenants). Making room for what comes is
// the store's own. It does I/O through the store and the mesh. Start reading at
// Collector.Run.
package collect

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

const (
	// ageEvery is how often it is looked for what is too old. The first time comes
	// as late: the clock of a machine that has just started may be wrong.
	ageEvery = time.Hour
	// brinkEvery is how often others are asked for copies of what is to go next,
	// and brink how many blobs that are: with 41 bytes each, three owners of
	// locations hear 130 KB in all, and only while things go.
	brinkEvery = time.Minute
	brink      = 1024
)

// Store is the node's store.
type Store interface {
	Stats() disk.Stats
	// Collect drops what was unused for longer than age and nobody leases; 0 is for
	// ever. It writes the times of use.
	Collect(ctx context.Context, age time.Duration) (freed int64, err error)
	// Brink returns at most n blobs that are to go first, of those that are not
	// Copied.
	Brink(n int) []digest.Digest
	// Copied says that others have a copy, so that this one goes sooner.
	Copied(ds ...digest.Digest)
}

// Mesh knows what others have.
type Mesh interface {
	// Holders returns members that said that they hold a blob, without this node.
	Holders(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]peer.ID, error)
	// Have asks a member, to which blobs that it has count as used.
	Have(ctx context.Context, id peer.ID, ds []digest.Digest) ([]bool, error)
}

// Options are all required but Log.
type Options struct {
	Self  peer.ID
	Store Store
	Mesh  Mesh
	// MaxAge is how long a blob stays that nobody uses; 0 is for ever.
	MaxAge time.Duration
	Log    *slog.Logger
}

// Collector is one node's.
type Collector struct {
	opts Options
	gone int64 // blobs that had made room when others were last asked; owned by Run
}

// New returns a Collector that does nothing before Run.
func New(opts Options) *Collector {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{opts: opts}
}

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	age, edge := time.NewTicker(ageEvery), time.NewTicker(brinkEvery)
	defer age.Stop()
	defer edge.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-age.C:
			c.age(ctx)
		case <-edge.C:
			c.askForCopies(ctx)
		}
	}
}

// age drops what is too old. It is asked for even where nothing is, for the sake of
// the times of use.
func (c *Collector) age(ctx context.Context) {
	freed, err := c.opts.Store.Collect(ctx, c.opts.MaxAge)
	if err != nil && ctx.Err() == nil {
		c.opts.Log.Warn("what is too old stays in the store", "error", err)
	}
	if freed > 0 {
		c.opts.Log.Info("dropped what nobody used for long", "bytes", freed, "age", c.opts.MaxAge)
	}
}

// askForCopies asks others for what is to go next, while things go. Of several
// holders the first by rendezvous keeps its copy, and asks nobody; that it is asked
// is a use, which keeps it longer still.
func (c *Collector) askForCopies(ctx context.Context) {
	gone := c.opts.Store.Stats().Evicted
	if gone == c.gone {
		return
	}
	c.gone = gone
	ds := c.opts.Store.Brink(brink)
	holders, err := c.opts.Mesh.Holders(ctx, ds)
	if err != nil {
		return // ctx has ended
	}
	ask := map[peer.ID][]digest.Digest{}
	for _, d := range ds {
		if keeper := rendezvous.Rank(append(slices.Clone(holders[d]), c.opts.Self), d, 1)[0]; keeper != c.opts.Self {
			ask[keeper] = append(ask[keeper], d)
		}
	}
	for id, ds := range ask {
		has, err := c.opts.Mesh.Have(ctx, id, ds)
		if err != nil {
			c.opts.Log.Debug("holder did not answer", "peer", id, "error", err)
			continue
		}
		var copied []digest.Digest
		for i, ok := range has {
			if ok {
				copied = append(copied, ds[i])
			}
		}
		c.opts.Store.Copied(copied...)
	}
}
