// Package alias makes a store of BLAKE3 blobs answer to SHA-256 names as well,
// for clients that speak nothing else. Each blob is kept once, under its BLAKE3
// digest, which is called native here; a table says which native digest a foreign
// one stands for. It does I/O through the store and the table alone. Start reading
// at Blobs.
package alias

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Blobs is a store.Blobs around one that holds native blobs. All methods may be
// called concurrently.
//
// An alias is written after its blob, so that a stop between the two leaves a blob
// too many and never a wrong name. An alias whose blob is gone is harmless: what
// is here is always asked of the store underneath.
type Blobs struct {
	under   store.Blobs
	table   table
	waiting waiting
}

var (
	_ store.Blobs   = (*Blobs)(nil)
	_ store.Checker = (*Blobs)(nil)
)

// New returns the store that answers to both names. It reads nothing. Losing the
// newest of aliases in an unclean stop costs an upload each. Nobody else may write to
// them.
func New(under store.Blobs, aliases store.KV) *Blobs {
	return &Blobs{under: under, table: table{kv: aliases}}
}

// native reports whether d needs no alias.
func native(d digest.Digest) bool { return d.Function() == digest.BLAKE3 }

func empty(d digest.Digest) bool { return d.Size() == 0 && d == digest.Of(d.Function(), nil) }

// Native returns the native digest of what d names, whether its blob is here or
// not; store.ErrNotFound if nobody has said what d stands for.
func (b *Blobs) Native(_ context.Context, d digest.Digest) (digest.Digest, error) {
	n, err := b.native(d, grain(time.Now()))
	if err != nil {
		return digest.Digest{}, fmt.Errorf("native name of %v: %w", d, err)
	}
	return n, nil
}

// native is Native in the grain now, whose errors have no text: most are to learn that d
// is unknown.
func (b *Blobs) native(d digest.Digest, now uint32) (digest.Digest, error) {
	switch {
	case native(d):
		return d, nil
	case empty(d):
		return digest.Of(digest.BLAKE3, nil), nil
	default:
		return b.table.get(forward(d), digest.BLAKE3, d.Size(), now)
	}
}

// Name returns the digest of a native blob in the function fn. Unless it is known
// the blob is read and hashed, once, and both directions are remembered;
// store.ErrNotFound if it is not here.
func (b *Blobs) Name(ctx context.Context, d digest.Digest, fn digest.Function) (digest.Digest, error) {
	switch {
	case d.Function() == fn:
		return d, nil
	case empty(d):
		return digest.Of(fn, nil), nil
	case !native(d):
		return digest.Digest{}, fmt.Errorf("%v name of %v: it is no native digest", fn, d)
	}
	known, err := b.table.get(backward(d, fn), fn, d.Size(), grain(time.Now()))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return known, err
	}
	name, err := b.hash(ctx, d, fn)
	if err == nil {
		err = b.note(name, d)
	}
	if err == nil {
		err = b.table.put(backward(d, fn), name)
	}
	if err != nil {
		return digest.Digest{}, fmt.Errorf("%v name of %v: %w", fn, d, err)
	}
	return name, nil
}

func (b *Blobs) hash(ctx context.Context, d digest.Digest, fn digest.Function) (digest.Digest, error) {
	r, err := b.under.Open(ctx, d)
	if err != nil {
		return digest.Digest{}, err
	}
	defer r.Close()
	h := digest.NewHasher(fn)
	if _, err := io.CopyBuffer(h, io.NewSectionReader(r, 0, d.Size()), make([]byte, min(copyBuffer, d.Size()))); err != nil {
		return digest.Digest{}, err
	}
	if h.Size() != d.Size() {
		return digest.Digest{}, fmt.Errorf("%d bytes: %w", h.Size(), store.ErrCorrupt)
	}
	return h.Sum(), nil
}

// unasked is the size up to which a blob is stored without a look whether it has an
// alias: most have none, and to learn that takes as long as to write one again.
const unasked = 16 << 10

// copyBuffer is the size of one read while a blob is hashed, in bytes.
const copyBuffer = 256 << 10

// Note remembers that foreign stands for n. Whoever calls it vouches for it: the
// blob need not be here, and is not read. What is known already stays, since most
// of that was hashed here. Sizes that differ are store.ErrMismatch.
func (b *Blobs) Note(foreign, n digest.Digest) error {
	if native(foreign) || !native(n) || foreign.Size() != n.Size() {
		return fmt.Errorf("note %v as %v: %w", n, foreign, store.ErrMismatch)
	}
	if empty(foreign) {
		return nil
	}
	_, err := b.native(foreign, grain(time.Now()))
	if errors.Is(err, store.ErrNotFound) {
		err = b.note(foreign, n)
	}
	if err != nil {
		return fmt.Errorf("note %v as %v: %w", n, foreign, err)
	}
	return nil
}

