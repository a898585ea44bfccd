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
	young, old map[key]used
	writes     uint64 // of the table
}

// used is what is under a key, and in which grain it was used last.
type used struct {
	d     digest.Digest
	grain uint32
}

// of returns what is under k, if it was used in this grain: what was used before is
// for the table to know. Otherwise writes is for add.
func (r *recent) of(k key, now uint32) (d digest.Digest, ok bool, writes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.young[k]
	if !ok {
		if u, ok = r.old[k]; ok {
			r.put(k, u)
		}
	}
	return u.d, ok && u.grain == now, r.writes
}

// add remembers what was read after of returned writes, unless something may have been
// written since.
func (r *recent) add(k key, u used, writes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if writes == r.writes {
		r.put(k, u)
	}
}

// put is called with mu held.
func (r *recent) put(k key, u used) {
	if r.young == nil || len(r.young) >= recentAliases {
		r.young, r.old = map[key]used{}, r.young
	}
	r.young[k] = u
}

// written forgets k, after another value of it was written.
func (r *recent) written(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	delete(r.young, k)
	delete(r.old, k)
}
