package translate

import (
	"sync"

	"github.com/buildnet/buildnet/store/digest"
)

// memo remembers directories in two generations: when the young have half of the
// entries, by weight, they become the old, and those are forgotten. What is used becomes young.
type memo struct {
	max int

	mu         sync.Mutex
	young, old map[digest.Digest]*dir
	entries    int // of young
}

// of returns nil if d is not remembered.
func (m *memo) of(d digest.Digest) *dir {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.young[d]; known != nil {
		return known
	}
	known := m.old[d]
	if known != nil {
		m.keep(known)
	}
	return known
}

func (m *memo) add(d *dir) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(d)
}

// keep is called with mu held. A directory counts as an entry itself.
func (m *memo) keep(d *dir) {
	cost := 1 + d.weight()
	if cost > m.max/2 {
		return
	}
	if m.young == nil || m.entries+cost > m.max/2 {
		m.young, m.old, m.entries = map[digest.Digest]*dir{}, m.young, 0
	}
	if _, twice := m.young[d.digest]; !twice {
		m.entries += cost
	}
	m.young[d.digest] = d
}
