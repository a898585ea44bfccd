package peertest

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// maxBuffered is what a direction holds before its writer waits, as a QUIC
// stream's flow-control window would make it.
const maxBuffered = 256 << 10

var errReset = errors.New("stream was reset")

// pipe is one direction of a stream.
type pipe struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	ended   bool // by the writer
	err     error
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

// deadline wakes waiters of a pipe when its time has come.
type deadline struct {
	passed bool
	timer  *time.Timer
}

func (p *pipe) setDeadline(d *deadline, t time.Time) {
	p.update(func() {
		if d.timer != nil {
			d.timer.Stop()
			d.timer = nil
		}
		d.passed = false
		if t.IsZero() {
			return
		}
		if wait := time.Until(t); wait > 0 {
			d.timer = time.AfterFunc(wait, func() { p.update(func() { d.passed = true }) })
			return
		}
		d.passed = true
	})
}

func (p *pipe) read(b []byte, d *deadline) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return 0, p.err
		case d.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.changed.Broadcast()
			return n, nil
		case p.ended:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte, d *deadline) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for {
		switch {
		case p.err != nil:
			return written, p.err
		case p.ended:
			return written, io.ErrClosedPipe
		case d.passed:
			return written, os.ErrDeadlineExceeded
		case len(b) == 0:
			return written, nil
		}
		if room := maxBuffered - len(p.buf); room > 0 {
			n := min(room, len(b))
			p.buf = append(p.buf, b[:n]...)
			b, written = b[n:], written+n
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

// stream is one end.
type stream struct {
	net          *Network
	owner, other peer.ID
	in, out      *pipe
	inBy, outBy  deadline // guarded by in.mu and out.mu
}

func newStreams(n *Network, from, to peer.ID) (near, far *stream) {
	a, b := newPipe(), newPipe()
	return &stream{net: n, owner: from, other: to, in: a, out: b}, &stream{net: n, owner: to, other: from, in: b, out: a}
}

func (s *stream) Read(b []byte) (int, error)  { return s.in.read(b, &s.inBy) }
func (s *stream) Write(b []byte) (int, error) { return s.out.write(b, &s.outBy) }

func (s *stream) CloseWrite() error {
	s.out.update(func() { s.out.ended = true })
	return nil
}

// Close ends writing, and makes the other end's writes fail: nobody reads them.
func (s *stream) Close() error {
	s.forget()
	_ = s.CloseWrite()
	s.in.update(func() {
		if !s.in.ended && s.in.err == nil {
			s.in.err = errReset
		}
	})
	return nil
}

func (s *stream) Reset() error {
	s.forget()
	for _, p := range []*pipe{s.in, s.out} {
		p.update(func() { p.err = errReset })
	}
	return nil
}

func (s *stream) forget() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	delete(s.net.streams, s)
}

func (s *stream) SetDeadline(t time.Time) error {
	s.in.setDeadline(&s.inBy, t)
	s.out.setDeadline(&s.outBy, t)
	return nil
}
