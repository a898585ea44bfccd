package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/pace"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxServing questions of one stream are answered at once.
	maxServing = 16
	// silence closes a stream on which nothing comes; it is longer than the
	// idle time of the other end.
	silence = 2 * idleTime
)

var errFlood = errors.New("it asks more than it may, or does not read its answers")

// guard keeps one stream of each peer, and ends all with the node. A node
// asks an owner on one stream at a time: a second one means that the first is
// broken, or that the peer was started again, and ends the claims on it.
type guard struct {
	mu      sync.Mutex
	closed  bool
	streams map[peer.ID]peer.Stream
	serving sync.WaitGroup
}

func newGuard() *guard { return &guard{streams: map[peer.ID]peer.Stream{}} }

func (g *guard) enter(id peer.ID, s peer.Stream) bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	old := g.streams[id]
	g.streams[id] = s
	g.serving.Add(1)
	g.mu.Unlock()
	if old != nil {
		_ = old.Reset()
	}
	return true
}

func (g *guard) leave(id peer.ID, s peer.Stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.streams[id] == s {
		delete(g.streams, id)
	}
	g.serving.Done()
}

func (g *guard) close() {
	g.mu.Lock()
	g.closed = true
	streams := g.streams
	g.streams = map[peer.ID]peer.Stream{}
	g.mu.Unlock()
	for _, s := range streams {
		_ = s.Reset()
	}
	g.serving.Wait()
}

// visit is one stream of an asker.
type visit struct {
	r       *Registry
	from    peer.ID
	session claim.Session
	box     *outbox[*schedpb.Answer]
	work    errgroup.Group
	flooded atomic.Bool
	stream  peer.Stream
	looks   []func() // look-ups of the frame that is read; owned by read
}

func (r *Registry) serve(ctx context.Context, from peer.ID, s peer.Stream) {
	if !r.guard.enter(from, s) {
		_ = s.Reset()
		return
	}
	defer r.guard.leave(from, s)
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	v := &visit{r: r, from: from, session: r.here.open(), box: newOutbox[*schedpb.Answer](), stream: s}
	v.work.SetLimit(maxServing)
	defer r.here.end(v.session)
	stop, wrote := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(wrote)
		v.write(stop)
	}()
	err := v.read(ctx)
	close(stop)
	_ = s.Reset()
	<-wrote
	_ = v.work.Wait()
	r.opts.Log.Debug("asker's stream ended", "peer", from, "error", err)
}

func (v *visit) write(stop <-chan struct{}) {
	p := pace.Pace{Every: frameEvery}
	for {
		select {
		case <-stop:
			return
		case <-v.box.filled:
		}
		if !p.Wait(stop) {
			return
		}
		if err := wire.Write(v.stream, &schedpb.Answers{Answers: v.box.take()}); err != nil {
			_ = v.stream.Reset()
			return
		}
	}
}

func (v *visit) read(ctx context.Context) error {
	r := bufio.NewReader(v.stream)
	for {
		if err := v.stream.SetDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		var frame schedpb.Questions
		if err := wire.Read(r, &frame, maxFrame); err != nil {
			return err
		}
		if len(frame.GetQuestions()) > maxBatch || v.flooded.Load() {
			return errFlood
		}
		v.r.here.renew(v.session)
		h := atOnce
		switch len(frame.GetQuestions()) {
		case 0:
			v.box.signal() // it wants to hear that this end lives
		case 1:
		default:
			h = inTime
		}
		for _, q := range frame.GetQuestions() {
			if err := v.answer(ctx, q, h); err != nil {
				return err
			}
		}
		v.lookAll()
	}
}

// say queues an answer. It does not block: a peer that does not read is cut off.
func (v *visit) say(number uint64, r reply) { v.put(answerOf(number, r), atOnce) }

func (v *visit) put(a *schedpb.Answer, h haste) {
	if !v.box.put(a, h) && !v.flooded.Swap(true) {
		_ = v.stream.Reset()
	}
}

