package sched

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxDirectory in bytes, of one Directory message: some 300,000 entries.
	maxDirectory = 32 << 20
	// maxRemembered in bytes, of the directories that one leader has read;
	// steps of a build share most of them.
	maxRemembered = 64 << 20
	// claimSlack is what another build's execution may take on top of its own
	// time: to wait for a worker, and for its inputs.
	claimSlack = 5 * time.Minute
)

var errMissing = errors.New("blob is missing")

// resolve makes a step into an action, and looks whether it is known. Nothing is left
// to tell of one that was told while it was looked for, and is not known.
func (l *leading) resolve(ctx context.Context, r steal.Resolve) (out steal.Resolved, tell bool) {
	out = steal.Resolved{Step: r.Step, Attempt: r.Attempt}
	a, err := action.Assemble(ctx, r.Of, r.Results, l.dirs.of(r.Step, r.Holders))
	if err == nil && !fits(a) {
		err = l.s.opts.Blobs.Put(ctx, a.Blobs...)
	}
	if err != nil {
		out.Failure, out.Invalid = failureOf(err)
		return out, true
	}
	out.Action = a.Action
	keep := sync.OnceFunc(func() {
		if fits(a) {
			l.parcels.keep(a, func(going map[digest.Digest][][]byte) { l.save(ctx, going) })
		}
	})
	tell = true
	switch {
	case r.Of.Sharing == action.Unshared || l.opts.Plan.Modes.Exchange == steal.GiveOnly:
	case l.opts.Plan.Modes.Exchange == steal.TakeOnly && !r.Fresh:
		// Without a claim: nobody would get the result that they wait for.
		if f, ok := l.s.opts.Results.Lookup(ctx, l.scope, []digest.Digest{a.Action})[a.Action]; ok {
			out.Found, out.Holders = &f.Entry, f.Holders
		}
	case r.Fresh:
		if f, ok := l.s.opts.Results.Lookup(ctx, l.scope, []digest.Digest{a.Action})[a.Action]; ok {
			out.Known = &f.Entry
		}
	default:
		tell = l.claim(ctx, &out, r.Of.Timeout, r.Patience, keep)
	}
	keep() // now, because a claim may take long
	return out, tell
}

// save puts what open steps are made of into the own store, before it is
// forgotten: whoever gets such a step then asks this node for it.
func (l *leading) save(ctx context.Context, going map[digest.Digest][][]byte) {
	var open []digest.Digest
	looked := make(chan struct{})
	if !l.box.post(func() {
		defer close(looked)
		for a := range l.machine.Going() {
			if _, ok := going[a]; ok {
				open = append(open, a)
			}
		}
	}) {
		return
	}
	<-looked
	var blobs []action.Blob
	for _, a := range open {
		blobs = append(blobs, unpack(going[a])...)
	}
	if err := l.s.opts.Blobs.Put(ctx, blobs...); err != nil && ctx.Err() == nil {
		l.s.opts.Log.Warn("messages of open steps not kept", "build", l.build, "steps", len(open), "error", err)
	}
}

// failureOf says what an error is to a step, and whether it is the step's own.
func failureOf(err error) (*steal.Failure, bool) {
	f := &steal.Failure{Kind: steal.Broken, Text: err.Error()}
	if errors.Is(err, errMissing) {
		f.Kind = steal.MissingBlob
		return f, false
	}
	return f, errors.Is(err, action.ErrInvalid) || errors.Is(err, digest.ErrMalformed)
}

// directories reads Directory messages out of the own store, which fetches
// them from their holders, and remembers some.
type directories struct {
	s         *Service
	initiator peer.ID

	mu    sync.Mutex
	known map[digest.Digest]*repb.Directory
	bytes int64 // of known, encoded
	ahead *ahead
}

func newDirectories(s *Service, initiator peer.ID) *directories {
	return &directories{s: s, initiator: initiator, known: map[digest.Digest]*repb.Directory{}}
}

// heldBy is directories with the names of those who have what is missing.
type heldBy struct {
	*directories
	holders []peer.ID
	step    steal.Step // that is assembled; -1 if it does not matter
}

func (d *directories) from(holders []peer.ID) heldBy { return heldBy{d, holders, -1} }

// of is from for a step of the plan.
func (d *directories) of(s steal.Step, holders []peer.ID) heldBy { return heldBy{d, holders, s} }

// Directory returns the message called d.
func (h heldBy) Directory(ctx context.Context, d digest.Digest) (*repb.Directory, error) {
	h.mu.Lock()
	dir, ok := h.known[d]
	h.mu.Unlock()
	if ok {
		return dir, nil
	}
	b, err := h.s.opts.Blobs.Get(ctx, d, maxDirectory)
	if err != nil {
		h.bringAhead(ctx)
		b, err = h.s.brought(ctx, d, maxDirectory, h.holders)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	dir = &repb.Directory{}
	if err := proto.Unmarshal(b, dir); err != nil {
		return nil, fmt.Errorf("directory %v: %w: %w", d, action.ErrInvalid, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bytes+d.Size() > maxRemembered {
		clear(h.known)
		h.bytes = 0
	}
	h.known[d] = dir
	h.bytes += d.Size()
	return dir, nil
}
