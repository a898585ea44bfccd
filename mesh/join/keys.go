// Package join decides who may enter a mesh: the keys that follow from its
// secret, the sealed hello and the invitation token. It is pure: no clock, no
// I/O; random bytes are arguments. Start reading at Seal and Responder.
package join

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// SecretBytes is the size of a mesh secret: 256 bits, the size of the keys
// that are derived from it.
const SecretBytes = 32

// Secret opens a mesh. Whoever has it is a member.
type Secret [SecretBytes]byte

// GossipKey encrypts the SWIM packets of the named mesh.
func (s Secret) GossipKey(mesh string) []byte { return s.derive("buildnet gossip v1", mesh) }

// HelloKey seals the hellos of the named mesh.
func (s Secret) HelloKey(mesh string) []byte { return s.derive("buildnet hello v1", mesh) }

func (s Secret) derive(use, mesh string) []byte {
	key, err := hkdf.Key(sha256.New, s[:], []byte(mesh), use, SecretBytes)
	if err != nil {
		panic(fmt.Sprintf("derive %s: %v", use, err))
	}
	return key
}
