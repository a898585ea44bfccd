package registry

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// listener is a log, and does something at each of its lines.
type listener struct {
	slog.Handler
	heard func(line string)
}

func (l listener) Enabled(context.Context, slog.Level) bool { return true }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	l.heard(r.Message)
	return nil
}

func TestAnAnswerThatComesWhileAnotherIsLookedAtIsLookedAt(t *testing.T) {
	owner, other := asked{&lane{to: "owner"}, 1}, asked{&lane{to: "other"}, 1}
	i := newInquiry()
	i.add(owner)
	i.add(other)
	bad := 0
	log := slog.New(listener{slog.DiscardHandler, func(line string) {
		switch {
		case strings.Contains(line, "no claim"):
			i.answered(result{asked: other, answer: &schedpb.Answer{Verdict: uint32(verdictFound)}})
		case strings.Contains(line, "bad result"):
			bad++
		}
	}})
	r := &Registry{opts: Options{Log: log}, blame: newBlame()}
	c := &claiming{r: r, a: digest.Of(digest.BLAKE3, []byte("a")), inquiry: i, at: owner}
	i.answered(result{asked: owner, err: errors.New("the owner is gone")})
	if _, known, open := c.look(); known || open != 0 || bad != 1 {
		t.Errorf("known %t, %d open, %d bad results", known, open, bad)
	}
}

func TestAGrantIsNewsOnceItIsAwaited(t *testing.T) {
	first, second := asked{&lane{to: "first"}, 1}, asked{&lane{to: "second"}, 1}
	granted := &schedpb.Answer{Verdict: uint32(verdictGranted)}
	for _, awaited := range []bool{false, true} {
		i := newInquiry()
		i.add(first)
		i.add(second)
		if awaited {
			i.awaitGrant()
		}
		i.answered(result{asked: first, answer: granted})
		if woken := len(i.news) == 1; woken != awaited {
			t.Errorf("awaited %t: woken %t", awaited, woken)
		}
	}
}

func TestAReleaseIsNotLostWhereMuchIsAsked(t *testing.T) {
	l := newLanes(nil)
	key := heldKey{"x", digest.Of(digest.BLAKE3, []byte("a"))}
	for _, full := range []bool{false, true} {
		c := &lane{box: newOutbox[*schedpb.Question](), fail: make(chan error, 1), owed: map[uint64]*inquiry{}}
		for i := range uint64(maxOwed) {
			c.owed[i] = nil
		}
		if full {
			c.box.bytes = maxBox
		}
		l.release(c, key)
		l.release(c, key) // it blocks nobody
		if ended, said := len(c.fail) == 1, len(c.box.items) > 0; ended != full || said == full {
			t.Errorf("full %t: the stream ends %t, the owner is told %t", full, ended, said)
		}
	}
}

// An owner that says that it lives, and nothing else.
func TestItIsToldWhoTakesNoResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := peertest.NewNetwork()
		defer net.Close()
		net.Join("owner").Handle(Protocol, func(_ context.Context, _ peer.ID, s peer.Stream) {
			r := bufio.NewReader(s)
			for {
				var frame schedpb.Questions
				if wire.Read(r, &frame, maxFrame) != nil || wire.Write(s, &schedpb.Answers{}) != nil {
					return
				}
			}
		})
		told := 0
		log := slog.New(listener{slog.DiscardHandler, func(line string) {
			if strings.Contains(line, "not given") {
				told++
			}
		}})
		r := &Registry{opts: Options{Self: "self", Log: log}, lanes: newLanes(net.Join("self"))}
		defer r.lanes.close()
		f := &Found{Entry: action.Entry{Action: digest.Of(digest.BLAKE3, []byte("a")), Executor: "self"}}
		if got := r.offerAll(t.Context(), f, []peer.ID{"owner"}); len(got) != 0 || told != 1 || !r.owing.Load() {
			t.Errorf("taken by %v, told of %d", got, told)
		}
	})
}
