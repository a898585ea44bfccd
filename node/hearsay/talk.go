package hearsay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/node/hearsay/hearsaypb"
	"github.com/buildnet/buildnet/store/costs"
)

func (h *Hearsay) askOne(ctx context.Context, id peer.ID, kinds []costs.Kind) (map[costs.Kind]costs.Estimate, error) {
	q := question(kinds)
	q.Asks = true
	a, err := h.talk(ctx, id, q)
	if err != nil {
		return nil, fmt.Errorf("ask %s of costs: %w", id, err)
	}
	return told(kinds, a.GetKnown(), time.Now())
}

func (h *Hearsay) tellOne(ctx context.Context, id peer.ID, kinds []costs.Kind) error {
	q, now := question(kinds), time.Now()
	for i, k := range kinds {
		if e, ok := h.opts.Book.Own(k); ok {
			q.Known = append(q.Known, known(i, e, now))
		}
	}
	if _, err := h.talk(ctx, id, q); err != nil {
		return fmt.Errorf("tell %s of costs: %w", id, err)
	}
	return nil
}

// talk sends a question and returns its answer.
func (h *Hearsay) talk(ctx context.Context, id peer.ID, q *hearsaypb.Question) (*hearsaypb.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, talkTime)
	defer cancel()
	s, err := h.opts.Network.Open(ctx, id, Protocol)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	var a hearsaypb.Answer
	err = wire.Write(s, q)
	if err == nil {
		err = read(bufio.NewReader(s), &a, boundOfAnswer(q))
	}
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close() // both have said all
	return &a, nil
}

// Limits of what is answered at once: a question of maxKinds is a tenth of a
// second of reading.
const (
	maxVisitors  = 8
	maxPerMember = 2
)

var errBusy = errors.New("too many questions at once")

// door lets a few askers in at once.
type door struct {
	mu  sync.Mutex
	in  map[peer.ID]int
	all int
}

func newDoor() *door { return &door{in: map[peer.ID]int{}} }

func (d *door) enter(id peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= maxVisitors || d.in[id] >= maxPerMember {
		return false
	}
	d.in[id]++
	d.all++
	return true
}

func (d *door) leave(id peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in[id]--; d.in[id] == 0 {
		delete(d.in, id)
	}
	d.all--
}

func (h *Hearsay) serve(ctx context.Context, from peer.ID, s peer.Stream) {
	err := errBusy
	if h.door.enter(from) {
		err = h.answer(ctx, s)
		h.door.leave(from)
	}
	if err != nil {
		_ = s.Reset()
		h.opts.Log.Debug("question of costs not answered", "peer", from, "error", err)
		return
	}
	_ = s.Close()
}

func (h *Hearsay) answer(ctx context.Context, s peer.Stream) error {
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err := s.SetDeadline(time.Now().Add(talkTime)); err != nil {
		return err
	}
	var q hearsaypb.Question
	if err := read(bufio.NewReader(s), &q, boundOfQuestion()); err != nil {
		return err
	}
	kinds, err := kindsOf(&q)
	if err != nil {
		return err
	}
	var a hearsaypb.Answer
	if q.GetAsks() {
		now := time.Now()
		for i, k := range kinds {
			if e, ok := h.opts.Book.Known(k); ok {
				a.Known = append(a.Known, known(i, e, now))
			}
		}
		return wire.Write(s, &a)
	}
	all, err := told(kinds, q.GetKnown(), time.Now())
	if err != nil {
		return err
	}
	h.keep(all)
	return wire.Write(s, &a)
}
