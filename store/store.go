// Package store says what a content-addressed store is. The store on disk is
// store/disk, the one in memory store/memory, and store/storetest is what both
// must pass; a check, a limit or a count around a store is a type that holds a
// Blobs and is one. Start reading at Blobs.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/buildnet/buildnet/store/digest"
)

var (
	// ErrNotFound says that the store does not hold the blob.
	ErrNotFound = errors.New("blob not found")
	// ErrMismatch says that the bytes given are not those of the digest. It
	// speaks of the giver; the store is unchanged.
	ErrMismatch = errors.New("content does not match its digest")
	// ErrCorrupt says that bytes which the store had kept are no longer those
	// of their digest. The blob is gone when this is returned: such an error
	// matches ErrNotFound too.
	ErrCorrupt = errors.New("stored blob is corrupt")
	// ErrFull says that the store's bound, or the disk, leaves no room even
	// after everything that may go has gone.
	ErrFull = errors.New("store is full")
)

// Reader reads one blob. ReadAt may be called concurrently with itself.
type Reader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Blobs is a content-addressed store. All methods may be called concurrently.
// Bytes passed in or out are never shared with the caller.
//
// The empty blob of each hash function always exists.
type Blobs interface {
	// Has says for each digest, in order, whether its blob is here. A blob
	// that is counts as used.
	Has(ctx context.Context, ds []digest.Digest) ([]bool, error)

	// Open returns a reader of the whole blob; the caller closes it. It
	// returns ErrNotFound if the blob is not here, ErrCorrupt if it was and its
	// bytes had changed. A blob stays readable through an open Reader even if
	// the store drops it.
	Open(ctx context.Context, d digest.Digest) (Reader, error)

	// Put keeps what r holds under d. If the content is not d's, it keeps
	// nothing and returns ErrMismatch. If d is here already, r may be left
	// unread. Put returns ErrFull if there is no room.
	Put(ctx context.Context, d digest.Digest, r io.Reader) error

	// Add keeps what r holds and returns its digest: one read both hashes and
	// stores, so that the name is that of the bytes stored.
	Add(ctx context.Context, fn digest.Function, r io.Reader) (digest.Digest, error)
}

// Checker is a Blobs that can be made to look at a blob again.
type Checker interface {
	// Check reads the whole blob. It drops it and returns ErrCorrupt if its
	// bytes have changed since it came.
	Check(ctx context.Context, d digest.Digest) error
}

// Recheck has b look at a blob whose bytes somebody found to be wrong, so that
// the next one does not get them.
func Recheck(ctx context.Context, b Blobs, d digest.Digest) error {
	if c, ok := b.(Checker); ok {
		return c.Check(ctx, d)
	}
	return fmt.Errorf("blob %v: %w", d, ErrCorrupt)
}

// Lease keeps blobs from being collected while something needs them.
type Lease interface {
	// Hold adds blobs to the lease. Those that are not here yet are held from
	// the moment they come.
	Hold(ds ...digest.Digest)
	// Release lets go of all of them. It may be called twice.
	Release()
}

// Leaser gives leases.
type Leaser interface {
	Lease() Lease
}

// Keeper is a Blobs that promises to keep blobs.
type Keeper interface {
	// Keep is Has that also promises: blobs that are here stay until then at least,
	// and those that are not, when they come. A store bounds how much it promises; what is beyond that is here and may go
	// like any other blob. A promise ends when its process does: who relies on one
	// asks again, or has lost blobs made again.
	Keep(ctx context.Context, until time.Time, ds []digest.Digest) ([]bool, error)
}

// Pusher is what keeps writes in this process's memory for a while.
type Pusher interface {
	// Push returns when what was written before outlives the death of this process.
	Push() error
}

// ReadAll returns the blob's bytes. A blob of more than limit bytes is refused
// before it is read.
func ReadAll(ctx context.Context, b Blobs, d digest.Digest, limit int64) ([]byte, error) {
	if d.Size() > limit {
		return nil, fmt.Errorf("read %v: larger than the limit of %d bytes", d, limit)
	}
	r, err := b.Open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", d, err)
	}
	defer r.Close()
	content := make([]byte, d.Size())
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, fmt.Errorf("read %v: %w", d, err)
	}
	return content, nil
}

// AddBytes keeps content under its BLAKE3 digest.
func AddBytes(ctx context.Context, b Blobs, content []byte) (digest.Digest, error) {
	d := digest.Of(digest.BLAKE3, content)
	return d, b.Put(ctx, d, bytes.NewReader(content))
}
