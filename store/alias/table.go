package alias

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// shelfBytes of a key's hash choose its shelf: there are 65,536 in each
	// direction, and they are bounded one by one, so that nobody ever has to look
	// at the whole table.
	shelfBytes = 2
	// perShelf aliases stay on a shelf when it is swept: 2 million in all, some
	// 200 MB, more than the blobs of a store of 20 GB at 10 KiB each.
	perShelf = 32
	// sweepOdds is one in how many writes sweeps the shelf that it wrote to.
	sweepOdds = 16
	// useGrain is how exactly the last use is known: a read writes it at most once
	// in this time.
	useGrain = time.Hour

	sumBytes   = 8
	stampBytes = 4
	valueBytes = sumBytes + stampBytes + digest.HashSize
	afterShelf = digest.HashSize + 8 - shelfBytes
)

// table keeps the two directions. A value is a checksum that covers the key, the
// last use in grains since 1970, and the hash: the size is the key's.
//
// Nobody else writes to kv, since what is there is remembered. What a sweep drops may
// be remembered for a grain: it is as true as before.
type table struct {
	kv     store.KV
	recent recent
}

// key is a direction, for the second the function of the name, and a digest.
type key [2 + digest.BinarySize]byte

// forward is the key of what a foreign digest stands for.
func forward(d digest.Digest) (k key) {
	d.AppendBinary(append(k[:0], '>'))
	return k
}

// backward is the key of what a native digest is called in fn.
func backward(d digest.Digest, fn digest.Function) (k key) {
	d.AppendBinary(append(k[:0], '<', byte(fn)))
	return k
}

func (k key) bytes() []byte {
	if k[0] == '>' {
		return bytes.Clone(k[:len(k)-1])
	}
	return bytes.Clone(k[:])
}

// get returns the digest under k, which is of fn and size, and uses it in the grain now;
// store.ErrNotFound if there is none. A damaged one is none.
func (t *table) get(k key, fn digest.Function, size int64, now uint32) (digest.Digest, error) {
	d, ok, writes := t.recent.of(k, now)
	if ok {
		return d, nil
	}
	key := k.bytes()
	raw, err := t.kv.Get(key)
	if err != nil {
		return digest.Digest{}, err
	}
	if !sound(key, raw) {
		return digest.Digest{}, store.ErrNotFound
	}
	if d, err = digest.New(fn, raw[sumBytes+stampBytes:], size); err != nil {
		return digest.Digest{}, err
	}
	if stamp(raw) != now {
		if err := t.kv.Put(key, value(key, d, now)); err != nil {
			return d, err
		}
	}
	t.recent.add(k, used{d, now}, writes)
	return d, nil
}

func (t *table) put(k key, d digest.Digest) error {
	key := k.bytes()
	err := t.kv.Put(key, value(key, d, grain(time.Now())))
	t.recent.written(k)
	if err != nil {
		return err
	}
	if rand.IntN(sweepOdds) > 0 {
		return nil
	}
	return t.sweep(key[:len(key)-afterShelf])
}

func (t *table) delete(k key) error {
	err := t.kv.Delete(k.bytes())
	t.recent.written(k)
	return err
}

// sweep drops from a shelf what was used longest ago.
func (t *table) sweep(shelf []byte) error {
	type item struct {
		key  []byte
		used uint32
	}
	var items []item
	err := t.kv.Scan(shelf, func(key, raw []byte) bool {
		it := item{key: key}
		if sound(key, raw) {
			it.used = stamp(raw)
		}
		items = append(items, it)
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.used, b.used), bytes.Compare(a.key, b.key))
	})
	for len(items) > perShelf {
		if err := t.kv.Delete(items[0].key); err != nil {
			return err
		}
		items = items[1:]
	}
	return nil
}

func grain(t time.Time) uint32 { return uint32(t.Unix() / int64(useGrain/time.Second)) }

func value(key []byte, d digest.Digest, used uint32) []byte {
	b := make([]byte, sumBytes, valueBytes)
	b = binary.BigEndian.AppendUint32(b, used)
	hash := d.Hash()
	b = append(b, hash[:]...)
	check := sum(key, b[sumBytes:])
	copy(b, check[:])
	return b
}

func stamp(raw []byte) uint32 { return binary.BigEndian.Uint32(raw[sumBytes:]) }

func sound(key, raw []byte) bool {
	return len(raw) == valueBytes && [sumBytes]byte(raw) == sum(key, raw[sumBytes:])
}

func sum(key, rest []byte) [sumBytes]byte {
	var room [2*digest.BinarySize + valueBytes]byte // without it each would allocate
	hash := digest.Of(digest.BLAKE3, append(append(room[:0], key...), rest...)).Hash()
	return [sumBytes]byte(hash[:])
}
