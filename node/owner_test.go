package node_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/nodetest"
)

func TestOwnerSaysWhatOthersMayUse(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 4, "")
	before, err := n.Client.Status(t.Context())
	if err != nil || before.Lent.Slots != 4 || before.Lent.Share != 1 || before.Lent.Yield || before.Lent.Means == "" {
		t.Errorf("at first: %+v, %v", before.Lent, err)
	}
	half, on := 0.5, true
	lent, err := n.Client.Lend(t.Context(), api.LendRequest{Share: &half})
	if err != nil || lent.Slots != 2 || lent.Of != 4 || lent.Text != "2 of 4 slots: the owner's share" || lent.Why != "share" {
		t.Errorf("half: %+v, %v", lent, err)
	}
	after, err := n.Client.Status(t.Context())
	if err != nil || !cmp.Equal(after.Lent, lent) {
		t.Errorf("status tells %+v, %v", after.Lent, err)
	}
	if lent, err = n.Client.Lend(t.Context(), api.LendRequest{Yield: &on}); err != nil || !lent.Yield || lent.Share != 0.5 {
		t.Errorf("yield: %+v, %v", lent, err)
	}
	s, err := config.LoadSettings(n.Home)
	if err != nil || s.Share != 0.5 || s.Yield != config.On || !s.ShareReduced {
		t.Errorf("node.yaml holds %+v, %v", s, err)
	}
	var refused *api.Error
	none := 0.0
	if _, err := n.Client.Lend(t.Context(), api.LendRequest{Share: &none}); !errors.As(err, &refused) || refused.Kind != api.Invalid {
		t.Errorf("a share of nothing: %v", err)
	}
}

// Each of two changes at once holds, of the one and the other setting.
func TestOwnerChangesTwoSettingsAtOnce(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 4, "")
	for i := range 20 {
		share, on := 0.25+0.25*float64(i%2), i%2 == 0
		var changes sync.WaitGroup
		for _, r := range []api.LendRequest{{Share: &share}, {Yield: &on}} {
			changes.Go(func() {
				if _, err := n.Client.Lend(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		changes.Wait()
		now, err := n.Client.Status(t.Context())
		if err != nil || now.Lent.Share != share || now.Lent.Yield != on {
			t.Fatalf("%d: it lends %+v, %v", i, now.Lent, err)
		}
		s, err := config.LoadSettings(n.Home)
		if err != nil || s.Share != share || (s.Yield == config.On) != on {
			t.Fatalf("%d: node.yaml holds %+v, %v", i, s, err)
		}
	}
}
