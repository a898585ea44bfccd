package build

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

// AttendProtocol is the stream protocol by which members follow the builds of
// others: a question as a line of JSON, an answer as one, and then, to who
// follows, the build's events as it prints them, its results, and an end.
const AttendProtocol = "/buildnet/attend/1"

const (
	// maxQuestion bounds a question and its answer, in bytes; maxLine any other
	// line: what a step printed, with room for how JSON writes it.
	maxQuestion = 4 << 10
	maxLine     = 6*maxOutput + 64<<10
	// askTime bounds a question and its answer.
	askTime = time.Second
	// followTime is how long who follows may take for a line.
	followTime = 30 * time.Second
	// maxFollowers of all builds here at once.
	maxFollowers = 64
)

// question is what a member asks.
type question struct {
	Ask   string `json:"ask"` // askHas, askFind or askFollow
	Build string `json:"build"`
}

const (
	// askHas asks whether the node began the build itself.
	askHas = "has"
	// askFind asks for a build that is meant, or that goes on with it.
	askFind = "find"
	// askFollow is askFind, and what comes of it.
	askFollow = "follow"
)

type reply struct {
	Build string `json:"build,omitempty"` // empty: there is none
	Ended bool   `json:"ended,omitempty"`
	// Matches are the names of several builds that may be meant.
	Matches []string `json:"matches,omitempty"`
}

// maxMatches bounds how many builds an answer names.
const maxMatches = 16

// Lines after the events.
type closing struct {
	// Result is one of the build's, as package action writes it.
	Result []byte `json:"result,omitempty"`
	End    bool   `json:"end,omitempty"`
}

// attend answers a member.
func (b *Builder) attend(ctx context.Context, _ peer.ID, s peer.Stream) {
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err := s.SetDeadline(time.Now().Add(askTime)); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := b.answer(ctx, s, false, func() error { return s.SetDeadline(time.Now().Add(followTime)) })
	if err != nil {
		b.opts.Log.Debug("follower is lost", "error", err)
		_ = s.Reset()
	}
}

// answer reads a question, of this node itself or another, and answers it; alive is
// called before each line.
func (b *Builder) answer(ctx context.Context, s io.ReadWriter, here bool, alive func() error) error {
	var q question
	if err := readLine(bufio.NewReader(io.LimitReader(s, maxQuestion)), maxQuestion, &q); err != nil {
		return err
	}
	var a reply
	r, stand, matches := b.find(q.Build, here)
	switch {
	case q.Ask == askHas:
		if b.has(steal.BuildID(q.Build), here) {
			a.Build = q.Build
		}
	case r != nil:
		a = reply{Build: string(r.req.ID), Ended: stand == ended}
	default:
		a.Matches = matches[:min(len(matches), maxMatches)]
	}
	if q.Ask != askFollow || r == nil {
		return writeLine(s, a)
	}
	defer b.followers.Add(-1)
	if b.followers.Add(1) > maxFollowers {
		return errFull
	}
	if err := writeLine(s, a); err != nil {
		return err
	}
	err := r.told.Load().follow(ctx, func(line []byte) error {
		if err := alive(); err != nil {
			return err
		}
		_, err := s.Write(append(slices.Clip(line), '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return r.close(s, alive)
}

// close tells what a build that has ended made.
func (r *run) close(s io.Writer, alive func() error) error {
	ids := make([]action.StepID, 0, len(r.outcomes))
	for id := range r.outcomes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		encoded, err := r.outcomes[id].Marshal()
		if err == nil {
			err = alive()
		}
		if err == nil {
			err = writeLine(s, closing{Result: encoded})
		}
		if err != nil {
			return err
		}
	}
	return writeLine(s, closing{End: true})
}

func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

var (
	errLine = errors.New("malformed line")
	errFull = errors.New("too many follow builds here")
)

// line reads one, of no more than limit bytes.
func line(r *bufio.Reader, limit int) ([]byte, error) {
	var all []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(all)+len(part) > limit {
			return nil, fmt.Errorf("%w: more than %d bytes", errLine, limit)
		}
		all = append(all, part...)
		switch {
		case err == nil:
			return all[:len(all)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func readLine(r *bufio.Reader, limit int, v any) error {
	l, err := line(r, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(l, v); err != nil {
		return fmt.Errorf("%w: %w", errLine, err)
	}
	return nil
}

// ask asks a member, or this node, and returns its answer and what follows it.
// The caller closes the stream.
func (b *Builder) ask(ctx context.Context, of peer.ID, q question) (reply, *bufio.Reader, io.Closer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, err := b.open(ctx, of)
	if err != nil {
		return reply{}, nil, nil, err
	}
	r := bufio.NewReaderSize(s, 64<<10)
	var a reply
	err = s.SetDeadline(time.Now().Add(askTime))
	if err == nil {
		err = writeLine(s, q)
	}
	if err == nil {
		err = readLine(r, maxQuestion, &a)
	}
	if err == nil {
		err = s.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = s.Close()
		return reply{}, nil, nil, err
	}
	return a, r, s, nil
}

// dialogue is a stream, or a pipe to this node itself.
type dialogue interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

func (b *Builder) open(ctx context.Context, of peer.ID) (dialogue, error) {
	if of != b.opts.Self {
		return b.opts.Network.Open(ctx, of, AttendProtocol)
	}
	near, far := net.Pipe()
	go func() {
		defer func() { _ = far.Close() }()
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		_ = b.answer(ctx, far, true, func() error { return far.SetDeadline(time.Now().Add(followTime)) })
	}()
	return near, nil
}

// Alive implements sched.Heirs.
func (b *Builder) Alive(ctx context.Context, id steal.BuildID, initiator peer.ID) bool {
	a, _, s, err := b.ask(ctx, initiator, question{askHas, string(id)})
	if err != nil {
		return false
	}
	_ = s.Close()
	return a.Build != ""
}

// kindOf is the kind of an event that is a line.
func kindOf(l []byte) string {
	var head struct {
		Event string `json:"event"`
	}
	if json.Unmarshal(l, &head) != nil {
		return ""
	}
	return head.Event
}

// closingOf reads a line after the events.
func closingOf(l []byte) (r *action.Result, end bool, err error) {
	var c closing
	if err := json.Unmarshal(l, &c); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errLine, err)
	}
	if c.End {
		return nil, true, nil
	}
	if r, err = action.UnmarshalResult(c.Result); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errLine, err)
	}
	return r, false, nil
}
