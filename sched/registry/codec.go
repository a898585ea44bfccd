package registry

import (
	"errors"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of what a peer may say.
const (
	// maxFrame in bytes: an entry at its limit, and as much again for the rest
	// of a batch.
	maxFrame = 2 * action.MaxEntryBytes
	// batchBytes is when a frame is sent off although more is waiting.
	batchBytes = 256 << 10
	// maxBatch questions or answers are in one frame.
	maxBatch = 1024
	// maxLacking actions are in one question.
	maxLacking = 1024
	// maxName in bytes, of a build or a peer.
	maxName = 128
)

// verdict is what an owner answers. Do not reorder: the numbers go over the
// wire.
type verdict uint8

const (
	verdictFound verdict = iota + 1
	verdictAbsent
	verdictGranted
	verdictTaken
	verdictRefused
)

var errMalformed = errors.New("malformed")

func buildOf(s string) (claim.Build, error) {
	if s == "" || len(s) > maxName {
		return "", fmt.Errorf("%w build name of %d bytes", errMalformed, len(s))
	}
	return claim.Build(s), nil
}

func peerOf(s string) (peer.ID, error) {
	if len(s) > maxName {
		return "", fmt.Errorf("%w peer ID of %d bytes", errMalformed, len(s))
	}
	return peer.Parse(s)
}

func holdersOf(names []string) ([]peer.ID, error) {
	if len(names) > maxHolders {
		return nil, fmt.Errorf("%w: %d holders, the limit is %d", errMalformed, len(names), maxHolders)
	}
	ids := make([]peer.ID, 0, len(names))
	for _, n := range names {
		id, err := peerOf(n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func namesOf(ids []peer.ID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, string(id))
	}
	return names
}

// foundOf reads a result that a peer gave and believes none of it: the
// executor must have signed it, and it must be of success.
func foundOf(entry []byte, holders []string) (Found, error) {
	e, err := action.UnmarshalEntry(entry)
	if err != nil {
		return Found{}, err
	}
	if err := e.Verify(); err != nil {
		return Found{}, err
	}
	if !e.Result.OK() {
		return Found{}, fmt.Errorf("%w: result of %v is of a failure", errMalformed, e.Action)
	}
	ids, err := holdersOf(holders)
	if err != nil {
		return Found{}, err
	}
	return Found{Entry: e, Holders: merge([]peer.ID{e.Executor}, ids)}, nil
}

// answerOf writes a reply. A result that cannot be written is none.
func answerOf(number uint64, r reply) *schedpb.Answer {
	a := &schedpb.Answer{Number: number, Verdict: uint32(r.verdict)}
	if r.verdict != verdictFound {
		return a
	}
	entry, err := r.found.Entry.Marshal()
	if err != nil {
		a.Verdict = uint32(verdictAbsent)
		return a
	}
	a.Entry, a.Holders = entry, namesOf(r.found.Holders)
	return a
}

func digestsOf(bs [][]byte) ([]digest.Digest, error) {
	if len(bs) > maxLacking {
		return nil, fmt.Errorf("%w: %d actions, the limit is %d", errMalformed, len(bs), maxLacking)
	}
	ds := make([]digest.Digest, 0, len(bs))
	for _, b := range bs {
		d, err := digest.FromBinary(b)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// merge returns a followed by what else is in b, within the limit of holders.
func merge(a, b []peer.ID) []peer.ID {
	ids := make([]peer.ID, 0, len(a)+len(b))
	for _, id := range slices.Concat(a, b) {
		if len(ids) < maxHolders && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
