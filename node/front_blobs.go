package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
)

// frontBlobs are the blobs that clients name, here and in the mesh.
type frontBlobs struct {
	*alias.Blobs
	parts *parts
	// unnamed brings those of which nobody has said here what they are.
	unnamed *unnamed
}

func newFrontBlobs(p *parts, log *slog.Logger) *frontBlobs {
	named := p.named()
	return &frontBlobs{Blobs: named, parts: p, unnamed: &unnamed{mesh: p.dht, name: named.Name, log: log, asking: make(chan struct{}, maxAsking)}}
}

// named is the store under native and clients' names.
func (p *parts) named() *alias.Blobs { return alias.New(p.store, p.store.CacheKV("alias")) }

var _ cas.Mesh = (*frontBlobs)(nil)

// Known implements cas.Mesh. Whoever has a blob keeps it for its lease.
func (f *frontBlobs) Known(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	known := make([]bool, len(ds))
	if f.parts.solitary() {
		return known, nil
	}
	natives := make([]digest.Digest, len(ds))
	var asked []digest.Digest
	for i, d := range ds {
		native, err := f.Native(ctx, d)
		switch {
		case err == nil:
			natives[i] = native
			asked = append(asked, native)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	gone, err := f.parts.dht.Keep(ctx, asked)
	if err != nil {
		return nil, err
	}
	lost := make(map[digest.Digest]bool, len(gone))
	for _, d := range gone {
		lost[d] = true
	}
	for i, native := range natives {
		known[i] = !native.IsZero() && !lost[native]
	}
	return known, nil
}

// Fetch implements cas.Mesh.
func (f *frontBlobs) Fetch(ctx context.Context, ds []digest.Digest) error {
	if f.parts.solitary() {
		return fmt.Errorf("fetch for a client: %w", store.ErrNotFound)
	}
	natives := make([]digest.Digest, 0, len(ds))
	var unnamed []digest.Digest
	for _, d := range ds {
		native, err := f.Native(ctx, d)
		if err != nil {
			unnamed = append(unnamed, d)
			continue
		}
		natives = append(natives, native)
	}
	unknown := f.unnamed.fetchAll(ctx, unnamed)
	_, err := f.parts.dht.Fetch(ctx, natives, nil)
	switch {
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("fetch for a client: %w", err)
	case err != nil:
		return fmt.Errorf("fetch for a client: %w: %w", err, store.ErrNotFound)
	}
	return unknown
}

// bring fetches what the mesh has of native blobs.
func (f *frontBlobs) bring(ctx context.Context, natives []digest.Digest) error {
	if f.parts.solitary() {
		return nil
	}
	_, _ = f.parts.dht.Fetch(ctx, natives, nil) // whoever asked looks what has come
	return ctx.Err()
}
