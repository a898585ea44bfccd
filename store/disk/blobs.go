package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// copyBuffer is the size of one read while a blob is written or hashed, in bytes.
const copyBuffer = 256 << 10

// Has implements store.Blobs.
func (s *Store) Has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	here := make([]bool, len(ds))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for i, d := range ds {
		b, ok := s.ix.blobs[d]
		if ok {
			s.ix.use(b, now)
		}
		here[i] = ok || empty(d)
	}
	return here, nil
}

// Open implements store.Blobs.
func (s *Store) Open(_ context.Context, d digest.Digest) (store.Reader, error) {
	if empty(d) {
		return memory{bytes.NewReader(nil)}, nil
	}
	s.mu.Lock()
	b, ok := s.ix.blobs[d]
	if !ok {
		s.stats.Misses++
		s.mu.Unlock()
		return nil, fmt.Errorf("open %v: %w", d, store.ErrNotFound)
	}
	s.stats.Hits++
	s.ix.use(b, s.now())
	verified := b.generation == s.generation
	s.mu.Unlock()

	r, err := s.check(d, verified)
	if err != nil {
		return nil, s.broken(d, err)
	}
	return r, nil
}

// Check implements store.Checker.
func (s *Store) Check(_ context.Context, d digest.Digest) error {
	if empty(d) {
		return nil
	}
	r, err := s.check(d, false)
	if err != nil {
		return s.broken(d, err)
	}
	return r.Close()
}

