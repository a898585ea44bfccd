package disk

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

const (
	// patience is how many looks of a namespace find nothing before its keys are
	// read: a short process never reads them.
	patience = 256
	// wordKeys is how many keys share a word of a filter at most, and fewKeys are
	// those of the smallest. What was read costs 4 to 8 bytes a key then, and when as
	// much has come since, one look of a hundred for a key that is not there passes.
	wordKeys, fewKeys = 4, 1 << 12
)

// keys knows of most keys that a namespace does not have that it does not, without a
// look into pebble. Such a look takes 10 us where much was written lately: into each of a
// dozen tables, and in the last of them, where most keys are, past the filter, which
// pebble's Get does not use there. All handles of a namespace share one. Its zero value
// knows nothing.
type keys struct {
	in       atomic.Pointer[filters]
	misses   atomic.Int64 // of pebble, since keys were last read
	scanning atomic.Bool
}

// filters hold the keys of a namespace, of which now is complete, and next, while keys
// are read, is not. Either may be nil.
type filters struct{ now, next *filter }

// seed makes what collides in a filter another thing in each process.
var seed = maphash.MakeSeed()

// lacks reports whether key is certainly not there.
func (k *keys) lacks(key []byte) bool {
	in := k.in.Load()
	return in != nil && in.now != nil && !in.now.may(maphash.Bytes(seed, key))
}

// wrote follows each write of a key, and comes before its writer goes on. Whatever it does
// not find to add it to was made after the write, and is filled with what is there since.
func (k *keys) wrote(key []byte) (full bool) {
	in := k.in.Load()
	if in == nil {
		return false
	}
	h := maphash.Bytes(seed, key)
	for _, f := range []*filter{in.now, in.next} {
		if f != nil {
			f.add(h)
		}
	}
	return in.now != nil && in.now.full()
}

// missed follows each look into pebble that found nothing, and reports whether keys
// should be read.
func (k *keys) missed() bool {
	if in := k.in.Load(); in != nil && in.now != nil {
		return false
	}
	return k.misses.Add(1) >= patience
}

// read fills a filter with what scan calls its function for, which stops when that
// returns false. If scan reports that it has not seen everything nothing is known any more:
// a full filter would have it tried again with each write.
func (k *keys) read(scan func(func(key []byte) bool) bool) {
	var now *filter
	if in := k.in.Load(); in != nil {
		now = in.now
	}
	for room := fewKeys; ; room *= 2 {
		next := newFilter(room)
		k.in.Store(&filters{now, next})
		// Half of the room is for what comes later.
		whole := scan(func(key []byte) bool {
			next.add(maphash.Bytes(seed, key))
			return next.keys.Load() <= int64(room/2)
		})
		switch {
		case !whole:
			k.in.Store(nil)
			k.misses.Store(0)
			return
		case next.keys.Load() <= int64(room/2):
			k.in.Store(&filters{next, nil})
			return
		}
	}
}

// filter is a Bloom filter whose bits of a key are in one word ("blocked": Putze,
// Sanders, Singler, Cache-, hash- and space-efficient Bloom filters, section 3).
type filter struct {
	words []atomic.Uint64
	keys  atomic.Int64
}

func newFilter(room int) *filter { return &filter{words: make([]atomic.Uint64, room/wordKeys)} }

// full says that there are more keys than there is room for: it lets more pass than it
// should.
func (f *filter) full() bool { return f.keys.Load() > int64(len(f.words)*wordKeys) }

func (f *filter) add(h uint64) {
	word, mask := f.place(h)
	if word.Load()&mask != mask {
		word.Or(mask)
		f.keys.Add(1)
	}
}

func (f *filter) may(h uint64) bool {
	word, mask := f.place(h)
	return word.Load()&mask == mask
}

// place is a word, of the upper half of a hash, and four of its bits, of the lower.
func (f *filter) place(h uint64) (word *atomic.Uint64, mask uint64) {
	i, _ := bits.Mul64(h&^(1<<32-1), uint64(len(f.words)))
	for range 4 {
		mask |= 1 << (h & 63)
		h >>= 6
	}
	return &f.words[i], mask
}

// learn has the keys of a namespace read, unless that goes on.
func (k kv) learn() {
	if !k.keys.scanning.CompareAndSwap(false, true) {
		return
	}
	k.s.apart(func() {
		defer k.keys.scanning.Store(false)
		k.keys.read(k.each)
	})
}

// each calls f for all keys, without their namespace, until it returns false. It reports
// whether these were all but for f.
func (k kv) each(f func(key []byte) bool) (whole bool) {
	ended := false
	err := k.s.scan(k.prefix, after(k.prefix), func(key, _ []byte) bool {
		ended = k.s.ended()
		return !ended && f(key[len(k.prefix):])
	})
	if err != nil {
		k.s.log.Warn("keys cannot be read", "namespace", string(k.prefix), "error", err)
	}
	return err == nil && !ended
}
