package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxAsking bounds unnamed.asking.
const maxAsking = 4

// unnamed brings blobs of which nobody has said here what the store calls them: a client
// has uploaded them to another node. Members say it, and nobody believes them: what comes
// is hashed by the client's function before it has the name.
type unnamed struct {
	mesh saying
	// name hashes a native blob that is here, as alias.Blobs does.
	name func(ctx context.Context, native digest.Digest, fn digest.Function) (digest.Digest, error)
	log  *slog.Logger
	// asking has those who ask the members: all of them hear each question.
	asking chan struct{}
}

// saying is a dht.DHT.
type saying interface {
	Natives(ctx context.Context, ds []digest.Digest) (map[digest.Digest][]dht.Said, error)
	Fetch(ctx context.Context, ds []digest.Digest, hints []peer.ID) (bytes int64, err error)
}

// fetchAll brings ds. It returns store.ErrNotFound if that is not all.
func (u *unnamed) fetchAll(ctx context.Context, ds []digest.Digest) error {
	if len(ds) == 0 {
		return nil
	}
	select {
	case u.asking <- struct{}{}:
		defer func() { <-u.asking }()
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	said, err := u.mesh.Natives(ctx, ds)
	if err != nil {
		return err //nolint:wrapcheck // says what it did
	}
	var unknown error
	for _, d := range ds {
		if err := u.fetch(ctx, d, said[d]); err != nil {
			unknown = err
		}
	}
	return unknown
}

// fetch brings that of what members say which is d.
func (u *unnamed) fetch(ctx context.Context, d digest.Digest, said []dht.Said) error {
	for _, s := range said {
		if _, err := u.mesh.Fetch(ctx, []digest.Digest{s.Native}, []peer.ID{s.By}); errors.Is(err, store.ErrFull) {
			return fmt.Errorf("fetch %v for a client: %w", d, err)
		}
		name, err := u.name(ctx, s.Native, d.Function())
		switch {
		case err == nil && name == d:
			return nil
		case err == nil:
			u.log.Warn("a blob is not what a member says", "peer", s.By, "digest", d, "native", s.Native)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return fmt.Errorf("fetch %v for a client: %w", d, store.ErrNotFound)
}
