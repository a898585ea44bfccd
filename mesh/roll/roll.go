// Package roll decides which secret of a mesh holds and who was revoked. It is
// pure: no clock, no I/O; a new secret is an argument. Start reading at Roll.
//
// A revocation bans a peer and rotates the secret. Both are signed by the
// member that revoked, and members that meet merge what they know, so that all
// come to the same. Any member may revoke: a mesh is one circle of trust.
package roll

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// MaxBans bounds the revoked peers that are remembered.
	MaxBans = 4096
	// MaxMembers bounds those who may return with a former secret.
	MaxMembers = 16384
	// MaxFormer is how many rotations a member may sleep through.
	MaxFormer = 8
	// maxStep bounds how far a generation may be ahead, so that no member can
	// use the numbers up.
	maxStep = 1 << 16
)

// ErrRefused says that what a peer told of the roll is not to be believed.
var ErrRefused = errors.New("roll refused")

// Ban ends the membership of a peer for good.
type Ban struct {
	Peer       peer.ID `json:"peer"`
	Generation uint64  `json:"generation"`
	By         peer.ID `json:"by"`
	Signature  []byte  `json:"signature"`
}

// Roll is what a member knows. The zero generation is the secret that the mesh
// was made with: nobody has signed it.
type Roll struct {
	Mesh       string        `json:"mesh"`
	Generation uint64        `json:"generation"`
	Secret     join.Secret   `json:"secret"`
	By         peer.ID       `json:"by,omitempty"`
	Members    []peer.ID     `json:"members,omitempty"` // sorted
	Covers     []peer.ID     `json:"covers,omitempty"`  // the banned that By knew of; sorted
	Signature  []byte        `json:"signature,omitempty"`
	Bans       []Ban         `json:"bans,omitempty"`   // by Peer
	Former     []join.Secret `json:"former,omitempty"` // newest first
}

// Signer is the member that revokes.
type Signer struct {
	ID  peer.ID
	Key ed25519.PrivateKey
}

// Sum names the secret without telling it.
func (r Roll) Sum() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("buildnet secret v1"), r.Secret[:]...))
}

// Banned says whether a peer was revoked.
func (r Roll) Banned(id peer.ID) bool {
	_, banned := slices.BinarySearchFunc(r.Bans, id, func(b Ban, id peer.ID) int { return b.Peer.Compare(id) })
	return banned
}

// Listed says whether a peer may return with a former secret.
func (r Roll) Listed(id peer.ID) bool {
	_, listed := slices.BinarySearch(r.Members, id)
	return listed && !r.Banned(id)
}

// Exposed says whether a ban of self's was unknown to the one who rotated: its
// target may have been told the secret, and self has to rotate once more. That
// a member knows the ban and has the secret does not say that the ban came
// first.
func (r Roll) Exposed(self peer.ID) bool {
	return slices.ContainsFunc(r.Bans, func(b Ban) bool {
		_, covered := slices.BinarySearch(r.Covers, b.Peer)
		return b.By == self && !covered
	})
}

// Revoke bans a peer and rotates to secret. members may return later.
func (r Roll) Revoke(id peer.ID, by Signer, secret join.Secret, members []peer.ID) (Roll, error) {
	if len(r.Bans) >= MaxBans {
		return Roll{}, fmt.Errorf("revoke %s: %d peers are revoked already; make a new mesh", id, MaxBans)
	}
	b := Ban{Peer: id, Generation: r.Generation + 1, By: by.ID}
	b.Signature = ed25519.Sign(by.Key, b.text(r.Mesh))
	r.Bans = insert(slices.Clone(r.Bans), b)
	return r.Rotate(by, secret, members), nil
}

// Rotate changes the secret.
func (r Roll) Rotate(by Signer, secret join.Secret, members []peer.ID) Roll {
	r.Former = remember(r.Former, r.Secret)
	r.Generation, r.Secret, r.By = r.Generation+1, secret, by.ID
	r.Members = slices.DeleteFunc(slices.Clone(members), r.Banned)
	slices.Sort(r.Members)
	r.Members = slices.Compact(r.Members)
	r.Members = r.Members[:min(len(r.Members), MaxMembers)]
	r.Covers = nil
	for _, b := range r.Bans {
		r.Covers = append(r.Covers, b.Peer)
	}
	r.Signature = ed25519.Sign(by.Key, r.text())
	return r
}

// Newer says whether r's secret holds against o's: one that a revoked peer has
// made never does, then the higher generation, then the higher sum.
func (r Roll) Newer(o Roll) bool {
	mine, theirs := r.Sum(), o.Sum()
	return r.order(r.Bans, o.Generation, o.By, theirs[:], mine[:]) > 0
}

func (r Roll) order(bans []Ban, generation uint64, by peer.ID, theirs, mine []byte) int {
	known := Roll{Bans: bans}
	rank := func(by peer.ID) int {
		if by != "" && known.Banned(by) {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(rank(r.By), rank(by)),
		cmp.Compare(r.Generation, generation),
		bytes.Compare(mine, theirs),
	)
}

func (b Ban) text(mesh string) []byte {
	t := []byte("buildnet ban v1")
	t = binary.BigEndian.AppendUint64(t, b.Generation)
	return field(field(t, mesh), string(b.Peer))
}

func (r Roll) text() []byte {
	sum := r.Sum()
	t := binary.BigEndian.AppendUint64([]byte("buildnet rotation v2"), r.Generation)
	t = append(field(t, r.Mesh), sum[:]...)
	for _, ids := range [][]peer.ID{r.Members, r.Covers} {
		t = binary.BigEndian.AppendUint32(t, uint32(len(ids)))
		for _, id := range ids {
			t = field(t, string(id))
		}
	}
	return t
}

func field(t []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(t, uint32(len(s))), s...)
}

func insert(all []Ban, b Ban) []Ban {
	i, known := slices.BinarySearchFunc(all, b, func(x, y Ban) int { return x.Peer.Compare(y.Peer) })
	if known {
		return all
	}
	return slices.Insert(all, i, b)
}

func remember(former []join.Secret, s join.Secret) []join.Secret {
	all := slices.Concat([]join.Secret{s}, slices.DeleteFunc(slices.Clone(former), func(f join.Secret) bool { return f == s }))
	return all[:min(len(all), MaxFormer)]
}
