package action

import (
	"encoding/binary"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// maxGenuine signatures are remembered twice over, at some 100 bytes each.
const maxGenuine = 1 << 14

// genuine are the signatures that this process has seen to be good. A result
// comes to a node by several ways, as to a standby that is its owner as well, and
// whether a signature is good depends on nothing but the bytes.
var genuine = proofs{young: map[proof]struct{}{}}

// proof is the hash of a signer, a signature and all that it is of.
type proof [32]byte

// proofs are two generations of them: when the young are many they become the
// old, and those are forgotten.
type proofs struct {
	mu         sync.Mutex
	young, old map[proof]struct{}
}

// check is signer's Verify, unless it has said yes to the very same before.
func (p *proofs) check(signer peer.ID, message, signature []byte) error {
	key := proofOf(signer, message, signature)
	if p.has(key) {
		return nil
	}
	if err := signer.Verify(message, signature); err != nil {
		return err
	}
	p.add(key)
	return nil
}

// proofOf hashes each part with its length before it, so that no two that
// differ come to the same bytes.
func proofOf(signer peer.ID, message, signature []byte) proof {
	b := make([]byte, 0, len(signer)+len(message)+len(signature)+3*8)
	for _, part := range [][]byte{[]byte(signer), message, signature} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return proof(digest.Of(digest.BLAKE3, b).Hash())
}

func (p *proofs) has(key proof) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, young := p.young[key]
	_, old := p.old[key]
	return young || old
}

func (p *proofs) add(key proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.young) >= maxGenuine {
		p.young, p.old = map[proof]struct{}{}, p.young
	}
	p.young[key] = struct{}{}
}
