package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// gossips are members that say things, and have other blobs.
type gossips struct {
	said map[digest.Digest][]dht.Said
	has  map[digest.Digest][]byte
	into store.Blobs
}

func (g *gossips) Natives(context.Context, []digest.Digest) (map[digest.Digest][]dht.Said, error) {
	return g.said, nil
}

func (g *gossips) Fetch(ctx context.Context, ds []digest.Digest, _ []peer.ID) (int64, error) {
	for _, d := range ds {
		content, ok := g.has[d]
		if !ok {
			return 0, dht.ErrNoHolder
		}
		if err := g.into.Put(ctx, d, bytes.NewReader(content)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func TestWhatMembersSayOfABlobIsHashed(t *testing.T) {
	under := memory.New(1 << 20)
	blobs := alias.New(under, &memory.KV{})
	right, wrong := []byte("right"), []byte("wrong")
	of := digest.Of
	wanted, lied, nowhere := of(digest.SHA256, right), of(digest.SHA256, []byte("other")), of(digest.SHA256, []byte("none!"))
	lie, truth, gone := dht.Said{Native: of(digest.BLAKE3, wrong), By: "liar"}, dht.Said{Native: of(digest.BLAKE3, right), By: "honest"}, dht.Said{Native: of(digest.BLAKE3, []byte("none!")), By: "liar"}
	g := &gossips{
		said: map[digest.Digest][]dht.Said{wanted: {gone, lie, truth}, lied: {lie}},
		has:  map[digest.Digest][]byte{lie.Native: wrong, truth.Native: right}, into: under,
	}
	u := &unnamed{mesh: g, name: blobs.Name, log: slog.New(slog.DiscardHandler), asking: make(chan struct{}, 1)}
	if err := u.fetchAll(t.Context(), []digest.Digest{wanted}); err != nil {
		t.Error(err)
	}
	for _, d := range []digest.Digest{lied, nowhere} {
		if err := u.fetchAll(t.Context(), []digest.Digest{wanted, d}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: %v", d, err)
		}
	}
	here, err := blobs.Has(t.Context(), []digest.Digest{wanted, lied, nowhere})
	if err != nil || !here[0] || here[1] || here[2] {
		t.Errorf("here are %v, %v", here, err)
	}
}
