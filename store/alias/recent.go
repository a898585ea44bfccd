package alias

import (
	"sync"

	"github.com/buildnet/buildnet/store/digest"
)

// recentAliases are remembered twice over, some 200 bytes each: those of the inputs of
// a large build, which clients ask for with each action.
const recentAliases = 16 << 10

// recent remembers what was read from a table, in two generations: when the young are
// many they become the old, and those are forgotten. Its zero value is empty.
type recent struct {
	mu         sync.Mutex
	young, old map[string]used
	writes     uint64 // of the table
}

// used is what is under a key, and in which grain it was used last.
type used struct {
	d     digest.Digest
	grain uint32
}

// of returns what is under key, if it was used in this grain: what was used before is
// for the table to know. Otherwise writes is for add.
func (r *recent) of(key []byte, now uint32) (d digest.Digest, ok bool, writes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.young[string(key)]
	if !ok {
		if u, ok = r.old[string(key)]; ok {
			r.put(string(key), u)
		}
	}
	return u.d, ok && u.grain == now, r.writes
}

// add remembers what was read after of returned writes, unless something may have been
// written since.
func (r *recent) add(key []byte, u used, writes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if writes == r.writes {
		r.put(string(key), u)
	}
}

// put is called with mu held.
func (r *recent) put(key string, u used) {
	if r.young == nil || len(r.young) >= recentAliases {
		r.young, r.old = map[string]used{}, r.young
	}
	r.young[key] = u
}

// written forgets key, after another value of it was written.
func (r *recent) written(key []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	delete(r.young, string(key))
	delete(r.old, string(key))
}
