package sched

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched/pace"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// maxQueued bounds what waits to be written to one peer, in bytes: a
	// standby's copy of a long log comes in one go.
	maxQueued = 64 << 20
	// openTime bounds how long a stream may take to open, and its first frame
	// to come.
	openTime = 2 * time.Second
	// flushTime is what a stream has to carry its last messages.
	flushTime = time.Second
	// bufferBytes of a stream's reader and writer.
	bufferBytes = 64 << 10
	// A frame costs more than what is in it: gatherTime is what a message waits
	// for others that a build is not held up by for so long, patience what one
	// does that nobody waits for. An open build is held up by the former, because
	// its user adds the next step when one is announced: there it waits only
	// behind more than openFrames in a row, and then for openGather.
	gatherTime = 5 * time.Millisecond
	openGather = time.Millisecond
	openFrames = 4
	patience   = 20 * time.Millisecond
)

var errSlow = errors.New("it does not read what it is sent")

// link is one end of a stream of one build and one epoch. Nothing of it blocks
// the owner of a machine: a peer that does not read is cut off.
type link struct {
	stream peer.Stream
	peer   peer.ID
	build  steal.BuildID
	epoch  steal.Epoch
	r      *bufio.Reader
	dec    *decoder
	size   int // in bytes, of what was read last
	// trusted links are those within this node, which believes itself.
	trusted bool
	hello   steal.Hello // at the member's end
	written *written    // by its leader, for all members; nil elsewhere

	wake chan struct{} // holds one token while there is something to do

	mu      sync.Mutex
	queue   []*schedpb.Envelope
	queued  int       // bytes
	pace    pace.Pace // of an open build
	due     time.Time
	timer   *time.Timer // until due; nil while nothing waits for others
	closing bool        // in order, by the writer: what was sent still gets there
	broken  error
}

func newLink(stream peer.Stream, r *bufio.Reader, p peer.ID, e envelope) *link {
	_, within := stream.(pipe)
	l := &link{
		stream: stream, r: r, dec: newDecoder(), trusted: within, peer: p, build: e.build, epoch: e.epoch,
		wake: make(chan struct{}, 1),
	}
	if h, ok := e.msg.(steal.Hello); ok && h.Open {
		l.pace = pace.Pace{Every: openGather, Burst: openFrames}
	}
	return l
}

// send queues a message. What the caller shares with it is free when it
// returns. After an error nothing more will be sent.
func (l *link) send(msg steal.Message) error {
	m, err := encodeAfter(l.written, envelope{l.build, l.epoch, msg})
	if err != nil {
		l.reset(err)
		return err
	}
	size := proto.Size(m)
	l.mu.Lock()
	full := l.queued+size > maxQueued
	now := true
	if l.broken == nil && !full {
		if !l.join(m, size) {
			l.queue = append(l.queue, m)
		}
		l.queued += size
		now = !l.gather(msg)
	}
	err = l.broken
	l.mu.Unlock()
	switch {
	case err != nil:
		return err
	case full:
		l.reset(errSlow)
		return errSlow
	}
	if now {
		l.signal()
	}
	return nil
}

// gather has a message wait for others, if it may; l.mu is held.
func (l *link) gather(msg steal.Message) bool {
	now := time.Now()
	var wait time.Duration
	switch msg.(type) {
	case steal.Append, steal.Ack, steal.Beat, steal.Secured:
		if wait = gatherTime; l.pace.Every > 0 {
			wait = min(l.pace.Rest(now), openGather) // frames of what presses count as well
		}
	case steal.Started, steal.Confirm:
		wait = patience
	}
	if wait == 0 || l.trusted {
		return false
	}
	due := now.Add(wait)
	switch {
	case l.timer == nil:
		l.due, l.timer = due, time.AfterFunc(wait, l.signal)
	case due.Before(l.due):
		l.due = due
		l.timer.Reset(wait)
	}
	return true
}

// maxJoined bounds the bytes that wait for a message to be joined to the last.
const maxJoined = 64 << 10

// join makes one message of m and the last one that waits, where both say how
// far the log is; l.mu is held.
func (l *link) join(m *schedpb.Envelope, size int) bool {
	if len(l.queue) == 0 || l.queued+size > maxJoined {
		return false
	}
	last := l.queue[len(l.queue)-1]
	switch body := m.GetBody().(type) {
	case *schedpb.Envelope_Append:
		return joinAppend(last.GetAppend(), body.Append)
	case *schedpb.Envelope_Beat:
		return joinBeat(last, body.Beat)
	case *schedpb.Envelope_Ack:
		if ack := last.GetAck(); ack != nil {
			ack.Index = max(ack.GetIndex(), body.Ack.GetIndex())
			return true
		}
	}
	return false
}

// joinAppend joins ops that follow one another.
func joinAppend(last, next *schedpb.Append) bool {
	n := uint64(len(last.GetOps()))
	if n == 0 || len(next.GetOps()) == 0 || last.GetFirst()+n != next.GetFirst() || len(last.GetOps())+len(next.GetOps()) > maxOps {
		return false
	}
	last.Ops, last.Commit = append(last.Ops, next.GetOps()...), next.GetCommit()
	return true
}

