package disk

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/buildnet/buildnet/store"
)

// KV returns the state kept under a namespace, which must not contain "/".
// Concurrent Puts share their syncs.
func (s *Store) KV(namespace string) store.KV {
	k := s.namespace(namespace)
	k.lasting = true
	return k
}

// CacheKV is KV for what may be lost when the machine stops uncleanly, or when
// the process is killed within pushAfter, unless it is pushed before.
func (s *Store) CacheKV(namespace string) store.KV { return s.namespace(namespace) }

type kv struct {
	s       *Store
	prefix  []byte
	keys    *keys
	lasting bool
}

func (s *Store) namespace(name string) kv {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[name] == nil {
		s.keys[name] = &keys{}
	}
	return kv{s: s, prefix: []byte("k/" + name + "/"), keys: s.keys[name]}
}

func (k kv) key(key []byte) []byte { return slices.Concat(k.prefix, key) }

func (k kv) write(do func(*pebble.WriteOptions) error) error {
	if k.lasting {
		return k.s.last(do)
	}
	defer k.s.pushSoon()
	return do(pebble.NoSync)
}

// Get implements store.KV.
func (k kv) Get(key []byte) ([]byte, error) {
	full := k.key(key)
	if k.keys.lacks(key) {
		return nil, absent(full)
	}
	value, err := k.s.get(full)
	switch {
	case err == pebble.ErrNotFound: //nolint:errorlint // as pebble returns it
		if k.keys.missed() {
			k.learn()
		}
		return nil, absent(full)
	case err != nil:
		return nil, fmt.Errorf("get %q: %w", full, err)
	}
	return value, nil
}

// absent is the store.ErrNotFound of a key. Most are asked for to learn just that,
// and nobody reads the text.
type absent []byte

// Error implements error.
func (key absent) Error() string { return fmt.Sprintf("get %q: %v", []byte(key), store.ErrNotFound) }

// Unwrap lets errors.Is see what it is.
func (absent) Unwrap() error { return store.ErrNotFound }

// Put implements store.KV.
func (k kv) Put(key, value []byte) error {
	if err := k.s.diskHasRoom(int64(len(value))); err != nil {
		return fmt.Errorf("put %s%q: %w", k.prefix, key, err)
	}
	err := k.write(func(o *pebble.WriteOptions) error { return k.s.db.Set(k.key(key), value, o) })
	if k.keys.wrote(key) {
		k.learn()
	}
	if err != nil {
		return fmt.Errorf("put %s%q: %w", k.prefix, key, full(err))
	}
	return nil
}

// Delete implements store.KV.
func (k kv) Delete(key []byte) error {
	if err := k.write(func(o *pebble.WriteOptions) error { return k.s.db.Delete(k.key(key), o) }); err != nil {
		return fmt.Errorf("delete %s%q: %w", k.prefix, key, err)
	}
	return nil
}

// Scan implements store.KV.
func (k kv) Scan(prefix []byte, f func(key, value []byte) bool) error {
	from := k.key(prefix)
	err := k.s.scan(from, after(from), func(key, value []byte) bool {
		return f(bytes.Clone(key[len(k.prefix):]), bytes.Clone(value))
	})
	if err != nil {
		return fmt.Errorf("scan %s%q: %w", k.prefix, prefix, err)
	}
	return nil
}

// after returns the first key that comes after all with this prefix. The
// prefix has a byte below 0xff: the namespace's.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; ; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
}
