package memory

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/buildnet/buildnet/store"
)

// KV implements store.KV. The zero value is empty and ready.
type KV struct {
	mu    sync.Mutex
	state map[string][]byte
}

var _ store.KV = (*KV)(nil)

// Get implements store.KV.
func (k *KV) Get(key []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, ok := k.state[string(key)]
	if !ok {
		return nil, fmt.Errorf("get %q: %w", key, store.ErrNotFound)
	}
	return bytes.Clone(value), nil
}

// Put implements store.KV.
func (k *KV) Put(key, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state == nil {
		k.state = map[string][]byte{}
	}
	k.state[string(key)] = bytes.Clone(value)
	return nil
}

// Delete implements store.KV.
func (k *KV) Delete(key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.state, string(key))
	return nil
}

// Scan implements store.KV.
func (k *KV) Scan(prefix []byte, f func(key, value []byte) bool) error {
	k.mu.Lock()
	state := maps.Clone(k.state)
	k.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if strings.HasPrefix(key, string(prefix)) && !f([]byte(key), bytes.Clone(state[key])) {
			return nil
		}
	}
	return nil
}