// joinBeat joins a sign of life to one that says as much.
func joinBeat(last *schedpb.Envelope, beat *schedpb.Beat) bool {
	switch body := last.GetBody().(type) {
	case *schedpb.Envelope_Append:
		if beat.GetCalm() {
			return false // it is the last word
		}
		body.Append.Commit = max(body.Append.GetCommit(), beat.GetCommit())
	case *schedpb.Envelope_Beat:
		body.Beat.Commit, body.Beat.Calm = max(body.Beat.GetCommit(), beat.GetCommit()), beat.GetCalm()
	default:
		return false
	}
	return true
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write carries the queue until the link breaks or is finished.
func (l *link) write() {
	w := bufio.NewWriterSize(l.stream, bufferBytes)
	for range l.wake {
		batch, closing, broken := l.take()
		if broken != nil {
			return
		}
		if err := flush(w, batch); err != nil {
			l.mute(err)
			return
		}
		if closing {
			_ = l.stream.Close()
			return
		}
	}
}

// take empties the queue.
func (l *link) take() (batch []*schedpb.Envelope, closing bool, broken error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch, l.queue, l.queued = l.queue, nil, 0; len(batch) > 0 {
		l.pace.Begin(time.Now())
	}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	return batch, l.closing, l.broken
}

func flush(w *bufio.Writer, batch []*schedpb.Envelope) error {
	for _, m := range batch {
		if err := wire.Write(w, m); err != nil {
			return err
		}
	}
	return w.Flush()
}

// mute ends writing alone: a peer that has closed the stream in order takes
// nothing any more, but its last messages may still be on their way.
func (l *link) mute(why error) {
	l.mu.Lock()
	if l.broken == nil {
		l.broken = why
	}
	l.mu.Unlock()
	time.AfterFunc(flushTime, func() { l.reset(why) })
}

// reset breaks the link at once, unless it is being finished.
func (l *link) reset(why error) {
	l.mu.Lock()
	closing := l.closing
	if l.broken == nil && !closing {
		l.broken = why
	}
	l.mu.Unlock()
	if !closing {
		_ = l.stream.Reset()
		l.signal()
	}
}

// finish closes the link when what is queued has been written. A peer that
// does not read it in time does not get it.
func (l *link) finish() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.signal()
	time.AfterFunc(flushTime, func() { _ = l.stream.Reset() })
}

// read hands over the messages that come until the stream ends, or take
// returns false.
func (l *link) read(take func(steal.Message) bool) error {
	for {
		msg, err := l.next()
		if err != nil {
			return err
		}
		if !take(msg) {
			return ErrClosed
		}
	}
}

func (l *link) next() (steal.Message, error) {
	e, size, err := readEnvelope(l.r, l.dec)
	if err != nil {
		return nil, err
	}
	l.size = size
	if e.build != l.build || e.epoch != l.epoch {
		return nil, fmt.Errorf("%w: it is of another build or epoch than its stream", errMalformed)
	}
	if !l.trusted {
		err = verify(e.msg, l.peer)
	}
	return e.msg, err
}

// readEnvelope returns the next message, and how many bytes it has.
func readEnvelope(r *bufio.Reader, d *decoder) (envelope, int, error) {
	var m schedpb.Envelope
	if err := wire.Read(r, &m, maxFrame); err != nil {
		return envelope{}, 0, err
	}
	e, err := d.decode(&m)
	return e, proto.Size(&m), err
}

// dial opens a stream to a member, or to this node itself, and writes its
// first message.
func (s *Service) dial(ctx context.Context, to peer.ID, e envelope) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	stream, err := s.open(ctx, to)
	if err != nil {
		return nil, err
	}
	m, err := encode(e)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
		err = wire.Write(stream, m)
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		_ = stream.Reset()
		return nil, fmt.Errorf("speak to %s: %w", to, err)
	}
	return newLink(stream, bufio.NewReaderSize(stream, bufferBytes), to, e), nil
}

// answer waits until the other end has said something. A stream to a member
// that has just died opens like any other, and takes what is written to it.
func (l *link) answer(ctx context.Context) (first steal.Message, err error) {
	stop := context.AfterFunc(ctx, func() { _ = l.stream.Reset() })
	err = l.stream.SetDeadline(time.Now().Add(openTime))
	if err == nil {
		first, err = l.next()
	}
	if err == nil {
		err = l.stream.SetDeadline(time.Time{})
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = l.stream.Reset()
		return nil, fmt.Errorf("no answer of %s: %w", l.peer, err)
	}
	return first, nil
}

func (s *Service) open(ctx context.Context, to peer.ID) (peer.Stream, error) {
	if to != s.opts.Self {
		return s.opts.Network.Open(ctx, to, Protocol)
	}
	near, far := net.Pipe()
	if !s.spawn(func() {
		s.serve(s.life, to, pipe{far})
		_ = far.Close()
	}) {
		return nil, ErrClosed
	}
	return pipe{near}, nil
}

// pipe is a stream within this node. A net.Pipe has no buffer: what was
// written has been read.
type pipe struct{ net.Conn }

// CloseWrite closes: a pipe has no half.
func (p pipe) CloseWrite() error { return p.Close() }

// Reset closes: there is nothing on the way that could be lost.
func (p pipe) Reset() error { return p.Close() }
