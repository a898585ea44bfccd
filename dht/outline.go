package dht

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"lukechampine.com/blake3/bao"
	"lukechampine.com/blake3/guts"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// chunkGroup makes chunks of BLAKE3's 1 KiB chunks: 2 to this power.
	chunkGroup = 10
	// chunkSize is what one request of a large blob moves, and what is checked
	// at once on arrival.
	chunkSize = guts.ChunkSize << chunkGroup
	// maxOutlined blobs have outlines; 4 MiB of outline is enough for that.
	// Larger blobs come from one holder at a time, in one piece.
	maxOutlined = 64 << 30
	// maxOutlines bytes of outlines are kept: those of 128 GiB of blobs.
	maxOutlines = 8 << 20
)

var errOutline = errors.New("outline is not that of the digest")

// outlined reports whether d's chunks can be checked one by one: only BLAKE3
// is a tree.
func outlined(d digest.Digest) bool {
	return d.Function() == digest.BLAKE3 && d.Size() > chunkSize && d.Size() <= maxOutlined
}

func outlineSize(d digest.Digest) int { return bao.EncodedSize(int(d.Size()), chunkGroup, true) }

// outlines makes the outlines of local blobs and keeps the latest.
type outlines struct {
	blobs  Blobs
	making singleflight.Group
	// turn lets one outline be made at a time: it costs a core.
	turn *semaphore.Weighted

	mu    sync.Mutex
	byKey map[digest.Digest]*list.Element
	used  list.List // of *outline, most recently used first
	bytes int
}

type outline struct {
	key   digest.Digest
	bytes []byte
}

func newOutlines(b Blobs) *outlines {
	return &outlines{blobs: b, turn: semaphore.NewWeighted(1), byKey: map[digest.Digest]*list.Element{}}
}

// of returns the outline of a local blob. The caller does not change it.
func (o *outlines) of(ctx context.Context, key digest.Digest) ([]byte, error) {
	if b, ok := o.kept(key); ok {
		return b, nil
	}
	b, err, _ := o.making.Do(key.String(), func() (any, error) { return o.make(ctx, key) })
	if err != nil {
		return nil, fmt.Errorf("outline of %v: %w", key, err)
	}
	return b.([]byte), nil
}

func (o *outlines) kept(key digest.Digest) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.byKey[key]
	if !ok {
		return nil, false
	}
	o.used.MoveToFront(e)
	return e.Value.(*outline).bytes, true
}

func (o *outlines) make(ctx context.Context, key digest.Digest) ([]byte, error) {
	if err := o.turn.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer o.turn.Release(1)
	has, err := o.blobs.Has(ctx, []digest.Digest{key})
	if err != nil {
		return nil, err
	}
	if !has[0] {
		return nil, errAbsent
	}
	r, err := o.blobs.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make(writerAt, outlineSize(key))
	root, err := bao.Encode(b, r, key.Size(), chunkGroup, true)
	if err != nil {
		return nil, err
	}
	if root != key.Hash() {
		return nil, fmt.Errorf("stored bytes have another hash: %w", errOutline)
	}
	o.keep(key, b)
	return b, nil
}

func (o *outlines) keep(key digest.Digest, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.byKey[key]; ok {
		return
	}
	o.byKey[key] = o.used.PushFront(&outline{key, b})
	o.bytes += len(b)
	for o.bytes > maxOutlines {
		oldest := o.used.Remove(o.used.Back()).(*outline)
		delete(o.byKey, oldest.key)
		o.bytes -= len(oldest.bytes)
	}
}

// writerAt is memory of a fixed length.
type writerAt []byte

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return copy(w[off:], p), nil }

// checkOutline checks every inner hash against key, so that a chunk which does
// not fit the outline later is the fault of the chunk's sender alone.
func checkOutline(key digest.Digest, outline []byte) error {
	if len(outline) != outlineSize(key) || binary.LittleEndian.Uint64(outline) != uint64(key.Size()) {
		return fmt.Errorf("%d bytes: %w", len(outline), errOutline)
	}
	hash := key.Hash()
	rest := outline[8:]
	var check func(want [8]uint32, size uint64, flags uint32) bool
	check = func(want [8]uint32, size uint64, flags uint32) bool {
		if size <= chunkSize {
			return true
		}
		left, right := words(rest[:32]), words(rest[32:64])
		rest = rest[64:]
		if guts.ChainingValue(guts.ParentNode(left, right, &guts.IV, flags)) != want {
			return false
		}
		mid := uint64(1) << (bits.Len64(size-1) - 1)
		return check(left, mid, 0) && check(right, size-mid, 0)
	}
	if !check(words(hash[:]), uint64(key.Size()), guts.FlagRoot) {
		return errOutline
	}
	return nil
}

func words(b []byte) (w [8]uint32) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

func chunks(d digest.Digest) int { return int((d.Size() + chunkSize - 1) / chunkSize) }

// span returns where chunk i of d lies.
func span(d digest.Digest, i int) (offset, length int64) {
	offset = int64(i) * chunkSize
	return offset, min(chunkSize, d.Size()-offset)
}

// chunkFits says whether content is chunk i of key, whose outline was checked.
func chunkFits(key digest.Digest, outline []byte, i int, content []byte) bool {
	offset, length := span(key, i)
	return int64(len(content)) == length && bao.VerifyChunk(content, outline, chunkGroup, uint64(offset), key.Hash())
}
