package kad

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/provider"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

// pause is how long a look-up that failed takes at least.
const pause = time.Second

// patient is a router whose failures take time. The provider writes a record
// again as soon as its look-up has failed, until it next checks whether it is
// online: with nobody to ask, a failure takes no time, and so it kept a
// processor busy for seconds. Whether it is online it finds out by looking for
// itself, with pauses of its own.
type patient struct {
	router provider.KadClosestPeersRouter
	self   libp2p.ID
}

var _ provider.KadClosestPeersRouter = patient{}

// GetClosestPeers returns the peers that are closest to a key.
func (p patient) GetClosestPeers(ctx context.Context, key string) ([]libp2p.ID, error) {
	began := time.Now()
	ids, err := p.router.GetClosestPeers(ctx, key)
	if err == nil || key == string(p.self) {
		return ids, err
	}
	rest := time.NewTimer(pause - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return nil, err
}
