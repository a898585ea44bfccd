package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// reserve makes room for n bytes by dropping what is to go first and nobody
// leases.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	s.ix.bytes += n
	victims := s.victims()
	fits := s.ix.bytes <= s.max
	s.mu.Unlock()
	for _, d := range victims {
		if err := s.erase(d); err != nil {
			s.unreserve(n)
			return fmt.Errorf("make room: %w", err)
		}
	}
	if !fits {
		s.unreserve(n)
		return fmt.Errorf("%w: its bound is %d bytes and running builds, or clients that were promised it, need what is in it; give the node more room with cache.max in node.yaml, or try again when they are through", store.ErrFull, s.max)
	}
	if err := s.diskHasRoom(n); err != nil {
		s.unreserve(n)
		return err
	}
	return nil
}

const (
	// ample is so much room that nobody fills it within usageHolds.
	ample      = 512 << 20
	usageHolds = 100 * time.Millisecond
)

// diskHasRoom checks the disk itself, for writes that matter. While it has
// ample room it is asked ten times a second, and not for each small blob.
func (s *Store) diskHasRoom(n int64) error {
	if s.amply(n) {
		return nil
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		return nil //nolint:nilerr // not every file system says; the write itself will
	}
	s.mu.Lock()
	s.room, s.roomAt = int64(usage.AvailBytes)-min(minFree, int64(usage.TotalBytes/4)), time.Now()
	s.mu.Unlock()
	if int64(usage.AvailBytes) < n+min(minFree, int64(usage.TotalBytes/4)) {
		return fmt.Errorf("%w: the disk that holds %s has %d bytes left; free some, or run `buildnet cache clear`", store.ErrFull, s.dir, usage.AvailBytes)
	}
	return nil
}

// amply reports whether there was ample room a moment ago, and takes n of it.
func (s *Store) amply(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room-n < ample || time.Since(s.roomAt) >= usageHolds {
		return false
	}
	s.room -= n
	return true
}

func (s *Store) unreserve(n int64) {
	s.mu.Lock()
	s.ix.bytes -= n
	s.mu.Unlock()
}

// victims takes blobs out of the index until it fits; the caller erases them.
func (s *Store) victims() []digest.Digest {
	var gone []digest.Digest
	for now := s.now(); s.ix.bytes > s.max; {
		b := s.ix.next(now)
		if b == nil {
			break
		}
		s.ix.remove(b)
		s.stats.Evicted++
		gone = append(gone, b.digest)
	}
	return gone
}

// erase removes a blob that is no longer in the index from the disk, unless it
// has come back meanwhile.
func (s *Store) erase(d digest.Digest) error {
	way := s.way(d)
	way.Lock()
	defer way.Unlock()
	if s.holds(d) {
		return nil
	}
	return s.eraseHeld(d)
}

// eraseHeld is erase for a caller who holds d's way.
func (s *Store) eraseHeld(d digest.Digest) error {
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }()
	_ = batch.Delete(indexKey(d), nil)
	if d.Size() <= smallBlob {
		_ = batch.Delete(blobKey(d), nil)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("erase %v: %w", d, err)
	}
	if d.Size() > smallBlob {
		if err := s.fs.Remove(s.filePath(d)); err != nil && !isNotExist(err) {
			return fmt.Errorf("erase %v: %w", d, err)
		}
	}
	return nil
}

// full makes store.ErrFull of a full disk.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w; free some of the disk, or run `buildnet cache clear`", store.ErrFull, err)
	}
	return err
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Report is what Verify found.
type Report struct {
	Blobs   int
	Bytes   int64
	Corrupt []digest.Digest // dropped
}

// Verify hashes every blob and drops those that are no good.
func (s *Store) Verify(ctx context.Context) (Report, error) {
	var rep Report
	for _, d := range s.digests() {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		r, err := s.check(d, false)
		if err == nil {
			_ = r.Close()
		} else {
			err = s.broken(d, err)
		}
		switch {
		case err == nil:
			rep.Blobs++
			rep.Bytes += d.Size()
		case errors.Is(err, store.ErrCorrupt):
			rep.Corrupt = append(rep.Corrupt, d)
		case errors.Is(err, store.ErrNotFound): // evicted meanwhile
		default:
			return rep, fmt.Errorf("verify: %w", err)
		}
	}
	return rep, nil
}

// Clear drops every blob that is not leased, and returns how many bytes of
// blobs went.
func (s *Store) Clear(ctx context.Context) (int64, error) {
	freed, err := s.drop(ctx, s.digests())
	if err != nil {
		return freed, fmt.Errorf("clear: %w", err)
	}
	return freed, nil
}

// Drop drops those of the blobs that are not leased.
func (s *Store) Drop(ctx context.Context, ds ...digest.Digest) error {
	if _, err := s.drop(ctx, ds); err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, ds []digest.Digest) (freed int64, err error) {
	for _, d := range ds {
		if err := ctx.Err(); err != nil {
			return freed, err
		}
		s.mu.Lock()
		b, ok := s.ix.blobs[d]
		if ok = ok && !s.ix.wanted(b, s.now()); ok {
			s.ix.remove(b)
		}
		s.mu.Unlock()
		if !ok {
			continue
		}
		if err := s.erase(d); err != nil {
			return freed, err
		}
		freed += d.Size()
	}
	return freed, nil
}

func (s *Store) digests() []digest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	ds := make([]digest.Digest, 0, len(s.ix.blobs))
	for d := range s.ix.blobs {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, digest.Digest.Compare)
	return ds
}
