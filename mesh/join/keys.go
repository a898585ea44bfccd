// Package join decides who may enter a mesh: the keys that follow from its
// secret, the sealed hello and the invitation token. It is pure: no clock, no
// I/O; random bytes are arguments. Start reading at Seal and Responder.
package join

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
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

// STUNKey is the password of the binding requests within the named mesh.
func (s Secret) STUNKey(mesh string) []byte { return s.derive("buildnet stun v1", mesh) }

// TagBytes is the size of a Tag: too much to guess, little enough for a label.
const TagBytes = 16

// Tag is what members announce on a LAN: those with the secret know it again,
// to others it says nothing, and an hour later it is another.
type Tag [TagBytes]byte

// Tag returns the tag of the hour that t is in.
func (s Secret) Tag(mesh string, t time.Time) (tag Tag) {
	hour := hmac.New(sha256.New, s.derive("buildnet discovery v1", mesh))
	_ = binary.Write(hour, binary.BigEndian, t.Unix()/3600) // a hash takes everything
	copy(tag[:], hour.Sum(nil))
	return tag
}

func (s Secret) derive(use, mesh string) []byte {
	key, err := hkdf.Key(sha256.New, s[:], []byte(mesh), use, SecretBytes)
	if err != nil {
		panic(fmt.Sprintf("derive %s: %v", use, err))
	}
	return key
}