// check returns a reader of what is kept under d, which it hashes first if it
// is doubtful.
func (s *Store) check(d digest.Digest, verified bool) (store.Reader, error) {
	if verified {
		if content, ok := s.recent.of(d); ok {
			return memory{bytes.NewReader(content)}, nil
		}
	}
	r, err := s.read(d)
	if err != nil {
		return nil, err
	}
	if !verified {
		if err := s.verify(d, r); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// read returns a reader of what is kept under d, unverified.
func (s *Store) read(d digest.Digest) (store.Reader, error) {
	if d.Size() <= smallBlob {
		content, err := s.get(blobKey(d))
		if err != nil {
			return nil, err
		}
		if int64(len(content)) != d.Size() {
			return nil, store.ErrCorrupt
		}
		return memory{bytes.NewReader(content)}, nil
	}
	f, err := s.fs.Open(s.filePath(d))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Size() != d.Size() {
		return nil, errors.Join(store.ErrCorrupt, f.Close())
	}
	return f, nil
}

// verify hashes a blob that an unclean stop made doubtful.
func (s *Store) verify(d digest.Digest, r store.Reader) error {
	h := digest.NewHasher(d.Function())
	if _, err := io.CopyBuffer(h, io.NewSectionReader(r, 0, d.Size()), make([]byte, min(copyBuffer, d.Size()))); err != nil {
		return err
	}
	if h.Sum() != d {
		return store.ErrCorrupt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.ix.blobs[d]; ok {
		b.generation, b.dirty = s.generation, true
	}
	return nil
}

// broken says what an error of reading a blob means, and drops the blob if it
// is no good. It may have been dropped and come back meanwhile, so that it is
// read again while nobody can do either.
func (s *Store) broken(d digest.Digest, err error) error {
	if !bad(err) {
		return fmt.Errorf("open %v: %w", d, err)
	}
	way := s.way(d)
	way.Lock()
	defer way.Unlock()
	if !s.holds(d) {
		return fmt.Errorf("open %v: %w", d, store.ErrNotFound) // evicted meanwhile
	}
	r, again := s.check(d, false)
	if again == nil {
		_ = r.Close()
		return fmt.Errorf("open %v: %w", d, store.ErrNotFound) // as at that moment
	}
	if !bad(again) {
		return fmt.Errorf("open %v: %w", d, again)
	}
	s.forget(d)
	s.log.Warn("stored blob is corrupt; dropped", "digest", d, "error", err)
	if err := s.eraseHeld(d); err != nil {
		s.log.Warn("corrupt blob stays on disk", "digest", d, "error", err)
	}
	// Whoever can do without a blob that is not here can do without this one.
	return fmt.Errorf("open %v: %w: %w", d, store.ErrCorrupt, store.ErrNotFound)
}

// bad reports whether err of reading a blob speaks of the blob, not of the disk.
func bad(err error) bool {
	return errors.Is(err, pebble.ErrNotFound) || isNotExist(err) || errors.Is(err, store.ErrCorrupt)
}

// forget takes a corrupt blob out of the index.
func (s *Store) forget(d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.ix.blobs[d]; ok {
		s.ix.remove(b)
		s.stats.Corrupt++
	}
}

// Put implements store.Blobs.
func (s *Store) Put(ctx context.Context, d digest.Digest, r io.Reader) error {
	if s.sound(d) {
		return nil
	}
	if cost(d.Size()) > s.max {
		return fmt.Errorf("put %v: %w: its bound is %d bytes; give the node more room with cache.max in node.yaml", d, store.ErrFull, s.max)
	}
	// One byte more than there may be shows that there is too much.
	got, err := s.write(ctx, d.Function(), io.LimitReader(r, d.Size()+1), d)
	if err != nil {
		return fmt.Errorf("put %v: %w", d, err)
	}
	if got != d {
		return fmt.Errorf("put %v: %w", d, store.ErrMismatch)
	}
	return nil
}

// sound reports whether d is here beyond doubt, and uses it. A blob that an
// unclean stop made doubtful is better written again than trusted.
func (s *Store) sound(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.ix.blobs[d]
	if ok = ok && b.generation == s.generation; ok {
		s.ix.use(b, s.now())
	}
	return ok || empty(d)
}

// Add implements store.Blobs.
func (s *Store) Add(ctx context.Context, fn digest.Function, r io.Reader) (digest.Digest, error) {
	d, err := s.write(ctx, fn, r, digest.Digest{})
	if err != nil {
		return digest.Digest{}, fmt.Errorf("add a blob: %w", err)
	}
	return d, nil
}

// heads are the first bytes of blobs that are being written: most have no more.
var heads = sync.Pool{New: func() any { return new([smallBlob + 1]byte) }}

// write keeps what r holds and returns its digest. If want is not zero, it
// keeps nothing but want.
func (s *Store) write(ctx context.Context, fn digest.Function, r io.Reader, want digest.Digest) (digest.Digest, error) {
	pooled := heads.Get().(*[smallBlob + 1]byte)
	defer heads.Put(pooled)
	head := pooled[:]
	if !want.IsZero() {
		head = head[:min(smallBlob, want.Size())+1]
	}
	n, err := io.ReadFull(r, head)
	switch {
	case err == nil:
		return s.writeFile(ctx, fn, io.MultiReader(bytes.NewReader(head), r), want)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return s.writeSmall(digest.Of(fn, head[:n]), head[:n], want)
	default:
		return digest.Digest{}, err
	}
}

func (s *Store) writeSmall(d digest.Digest, content []byte, want digest.Digest) (digest.Digest, error) {
	if !want.IsZero() && d != want || empty(d) {
		return d, nil
	}
	if s.sound(d) {
		return d, nil
	}
	if err := s.reserve(cost(d.Size())); err != nil {
		return digest.Digest{}, err
	}
	way := s.way(d)
	way.Lock()
	defer way.Unlock()
	b := &blob{digest: d, generation: s.generation, used: s.now()}
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }()
	_ = batch.Set(blobKey(d), content, nil)
	_ = batch.Set(indexKey(d), b.record(), nil)
	if err := batch.Commit(pebble.NoSync); err != nil {
		s.unreserve(cost(d.Size()))
		return digest.Digest{}, full(err)
	}
	s.recent.add(d, content)
	s.keep(b)
	return d, nil
}

func (s *Store) writeFile(ctx context.Context, fn digest.Function, r io.Reader, want digest.Digest) (_ digest.Digest, err error) {
	temp, f, err := s.temp()
	if err != nil {
		return digest.Digest{}, full(err)
	}
	w := &reserving{s: s, f: f, held: blobOverhead, h: digest.NewHasher(fn), ctx: ctx}
	done := false
	defer func() {
		if !done {
			s.unreserve(w.held)
			_ = f.Close()
			_ = s.fs.Remove(temp)
		}
	}()
	if err := s.reserve(w.held); err != nil {
		w.held = 0
		return digest.Digest{}, err
	}
	if _, err := io.CopyBuffer(w, onlyReader{r}, make([]byte, copyBuffer)); err != nil {
		return digest.Digest{}, full(err)
	}
	d := w.h.Sum()
	if !want.IsZero() && d != want {
		return d, nil
	}
	if err := f.Close(); err != nil {
		return digest.Digest{}, full(err)
	}
	done = true
	if err := s.settle(d, temp); err != nil {
		s.unreserve(w.held)
		_ = s.fs.Remove(temp)
		return digest.Digest{}, full(err)
	}
	return d, nil
}

// settle moves a written file to its place and into the index; the room is
// reserved.
func (s *Store) settle(d digest.Digest, temp string) error {
	way := s.way(d)
	way.Lock()
	defer way.Unlock()
	path := s.filePath(d)
	if err := s.fs.MkdirAll(s.fs.PathDir(path), 0o700); err != nil {
		return err
	}
	if err := s.fs.Rename(temp, path); err != nil {
		return err
	}
	b := &blob{digest: d, generation: s.generation, used: s.now()}
	if err := s.db.Set(indexKey(d), b.record(), pebble.NoSync); err != nil {
		return err
	}
	s.keep(b)
	return nil
}

// keep enters a blob whose room is reserved.
func (s *Store) keep(b *blob) {
	defer s.pushSoon()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, twice := s.ix.blobs[b.digest]; twice {
		s.ix.bytes -= cost(b.digest.Size()) // the same bytes were written before
		old.generation, old.dirty = b.generation, true
		s.ix.use(old, s.now())
		return
	}
	s.ix.add(b)
	if !s.ix.came(b, b.used) {
		s.stats.Unkept++
	}
}

func (s *Store) temp() (string, vfs.File, error) {
	s.mu.Lock()
	s.temps++
	path := s.path(tempDir, strconv.FormatUint(s.temps, 10))
	s.mu.Unlock()
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	return path, f, err
}

// reserving writes to a file, hashes, and reserves room as it goes.
type reserving struct {
	s    *Store
	f    vfs.File
	h    *digest.Hasher
	held int64
	ctx  context.Context
}

// Write implements io.Writer.
func (w *reserving) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if err := w.s.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	w.held += int64(len(p))
	// Hashed first: a vfs.File may change what it is given.
	_, _ = w.h.Write(p)
	return w.f.Write(p)
}

// onlyReader hides WriterTo, which would pass by the buffer's size.
type onlyReader struct{ io.Reader }

// memory is a small blob being read.
type memory struct{ *bytes.Reader }

// Close implements io.Closer.
func (memory) Close() error { return nil }
