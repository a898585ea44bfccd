package worktree

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/store"
)

// shards is into how many values a table is cut: one changed file of 100,000
// rewrites some 150 KiB.
const shards = 64

// rows is how a table's values are written and read.
type rows[V any] struct {
	encode func([]byte, V) []byte
	decode func(*decoder) V
}

// table is a map from paths to values that is kept in a KV.
type table[V any] struct {
	kv     store.KV
	prefix string
	rows   rows[V]

	mu     sync.Mutex
	loaded bool
	values map[string]V
	dirty  [shards]bool
}

func newTable[V any](kv store.KV, prefix string, r rows[V]) *table[V] {
	return &table[V]{kv: kv, prefix: prefix, rows: r, values: map[string]V{}}
}

func shardOf(path string) int {
	h := uint32(2166136261) // FNV-1a
	for i := range len(path) {
		h = (h ^ uint32(path[i])) * 16777619
	}
	return int(h % shards)
}

func (t *table[V]) key(shard int) []byte { return append([]byte(t.prefix), byte(shard)) }

// load reads the table, once. A shard that cannot be decoded is empty: what it
// held is found out again.
func (t *table[V]) load() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded {
		return nil
	}
	// The lock is held over I/O here and in save: nobody can do anything with
	// a table that is half read.
	for shard := range shards {
		value, err := t.kv.Get(t.key(shard))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("load tree state: %w", err)
		}
		t.decode(value)
	}
	t.loaded = true
	return nil
}

func (t *table[V]) decode(value []byte) {
	d := decoder{b: value}
	read := map[string]V{}
	for range d.count() {
		path := d.string()
		read[path] = t.rows.decode(&d)
		if d.err != nil {
			return
		}
	}
	for path, v := range read {
		t.values[path] = v
	}
}

func (t *table[V]) get(path string) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.values[path]
	return v, ok
}

func (t *table[V]) put(path string, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values[path] = v
	t.dirty[shardOf(path)] = true
}

func (t *table[V]) delete(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.values[path]; ok {
		delete(t.values, path)
		t.dirty[shardOf(path)] = true
	}
}

// keep forgets all but the paths for which f says true.
func (t *table[V]) keep(f func(path string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path := range t.values {
		if !f(path) {
			delete(t.values, path)
			t.dirty[shardOf(path)] = true
		}
	}
}

// paths returns the paths in the table, sorted.
func (t *table[V]) paths() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]string, 0, len(t.values))
	for p := range t.values {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// save writes the shards that changed, at once: the store syncs them together.
func (t *table[V]) save() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.dirty[:], true) {
		return nil
	}
	var bodies [shards][]byte
	var counts [shards]uint64
	for path, v := range t.values {
		if i := shardOf(path); t.dirty[i] {
			bodies[i] = t.rows.encode(appendString(bodies[i], path), v)
			counts[i]++
		}
	}
	var g errgroup.Group
	for i := range shards {
		if !t.dirty[i] {
			continue
		}
		value := append(appendCount(nil, counts[i]), bodies[i]...)
		g.Go(func() error { return t.kv.Put(t.key(i), value) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("save tree state: %w", err)
	}
	t.dirty = [shards]bool{}
	return nil
}
