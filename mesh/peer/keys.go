package peer

import (
	"crypto/ed25519"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxKeys are remembered twice over: those of a large crew, at 40 KiB each that
	// signs much.
	maxKeys = 64
	// oftenAfter is how many signatures of a key are checked before it is worth
	// some 100 µs to be quick with the next ones.
	oftenAfter = 8
)

// keys are those of the peers whose signatures were checked lately.
var keys known

// key is what signatures of one peer are checked with.
type key struct {
	public crypto.PubKey
	raw    ed25519.PublicKey // nil where it is of another kind

	mu    sync.Mutex
	used  int
	quick *quick
}

func keyOf(id ID) (*key, error) {
	raw, err := libp2p.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("peer ID %q: %w", string(id), err)
	}
	public, err := raw.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("peer ID %q: %w", string(id), err)
	}
	k := &key{public: public}
	if public.Type() == crypto.Ed25519 {
		if k.raw, err = public.Raw(); err != nil {
			return nil, fmt.Errorf("key of peer ID %q: %w", string(id), err)
		}
	}
	return k, nil
}

func (k *key) verify(message, signature []byte) (bool, error) {
	if k.raw == nil {
		return k.public.Verify(message, signature)
	}
	if q := k.often(); q != nil {
		return q.verify(message, signature), nil
	}
	return ed25519.Verify(k.raw, message, signature), nil
}

// often counts a check, and returns what is quick at them if there are many.
func (k *key) often() *quick {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used++; k.used == oftenAfter {
		k.quick = newQuick(k.raw)
	}
	return k.quick
}

// known are two generations of keys: when the young are many they become the
// old, and those that nobody asked for since are forgotten. Its zero value is
// empty.
type known struct {
	mu         sync.Mutex
	young, old map[ID]*key
}

func (n *known) of(id ID) (*key, error) {
	if k := n.get(id); k != nil {
		return k, nil
	}
	k, err := keyOf(id)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if again := n.recall(id); again != nil { // another was quicker
		return again, nil
	}
	n.note(id, k)
	return k, nil
}

func (n *known) get(id ID) *key {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.recall(id)
}

// recall returns a key that is known, or nil; n.mu is held.
func (n *known) recall(id ID) *key {
	if k, ok := n.young[id]; ok {
		return k
	}
	k, ok := n.old[id]
	if !ok {
		return nil
	}
	n.note(id, k)
	return k
}

// note remembers a key; n.mu is held.
func (n *known) note(id ID, k *key) {
	if n.young == nil || len(n.young) >= maxKeys {
		n.young, n.old = map[ID]*key{}, n.young
	}
	n.young[id] = k
}