func (b *Blobs) note(foreign, n digest.Digest) error {
	if err := b.table.put(forward(foreign), n); err != nil {
		return err
	}
	b.waiting.came(foreign, n)
	return nil
}

// Has implements store.Blobs. The alias of a blob that is here counts as used.
func (b *Blobs) Has(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	return b.ask(ds, func(ns []digest.Digest) ([]bool, error) { return b.under.Has(ctx, ns) })
}

// ask asks has for the native names of ds; what has none is not here.
func (b *Blobs) ask(ds []digest.Digest, has func([]digest.Digest) ([]bool, error)) ([]bool, error) {
	here := make([]bool, len(ds))
	asked := make([]digest.Digest, 0, len(ds))
	at := make([]int, 0, len(ds))
	now := grain(time.Now())
	for i, d := range ds {
		n, err := b.native(d, now)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("has %v: %w", d, err)
		}
		asked, at = append(asked, n), append(at, i)
	}
	known, err := has(asked)
	if err != nil {
		return nil, err
	}
	for i, ok := range known {
		here[at[i]] = ok
	}
	return here, nil
}

// Open implements store.Blobs.
func (b *Blobs) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	n, err := b.Native(ctx, d)
	if err != nil {
		return nil, err
	}
	return b.under.Open(ctx, n)
}

// Check implements store.Checker.
func (b *Blobs) Check(ctx context.Context, d digest.Digest) error {
	n, err := b.Native(ctx, d)
	if err != nil {
		return err
	}
	return store.Recheck(ctx, b.under, n)
}

// Put implements store.Blobs. The bytes of a foreign name are read once, hashed
// with both functions on the way.
func (b *Blobs) Put(ctx context.Context, d digest.Digest, r io.Reader) error {
	if native(d) {
		return b.under.Put(ctx, d, r)
	}
	c := &checked{r: r, want: d, h: digest.NewHasher(d.Function())}
	if d.Size() > unasked {
		known, err := b.native(d, grain(time.Now()))
		if err == nil {
			return b.putKnown(ctx, known, c)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("put %v: %w", d, err)
		}
	}
	n, err := b.under.Add(ctx, digest.BLAKE3, c)
	if err == nil && !empty(d) {
		err = b.note(d, n)
	}
	if err != nil {
		return fmt.Errorf("put %v: %w", d, err)
	}
	return nil
}

// putKnown keeps what an alias names. Content that is foreign's and yet not the
// alias's shows that the alias is wrong: it goes, and the next Put succeeds.
func (b *Blobs) putKnown(ctx context.Context, n digest.Digest, c *checked) error {
	err := b.under.Put(ctx, n, c)
	if err == nil || !errors.Is(err, store.ErrMismatch) || c.end != io.EOF { //nolint:errorlint // as checked sets it
		return err
	}
	return errors.Join(fmt.Errorf("put %v: was noted as %v: %w", c.want, n, err), b.table.delete(forward(c.want)))
}

// Add implements store.Blobs.
func (b *Blobs) Add(ctx context.Context, fn digest.Function, r io.Reader) (digest.Digest, error) {
	if fn == digest.BLAKE3 {
		return b.under.Add(ctx, fn, r)
	}
	h := digest.NewHasher(fn)
	n, err := b.under.Add(ctx, digest.BLAKE3, io.TeeReader(r, h))
	if err != nil {
		return digest.Digest{}, err
	}
	d := h.Sum()
	if empty(d) {
		return d, nil
	}
	if err := b.note(d, n); err != nil {
		return digest.Digest{}, fmt.Errorf("add %v: %w", d, err)
	}
	return d, nil
}

// checked reads r and ends in store.ErrMismatch, not io.EOF, if the whole was not
// want: so that the store underneath keeps nothing of it.
type checked struct {
	r    io.Reader
	want digest.Digest
	h    *digest.Hasher
	end  error // set once
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	n, err := c.r.Read(p)
	_, _ = c.h.Write(p[:n])
	switch {
	case c.h.Size() > c.want.Size():
		c.end = store.ErrMismatch
	case err == io.EOF:
		c.end = c.verdict()
	default:
		return n, err
	}
	return n, c.end
}

func (c *checked) verdict() error {
	if c.h.Sum() != c.want {
		return store.ErrMismatch
	}
	return io.EOF
}
