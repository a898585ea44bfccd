package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/buildnet/buildnet/store/digest"
)

// Where things lie: files below the store's directory, keys in pebble.
const (
	filesDir = "files"
	tempDir  = "tmp"
)

var (
	cleanKey      = []byte("m/clean")
	generationKey = []byte("m/generation")
	indexPrefix   = []byte("i/")
	blobPrefix    = []byte("b/")
	indexEnd      = []byte("i0") // after every key with indexPrefix
)

func indexKey(d digest.Digest) []byte { return d.AppendBinary(append([]byte(nil), indexPrefix...)) }
func blobKey(d digest.Digest) []byte  { return d.AppendBinary(append([]byte(nil), blobPrefix...)) }

// record is generation and time of use, in Unix seconds.
func (b *blob) record() []byte {
	return binary.AppendVarint(binary.AppendUvarint(nil, b.generation), b.used/int64(time.Second))
}

// load reads the index. After an unclean stop it makes it agree with the files
// and distrusts all of them.
func (s *Store) load() error {
	s.ix = newIndex(s.max)
	clean, err := s.has(cleanKey)
	if err != nil {
		return err
	}
	if err := s.loadGeneration(clean); err != nil {
		return err
	}
	var blobs []*blob
	now := s.now()
	err = s.scan(indexPrefix, indexEnd, func(key, value []byte) bool {
		d, err := digest.FromBinary(key[len(indexPrefix):])
		if err != nil {
			return true // not written by this version; its bytes are found as an orphan
		}
		b := &blob{digest: d}
		var n int
		b.generation, n = binary.Uvarint(value)
		used, _ := binary.Varint(value[max(n, 0):])
		b.used = now
		if used > 0 { // earlier versions left it out of blobs that a kill made doubtful
			b.used = min(used*int64(time.Second), now) // the clock may have been set back
		}
		blobs = append(blobs, b)
		return true
	})
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if !clean {
		if blobs, err = s.reconcile(blobs); err != nil {
			return err
		}
	}
	sortByUse(blobs)
	for _, b := range blobs {
		s.ix.add(b)
		s.ix.bytes += cost(b.digest.Size())
	}
	return s.clearTemps()
}

func (s *Store) loadGeneration(clean bool) error {
	value, err := s.get(generationKey)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	s.generation, _ = binary.Uvarint(value)
	if !clean {
		s.generation++
	}
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }()
	_ = b.Set(generationKey, binary.AppendUvarint(nil, s.generation), nil)
	_ = b.Delete(cleanKey, nil)
	return s.last(b.Commit)
}

// reconcile drops blobs without their file and takes in files without a blob.
func (s *Store) reconcile(blobs []*blob) ([]*blob, error) {
	files := map[digest.Digest]bool{}
	dirs, err := s.fs.List(s.path(filesDir))
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	for _, dir := range dirs {
		names, err := s.fs.List(s.path(filesDir, dir))
		if err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		for _, name := range names {
			path := s.path(filesDir, dir, name)
			d, ok := digestOfFile(name)
			info, err := s.fs.Stat(path)
			if !ok || err != nil || info.Size() != d.Size() {
				_ = s.fs.Remove(path)
				continue
			}
			files[d] = true
		}
	}
	kept := blobs[:0]
	for _, b := range blobs {
		if !b.file() || files[b.digest] {
			kept = append(kept, b)
			delete(files, b.digest)
			continue
		}
		if err := s.db.Delete(indexKey(b.digest), pebble.NoSync); err != nil {
			return nil, fmt.Errorf("drop %v: %w", b.digest, err)
		}
	}
	for d := range files {
		kept = append(kept, &blob{digest: d, used: s.now()})
	}
	return kept, nil
}

func (s *Store) clearTemps() error {
	names, err := s.fs.List(s.path(tempDir))
	if err != nil {
		return fmt.Errorf("list temporary files: %w", err)
	}
	for _, name := range names {
		if err := s.fs.Remove(s.path(tempDir, name)); err != nil {
			return fmt.Errorf("remove an abandoned file: %w", err)
		}
	}
	return nil
}

// filePath is files/SH/FUNCTION-HASH-SIZE.
func (s *Store) filePath(d digest.Digest) string {
	name := d.Function().String() + "-" + d.Hex() + "-" + strconv.FormatInt(d.Size(), 10)
	return filepath.Join(s.dir, filesDir, d.Hex()[:2], name)
}

func digestOfFile(name string) (digest.Digest, bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return digest.Digest{}, false
	}
	fn, err := digest.ParseFunction(parts[0])
	if err != nil {
		return digest.Digest{}, false
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return digest.Digest{}, false
	}
	d, err := digest.FromHex(fn, parts[1], size)
	return d, err == nil
}

// saveUse writes the times of use that have changed.
func (s *Store) saveUse() error {
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }()
	s.mu.Lock()
	for _, bl := range s.ix.blobs {
		if bl.dirty {
			_ = b.Set(indexKey(bl.digest), bl.record(), nil)
			bl.dirty = false
		}
	}
	s.mu.Unlock()
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("save times of use: %w", err)
	}
	return nil
}

func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte(nil), value...), nil
}

func (s *Store) has(key []byte) (bool, error) {
	_, err := s.get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) scan(from, to []byte, f func(key, value []byte) bool) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if !f(it.Key(), value) {
			break
		}
	}
	return it.Error()
}
