package roll

import (
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
)

// Learn takes over the bans that a peer knows of.
func (r Roll) Learn(bans []Ban) (Roll, error) {
	out := r
	out.Bans = slices.Clone(r.Bans)
	for _, b := range bans {
		if out.Banned(b.Peer) {
			continue
		}
		if b.Generation > r.Generation+maxStep {
			return r, fmt.Errorf("%w: a ban of generation %d, ours is %d", ErrRefused, b.Generation, r.Generation)
		}
		if err := b.By.Verify(b.text(r.Mesh), b.Signature); err != nil {
			return r, fmt.Errorf("%w: ban of %s: %w", ErrRefused, b.Peer, err)
		}
		if len(out.Bans) >= MaxBans {
			return r, fmt.Errorf("%w: more than %d bans", ErrRefused, MaxBans)
		}
		if !ended(out.Bans, b.By, b.Generation) {
			out.Bans = slices.DeleteFunc(insert(out.Bans, b), func(x Ban) bool {
				return x.By == b.Peer && x.Generation >= b.Generation
			})
		}
	}
	return out, nil
}

// ended says whether id was revoked by the generation: what it has signed since
// does not count. Of two that revoke each other the one heard first counts, so
// that a revoked peer cannot revoke its revoker where that is known.
func ended(bans []Ban, id peer.ID, generation uint64) bool {
	return slices.ContainsFunc(bans, func(b Ban) bool { return b.Peer == id && b.Generation <= generation })
}

// Equal says whether r and o make the same decisions.
func (r Roll) Equal(o Roll) bool {
	return r.Generation == o.Generation && r.Secret == o.Secret && slices.EqualFunc(r.Bans, o.Bans, func(a, b Ban) bool {
		return a.Peer == b.Peer && a.Generation == b.Generation && a.By == b.By
	})
}

// Adopt takes over the secret of o if it is newer than r's, which may leave
// the revoker of a peer Exposed.
func (r Roll) Adopt(o Roll) (Roll, error) {
	if o.Mesh != r.Mesh {
		return r, fmt.Errorf("%w: of mesh %q, this is %q", ErrRefused, o.Mesh, r.Mesh)
	}
	if len(o.Bans) > MaxBans || len(o.Members) > MaxMembers || len(o.Covers) > MaxBans {
		return r, fmt.Errorf("%w: %d bans, %d members, %d covered", ErrRefused, len(o.Bans), len(o.Members), len(o.Covers))
	}
	merged, err := r.Learn(o.Bans)
	if err != nil {
		return r, err
	}
	candidate := o
	candidate.Bans = merged.Bans
	if o.Generation == 0 || !candidate.Newer(merged) {
		return merged, nil // nobody has signed generation 0: it comes by token alone
	}
	if o.Generation > r.Generation+maxStep {
		return r, fmt.Errorf("%w: generation %d, ours is %d", ErrRefused, o.Generation, r.Generation)
	}
	if err := o.By.Verify(o.text(), o.Signature); err != nil {
		return r, fmt.Errorf("%w: rotation: %w", ErrRefused, err)
	}
	if !slices.IsSorted(o.Members) || !slices.IsSorted(o.Covers) {
		return r, fmt.Errorf("%w: members are not sorted", ErrRefused)
	}
	merged.Generation, merged.Secret, merged.By = o.Generation, o.Secret, o.By
	merged.Members, merged.Covers, merged.Signature = slices.Clone(o.Members), slices.Clone(o.Covers), slices.Clone(o.Signature)
	if r.Secret != o.Secret {
		merged.Former = remember(r.Former, r.Secret)
	}
	return merged, nil
}
