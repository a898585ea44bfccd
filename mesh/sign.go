package mesh

import "crypto/ed25519"

// Sign signs b with the node's key; peer.ID.Verify checks it. It never fails.
func (i Identity) Sign(b []byte) ([]byte, error) { return ed25519.Sign(i.key, b), nil }
