package link

import (
	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
)

// Keys are what the packets of a mesh are proved with.
type Keys struct {
	Hello []byte
	STUN  []byte
	// Former are the hello keys of secrets that were rotated away: they open
	// the hello of a member that slept, whom Options.Admit then has to know.
	Former [][]byte
}

// KeysOf returns the keys of the named mesh.
func KeysOf(mesh string, secret join.Secret, former ...join.Secret) Keys {
	k := Keys{Hello: secret.HelloKey(mesh), STUN: secret.STUNKey(mesh)}
	for _, s := range former {
		k.Former = append(k.Former, s.HelloKey(mesh))
	}
	return k
}

// Proof is the secret that a peer has shown in its hello.
type Proof uint8

const (
	// Current is the secret of the mesh.
	Current Proof = iota + 1
	// Former is a secret that was rotated away.
	Former
)

// Admit decides whether a peer that has proved its ID and a secret may enter.
type Admit func(id peer.ID, by Proof) bool

// SetKeys changes the keys after a rotation.
func (l *Link) SetKeys(k Keys) { l.keys.Store(&k) }

func (l *Link) currentKeys() Keys { return *l.keys.Load() }
