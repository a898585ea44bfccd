// Package disk is the store of a node: small blobs, indices and state in
// pebble, larger blobs as files. Start reading at Open.
//
// Blobs are not synced: after an unclean stop each is hashed again on its first
// read. State (KV) is synced before Put returns.
package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// smallBlob is the size up to which a blob lies in pebble: beyond it a file
	// is faster to write and to read, see BenchmarkThreshold.
	smallBlob = 16 << 10
	// blobOverhead is what a blob costs beside its bytes: its index and, for
	// a file, half a block.
	blobOverhead = 256
	// minFree is how much of the disk stays free, in bytes: pebble cannot go on
	// after a write that found no room. A quarter of a small disk does.
	minFree = 64 << 20
	// cacheBytes is pebble's block cache.
	cacheBytes = 32 << 20
	// memTableBytes is pebble's memtable; there are two.
	memTableBytes = 16 << 20
)

// Options may be zero.
type Options struct {
	// FS is where the store lies; nil is the machine's file system.
	FS vfs.FS
	// MaxBytes bounds the blobs; 0 is a tenth of the disk.
	MaxBytes int64
	Log      *slog.Logger
}

// ErrLocked says that another process, or another part of this one, has the
// store open.
var ErrLocked = errors.New("store is in use")

// Store is a store on disk. It implements store.Blobs, store.Leaser and
// store.Keeper.
type Store struct {
	dir string
	fs  vfs.FS
	max int64
	log *slog.Logger
	db  *pebble.DB
	// lasting counts the writes going on that have to outlive the machine's death.
	lasting atomic.Int64

	unlock func()
	opened time.Time
	// generation counts unclean stops: a blob of an earlier one is unverified.
	generation uint64

	// ways order the writing and the erasing of one digest. Unlike other locks
	// they are held over I/O: what they order is the I/O.
	ways [64]sync.Mutex

	recent recent

	mu sync.Mutex
	ix *index
	// temps numbers temporary files.
	temps uint64
	stats Stats
	// room is what the disk had at roomAt, without what was written since.
	room   int64
	roomAt time.Time
	// keys are those of each namespace.
	keys map[string]*keys
	// closed is set by Close, pushing while a push is to come.
	closed, pushing bool
	// asides are pushes that are to come, and what else goes on beside the calls:
	// Close waits for them.
	asides sync.WaitGroup
}

var (
	_ store.Blobs   = (*Store)(nil)
	_ store.Leaser  = (*Store)(nil)
	_ store.Pusher  = (*Store)(nil)
	_ store.Checker = (*Store)(nil)
	_ store.Keeper  = (*Store)(nil)
)

// Open opens the store in dir, which is made if it is not there. It returns
// ErrLocked, with the process that holds it, if the store is open already.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{dir: dir, fs: opts.FS, max: opts.MaxBytes, log: opts.Log, opened: time.Now(), keys: map[string]*keys{}}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []string{dir, s.path(filesDir), s.path(tempDir)} {
		if err := s.fs.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	unlock, err := lock(s.fs, dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.unlock = unlock
	if err := s.open(); err != nil {
		unlock()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if s.max == 0 {
		usage, err := s.fs.GetDiskUsage(s.dir)
		if err != nil {
			return fmt.Errorf("measure the disk: %w", err)
		}
		s.max = int64(usage.TotalBytes / 10)
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS: walFS{s.fs, &s.lasting}, Cache: cache, MemTableSize: memTableBytes, Logger: pebbleLog{s.log},
		FormatMajorVersion: pebble.FormatNewest,
	}
	// Most keys that are asked for are not there: a filter says so without a look
	// into each table. 10 bits a key let one of 100 pass.
	opts.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	db, err := pebble.Open(s.path("pebble"), opts)
	if err != nil {
		return err
	}
	s.db = db
	// pebble syncs what is in its directory; that the directory is there at all
	// is for its maker to sync.
	for _, d := range []string{s.dir, s.fs.PathDir(s.dir)} {
		if err := syncDir(s.fs, d); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := s.load(); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// Close flushes what is in memory. Open readers stay valid if they are of
// files.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.asides.Wait()
	err := s.saveUse()
	if err == nil {
		err = s.last(func(o *pebble.WriteOptions) error { return s.db.Set(cleanKey, []byte{1}, o) })
	}
	err = errors.Join(err, s.db.Close())
	s.unlock()
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// Stats describes a store.
type Stats struct {
	Blobs int
	// Bytes are those that count against MaxBytes.
	Bytes    int64
	MaxBytes int64
	Leased   int
	// Kept are the bytes of blobs here that Keep promised to keep; Unkept counts
	// those for which there was no promise left.
	Kept, Unkept int64
	// Aged counts blobs that Collect dropped.
	Aged int64
	// Hits and Misses count Opens, Evicted and Corrupt blobs, since Open.
	Hits, Misses, Evicted, Corrupt int64
}

// Stats returns what the store holds now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	s.ix.expire(s.now())
	st.Blobs, st.Bytes, st.MaxBytes, st.Leased, st.Kept = len(s.ix.blobs), s.ix.bytes, s.max, len(s.ix.leases), s.ix.kept
	return st
}

// pebbleLog passes pebble's errors on and drops its narration.
type pebbleLog struct{ log *slog.Logger }

func (pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("pebble", "error", fmt.Sprintf(format, args...))
}

// Fatalf is called when pebble cannot go on without lying about durability.
// The next start finds the store sound.
func (l pebbleLog) Fatalf(format string, args ...any) {
	panic("disk: pebble: " + fmt.Sprintf(format, args...))
}

func syncDir(fs vfs.FS, dir string) error {
	if dir == "" {
		dir = "."
	}
	f, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Store) way(d digest.Digest) *sync.Mutex {
	hash := d.Hash()
	return &s.ways[int(hash[0])%len(s.ways)]
}

// now is the time in Unix nanoseconds. Within one life of the store it never jumps.
func (s *Store) now() int64 { return s.opened.Add(time.Since(s.opened)).UnixNano() }

// apart runs f beside the calls, unless the store is closed.
func (s *Store) apart(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.asides.Go(f)
	}
}

func (s *Store) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Store) holds(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.ix.blobs[d]
	return ok
}

func empty(d digest.Digest) bool { return d.Size() == 0 && d == digest.Of(d.Function(), nil) }