// answer takes claims and releases in their order, and does the rest beside. The
// haste is that of what nobody waits for.
func (v *visit) answer(ctx context.Context, q *schedpb.Question, h haste) error {
	switch body := q.GetBody().(type) {
	case *schedpb.Question_Claim:
		return v.claim(ctx, q.GetNumber(), body.Claim)
	case *schedpb.Question_Release:
		return v.release(q.GetNumber(), body.Release)
	case *schedpb.Question_Lookup:
		return v.lookup(ctx, q.GetNumber(), body.Lookup)
	case *schedpb.Question_Offer:
		v.work.Go(func() error {
			v.put(answerOf(q.GetNumber(), v.r.offered(ctx, v.from, body.Offer)), h)
			return nil
		})
		return nil
	case *schedpb.Question_Lacking:
		return v.lacking(ctx, q.GetNumber(), body.Lacking)
	default:
		return fmt.Errorf("%w question without a body", errMalformed)
	}
}

func (v *visit) claim(ctx context.Context, number uint64, m *schedpb.Claim) error {
	a, err := digest.FromBinary(m.GetAction())
	if err != nil {
		return err
	}
	build, err := buildOf(m.GetBuild())
	if err != nil {
		return err
	}
	initiator, err := peerOf(m.GetInitiator())
	if err != nil {
		return err
	}
	req := request{a, claim.Claimant{Session: v.session, Build: build}, initiator}
	v.r.here.request(ctx, req, func(r reply) { v.say(number, r) })
	return nil
}

func (v *visit) release(number uint64, m *schedpb.Release) error {
	a, err := digest.FromBinary(m.GetAction())
	if err != nil {
		return err
	}
	build, err := buildOf(m.GetBuild())
	if err != nil {
		return err
	}
	v.r.here.release(a, claim.Claimant{Session: v.session, Build: build})
	v.say(number, reply{verdict: verdictTaken})
	return nil
}

func (v *visit) lookup(ctx context.Context, number uint64, m *schedpb.Lookup) error {
	a, err := digest.FromBinary(m.GetAction())
	if err != nil {
		return err
	}
	initiator, err := peerOf(m.GetInitiator())
	if err != nil {
		return err
	}
	v.looks = append(v.looks, func() {
		f, ok := v.r.known(ctx, a, initiator)
		if !ok {
			v.say(number, reply{verdict: verdictAbsent})
			return
		}
		v.say(number, reply{verdictFound, f})
	})
	return nil
}

// lookAll does the look-ups of a frame, beside what comes next.
func (v *visit) lookAll() {
	looks := v.looks
	if v.looks = nil; len(looks) == 0 {
		return
	}
	v.work.Go(func() error {
		for _, look := range looks {
			look()
		}
		return nil
	})
}

func (v *visit) lacking(ctx context.Context, number uint64, m *schedpb.Lacking) error {
	ds, err := digestsOf(m.GetActions())
	if err != nil {
		return err
	}
	v.work.Go(func() error {
		bits := make([]byte, (len(ds)+7)/8)
		for i, d := range ds {
			if _, err := v.r.opts.Store.Get(ctx, d); err != nil {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		v.put(&schedpb.Answer{Number: number, Verdict: uint32(verdictTaken), Lacking: bits}, atOnce)
		return nil
	})
	return nil
}

// offered keeps a result that a peer gives, and ends the claim on its action.
func (r *Registry) offered(ctx context.Context, from peer.ID, m *schedpb.Offer) reply {
	f, err := foundOf(m.GetEntry(), m.GetHolders())
	if err != nil {
		r.accuse(from, err)
		return reply{verdict: verdictRefused}
	}
	if !r.shares(&f.Entry) {
		return reply{verdict: verdictRefused}
	}
	r.hints.add(f.Entry.Action, f.Holders)
	if err := r.opts.Store.Put(ctx, f.Entry); err != nil {
		r.opts.Log.Warn("result not kept", "action", f.Entry.Action, "error", err)
		return reply{verdict: verdictRefused}
	}
	r.here.publish(ctx, &f, r.serves)
	return reply{verdict: verdictTaken}
}
