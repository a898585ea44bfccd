package registry_test

import (
	"bufio"
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/store/digest"
)

// Numbers of verdicts on the wire.
const (
	found1   = 1
	taken4   = 4
	refused5 = 5
)

// bad returns entries that nobody may take for the result of a.
func (n *node) bad(a digest.Digest, other *node) map[string]action.Entry {
	failed, err := action.SignEntry(a, action.Result{ExitCode: 1, Isolation: action.Full}, n.id, func([]byte) ([]byte, error) {
		e := n.entry(a, action.Full)
		return e.Signature, nil
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
	forged := n.entry(a, action.Full)
	forged.Executor = other.id
	return map[string]action.Entry{
		"Forged": forged, "AnotherAction": n.entry(name("another"), action.Full), "Failed": failed,
		"Reduced": n.entry(a, action.Reduced),
	}
}

func encoded(t *testing.T, e action.Entry) []byte {
	t.Helper()
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBadResultsOfAnOwnerAreIgnored(t *testing.T) {
	for _, kind := range []string{"Forged", "AnotherAction", "Failed", "Reduced"} {
		t.Run(kind, func(t *testing.T) {
			inWorld(t, 5, func(t *testing.T, w *world) {
				a, owner, asker := name("a"), w.nodes[0], w.nodes[4]
				entry := encoded(t, owner.bad(a, w.nodes[1])[kind])
				w.net.Join(owner.id).Handle(registry.Protocol, func(_ context.Context, _ peer.ID, s peer.Stream) {
					r := bufio.NewReader(s)
					for {
						var q schedpb.Questions
						if wire.Read(r, &q, wire.MaxFrame) != nil {
							return
						}
						var all schedpb.Answers
						for _, one := range q.Questions {
							all.Answers = append(all.Answers, &schedpb.Answer{Number: one.Number, Verdict: found1, Entry: entry})
						}
						if wire.Write(s, &all) != nil {
							return
						}
					}
				})
				granted(t, asker.claim(t.Context(), "x", a))
				if got := asker.Lookup(t.Context(), asker.scope("x"), []digest.Digest{a}); len(got) != 0 {
					t.Errorf("Lookup = %v", got)
				}
			})
		})
	}
}

func TestBadOffersAreRefused(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		a, giver := name("a"), w.nodes[2]
		offers := giver.bad(a, w.nodes[1])
		delete(offers, "AnotherAction") // an offer names its own
		s, err := w.net.Join(giver.id).Open(t.Context(), w.nodes[0].id, registry.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		r := bufio.NewReader(s)
		offer := func(e action.Entry) uint32 {
			t.Helper()
			q := &schedpb.Question{Number: 1, Body: &schedpb.Question_Offer{Offer: &schedpb.Offer{Entry: encoded(t, e)}}}
			if err := wire.Write(s, &schedpb.Questions{Questions: []*schedpb.Question{q}}); err != nil {
				t.Fatal(err)
			}
			for {
				var got schedpb.Answers
				if err := wire.Read(r, &got, wire.MaxFrame); err != nil {
					t.Fatal(err)
				}
				if len(got.Answers) > 0 {
					return got.Answers[0].Verdict
				}
			}
		}
		for kind, e := range offers {
			if v := offer(e); v != refused5 {
				t.Errorf("%s: verdict %d, want refused", kind, v)
			}
		}
		if w.nodes[0].has(a) {
			t.Error("a bad result was kept")
		}
		if v := offer(giver.entry(a, action.Full)); v != taken4 {
			t.Errorf("verdict %d, want taken", v)
		}
	})
}

func TestStrangeStreamsAreCutOff(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		from := w.net.Join("stranger")
		for kind, say := range map[string][]byte{
			"TooLong": protowire.AppendVarint(nil, 1<<40),
			"Noise":   {3, 255, 255, 255},
			"NoBody":  {2, 10, 0},
		} {
			s, err := from.Open(t.Context(), w.nodes[0].id, registry.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(say); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if _, err := io.Copy(io.Discard, s); err == nil || time.Since(begun) > 0 {
				t.Errorf("%s: the stream goes on: %v", kind, err)
			}
			_ = s.Reset()
		}
		granted(t, w.nodes[1].claim(t.Context(), "x", name("a")))
	})
}
