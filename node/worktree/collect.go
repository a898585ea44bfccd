package worktree

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/store"
)

// usedPrefix is the key under which lies when a tree was last built, before the
// tree's own prefix.
const usedPrefix = "used/"

// used notes that the tree is in use.
func (t *Tree) used() error {
	now := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
	if err := t.kv.Put([]byte(usedPrefix+t.prefix), now); err != nil {
		return fmt.Errorf("save tree state: %w", err)
	}
	return nil
}

// Collect forgets what kv remembers of all but the last keep trees that were
// built. A forgotten tree is read in whole at its next build, and what builds
// placed in it counts as made by no build. No tree may be open.
func Collect(kv store.KV, keep int) error {
	type tree struct {
		prefix string
		used   []byte
	}
	var trees []tree
	err := kv.Scan([]byte(usedPrefix), func(key, value []byte) bool {
		trees = append(trees, tree{strings.TrimPrefix(string(key), usedPrefix), slices.Clone(value)})
		return true
	})
	if err != nil {
		return fmt.Errorf("forget old trees: %w", err)
	}
	slices.SortFunc(trees, func(a, b tree) int { return slices.Compare(b.used, a.used) })
	for _, t := range trees[min(keep, len(trees)):] {
		if err := forgetTree(kv, t.prefix); err != nil {
			return fmt.Errorf("forget old trees: %w", err)
		}
	}
	return nil
}

func forgetTree(kv store.KV, prefix string) error {
	var keys [][]byte
	err := kv.Scan([]byte(prefix), func(key, _ []byte) bool {
		keys = append(keys, slices.Clone(key))
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range append(keys, []byte(usedPrefix+prefix)) {
		if err := kv.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
