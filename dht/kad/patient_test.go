package kad

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

var errAlone = errors.New("no peer in the table")

// alone is the router of a node without peers.
type alone struct{}

func (alone) GetClosestPeers(context.Context, string) ([]libp2p.ID, error) { return nil, errAlone }

func TestFailedLookupsTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := (patient{alone{}, "self"}).GetClosestPeers(t.Context(), "key"); !errors.Is(err, errAlone) {
			t.Errorf("GetClosestPeers = %v", err)
		}
		if took := time.Since(began); took != pause {
			t.Errorf("it failed after %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		if _, err := (patient{alone{}, "self"}).GetClosestPeers(ctx, "key"); !errors.Is(err, errAlone) || time.Since(began) > 0 {
			t.Errorf("whoever does not wait got %v after %v", err, time.Since(began))
		}
	})
}
