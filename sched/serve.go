package sched

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

// serve takes a stream of a leader, or of an initiator that looks for one.
func (s *Service) serve(ctx context.Context, from peer.ID, stream peer.Stream) {
	if !s.enter(from) {
		_ = stream.Reset()
		return
	}
	defer s.exit(from)
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	defer context.AfterFunc(s.life, func() { _ = stream.Reset() })()
	if err := s.welcome(ctx, from, stream); err != nil {
		s.opts.Log.Debug("stream ended", "peer", from, "error", err)
		_ = stream.Reset()
	}
}

func (s *Service) enter(from peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.streams[from] >= maxStreams {
		return false
	}
	s.streams[from]++
	s.running.Add(1)
	return true
}

func (s *Service) exit(from peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[from]--; s.streams[from] == 0 {
		delete(s.streams, from)
	}
	s.running.Done()
}

func (s *Service) welcome(ctx context.Context, from peer.ID, stream peer.Stream) error {
	if err := stream.SetDeadline(time.Now().Add(openTime)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(stream, bufferBytes)
	e, _, err := readEnvelope(r, newDecoder())
	if err != nil {
		return err
	}
	if err := stream.SetDeadline(time.Time{}); err != nil {
		return err
	}
	switch msg := e.msg.(type) {
	case steal.Lead:
		return s.asked(ctx, from, e, msg)
	case steal.Hello:
		if e.epoch.Leader != from {
			return fmt.Errorf("%w: hello in an epoch of %s", errStrange, e.epoch.Leader)
		}
		return s.follow(newLink(stream, r, from, e), msg)
	default:
		return fmt.Errorf("%w: a stream begins with %T", errMalformed, msg)
	}
}

// asked begins to lead a build for its initiator. The stream ends in order if
// that went well.
func (s *Service) asked(ctx context.Context, from peer.ID, e envelope, msg steal.Lead) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	plan, err := s.loadPlan(ctx, msg.Plan, []peer.ID{from})
	if err != nil {
		return fmt.Errorf("lead build %s: %w", e.build, err)
	}
	return s.reign(e.build, &steal.TakeOver{Epoch: e.epoch, Initiator: from, Plan: msg.Plan}, plan)
}

// follow serves a leader until its stream ends.
func (s *Service) follow(l *link, hello steal.Hello) error {
	l.hello = hello
	s.spawn(func() { s.reconcile(rival{l.build, hello.Initiator}) })
	if r, ok := s.occupied(l.build, hello.Initiator); ok {
		err := l.send(steal.Occupied{Build: r.build, Initiator: r.initiator})
		l.finish()
		l.write()
		return err
	}
	p, err := s.join(l, hello)
	if err != nil {
		return err
	}
	if !s.spawn(l.write) {
		return ErrClosed
	}
	err = l.read(func(msg steal.Message) bool {
		return p.box.post(func() { p.take(l, msg) })
	})
	l.reset(err)
	p.box.post(func() { p.detach(l) })
	return err
}

// join attaches a stream to this node's part in the build. A part that is just
// ending is followed by a new one.
func (s *Service) join(l *link, hello steal.Hello) (*party, error) {
	for {
		p, err := s.party(l.build, maxBuilds)
		if err != nil {
			return nil, err
		}
		if p.box.post(func() { p.attach(l, hello) }) {
			return p, nil
		}
	}
}
