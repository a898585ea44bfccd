package roll

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/roll/rollpb"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

// Summary is the first frame that r's holder sends to a member it meets.
func (r Roll) Summary() *rollpb.Summary {
	sum := r.Sum()
	s := &rollpb.Summary{Mesh: r.Mesh, Generation: r.Generation, Sum: sum[:], By: raw(r.By)}
	for _, b := range r.Bans {
		s.Bans = append(s.Bans, &rollpb.Ban{Peer: raw(b.Peer), Generation: b.Generation, By: raw(b.By), Signature: b.Signature})
	}
	return s
}

// Rotation is the second frame, to the holder of s: empty where r has no newer
// secret. r must have learned the bans of s.
func (r Roll) Rotation(s *rollpb.Summary) *rollpb.Rotation {
	by, err := parse(s.GetBy())
	mine := r.Sum()
	if err != nil || r.Generation == 0 || r.order(r.Bans, s.GetGeneration(), by, s.GetSum(), mine[:]) <= 0 {
		return &rollpb.Rotation{}
	}
	return &rollpb.Rotation{
		Secret: slices.Clone(r.Secret[:]), Signature: r.Signature, Members: raws(r.Members), Covers: raws(r.Covers),
	}
}

// Bans reads the bans of a summary.
func Bans(s *rollpb.Summary) ([]Ban, error) {
	if len(s.GetBans()) > MaxBans {
		return nil, fmt.Errorf("%w: %d bans", ErrRefused, len(s.GetBans()))
	}
	var out []Ban
	for _, b := range s.GetBans() {
		id, err := parse(b.GetPeer())
		if err != nil {
			return nil, err
		}
		by, err := parse(b.GetBy())
		if err != nil {
			return nil, err
		}
		out = insert(out, Ban{Peer: id, Generation: b.GetGeneration(), By: by, Signature: b.GetSignature()})
	}
	return out, nil
}

// Read makes a Roll of both frames of the other side. The second may not be
// empty.
func Read(s *rollpb.Summary, n *rollpb.Rotation) (Roll, error) {
	bans, err := Bans(s)
	if err != nil {
		return Roll{}, err
	}
	r := Roll{Mesh: s.GetMesh(), Generation: s.GetGeneration(), Signature: n.GetSignature(), Bans: bans}
	if copy(r.Secret[:], n.GetSecret()) != len(r.Secret) || len(n.GetSecret()) != len(r.Secret) || len(n.GetMembers()) > MaxMembers || len(n.GetCovers()) > MaxBans {
		return Roll{}, fmt.Errorf("%w: a secret of %d bytes, %d members, %d covered", ErrRefused, len(n.GetSecret()), len(n.GetMembers()), len(n.GetCovers()))
	}
	if sum := r.Sum(); sum != [sha256.Size]byte(pad(s.GetSum())) {
		return Roll{}, fmt.Errorf("%w: the secret is not the one announced", ErrRefused)
	}
	if r.By, err = parse(s.GetBy()); err != nil {
		return Roll{}, err
	}
	if r.Members, err = parseAll(n.GetMembers()); err != nil {
		return Roll{}, err
	}
	if r.Covers, err = parseAll(n.GetCovers()); err != nil {
		return Roll{}, err
	}
	return r, nil
}

func pad(sum []byte) []byte {
	out := make([]byte, sha256.Size)
	copy(out, sum)
	return out
}

func raw(id peer.ID) []byte {
	b, err := libp2p.Decode(string(id))
	if err != nil {
		return nil // only the empty ID of generation 0
	}
	return []byte(b)
}

func raws(ids []peer.ID) (out [][]byte) {
	for _, id := range ids {
		out = append(out, raw(id))
	}
	return out
}

func parseAll(raws [][]byte) (out []peer.ID, err error) {
	for _, b := range raws {
		id, err := parse(b)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

func parse(b []byte) (peer.ID, error) {
	if len(b) == 0 {
		return "", nil
	}
	id, err := libp2p.IDFromBytes(b)
	if err != nil {
		return "", fmt.Errorf("%w: peer ID: %w", ErrRefused, err)
	}
	if _, err := id.ExtractPublicKey(); err != nil {
		return "", fmt.Errorf("%w: peer ID: %w", ErrRefused, err)
	}
	return peer.ID(id.String()), nil
}
