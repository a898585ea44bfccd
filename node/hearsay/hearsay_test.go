package hearsay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/node/hearsay/hearsaypb"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rumour is a mesh of members that tell one another.
type rumour struct {
	t       *testing.T
	network *peertest.Network
	books   map[peer.ID]*costs.Book
	says    map[peer.ID]*Hearsay

	mu sync.Mutex
	// ranked are the owners of every shard, best first.
	ranked []peer.ID
}

func newRumour(t *testing.T, ids ...peer.ID) *rumour {
	m := &rumour{t: t, network: peertest.NewNetwork(), ranked: ids, books: map[peer.ID]*costs.Book{}, says: map[peer.ID]*Hearsay{}}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait(); m.network.Close() })
	for _, id := range ids {
		m.books[id] = costs.New(&memory.KV{}, &memory.KV{})
		h := New(Options{Self: id, Network: m.network.Join(id), Owners: m.owners, Book: m.books[id]})
		m.says[id] = h
		running.Go(func() { _ = h.Run(ctx) })
	}
	synctest.Wait() // all of them run
	return m
}

func (m *rumour) owners(_ digest.Digest, n int) []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ranked[:min(n, len(m.ranked))]
}

func (m *rumour) setOwners(ids ...peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ranked = ids
}

// learn has a member see runs of n kinds, and returns these.
func (m *rumour) learn(id peer.ID, n int, work float64) []costs.Kind {
	m.t.Helper()
	var kinds []costs.Kind
	for i := range n {
		k := kind(i)
		d := time.Duration(work * float64(time.Second))
		r := costs.Run{Wall: d, CPU: d, BPU: 1, Share: 1, Memory: 1 << 20, Bytes: 4096, OK: true}
		if err := m.books[id].Learn(costs.Kinds{Step: k, Rule: costs.Kind{0xff}}, r, time.Now()); err != nil {
			m.t.Fatal(err)
		}
		kinds = append(kinds, k)
	}
	return kinds
}

func kind(i int) (k costs.Kind) {
	binary.BigEndian.PutUint32(k[12:], uint32(i))
	k[0] = byte(i)
	return k
}

// knows counts the kinds of which a member expects this work.
func (m *rumour) knows(id peer.ID, kinds []costs.Kind, work float64) (n int) {
	for _, k := range kinds {
		if e, ok := m.books[id].Known(k); ok && math.Abs(e.Work()-work) < 1e-3*work {
			n++
		}
	}
	return n
}

func TestWhoAsksKnowsWhatAnyOwnerKnows(t *testing.T) {
	for name, who := range map[string]peer.ID{"First": "a", "Second": "b", "Third": "c"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newRumour(t, "a", "b", "c", "fresh")
				kinds := m.learn(who, 100, 2.5)
				m.says["fresh"].Ask(t.Context(), append(kinds, kind(1000)))
				if n := m.knows("fresh", kinds, 2.5); n != 100 {
					t.Errorf("it knows %d of 100", n)
				}
				e, _ := m.books["fresh"].Known(kinds[0])
				if math.Abs(e.Memory-1<<20) > 1 || math.Abs(e.Output-4096) > 1 || e.Runs < 1 {
					t.Errorf("it knows %+v", e)
				}
			})
		})
	}
}

func TestWhatWasLearnedIsToldToTheOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRumour(t, "a", "b", "c", "d")
		kinds := m.learn("d", 300, 7)
		m.says["d"].Tell(kinds)
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		for _, id := range []peer.ID{"a", "b", "c"} {
			if n := m.knows(id, kinds, 7); n != 300 {
				t.Errorf("%s knows %d of 300", id, n)
			}
		}
	})
}

// A node that has built alone tells those who come later.
func TestWhatWasLearnedAloneIsToldToWhoComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRumour(t, "a", "late")
		m.setOwners("a")
		kinds := m.learn("a", 20, 5)
		m.says["a"].Tell(kinds)
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		if n := m.knows("late", kinds, 5); n != 0 {
			t.Fatalf("who is no member yet knows %d", n)
		}
		m.setOwners("a", "late")
		time.Sleep(retryEvery)
		synctest.Wait()
		if n := m.knows("late", kinds, 5); n != 20 {
			t.Errorf("who came late knows %d of 20", n)
		}
	})
}

// What a node has heard it passes on to who asks, but does not tell by itself:
// nothing goes round in circles.
func TestOnlyOwnRunsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRumour(t, "a", "b")
		kinds := m.learn("a", 10, 3)
		m.says["b"].Ask(t.Context(), kinds)
		m.says["b"].Tell(kinds)
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		if e, _ := m.books["a"].Known(kinds[0]); e.Runs != 1 {
			t.Errorf("one run comes back to a as %v", e.Runs)
		}
	})
}

func TestMembersThatAreGoneCostNoMoreThanTheAskersPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRumour(t, "a", "b", "fresh")
		kinds := m.learn("b", 5, 1)
		m.network.Kill("a")
		m.says["fresh"].Ask(t.Context(), kinds)
		if n := m.knows("fresh", kinds, 1); n != 5 {
			t.Errorf("it knows %d of 5 from who is left", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newRumour(t, "mute", "fresh")
		m.network.Join("mute").Handle(Protocol, func(ctx context.Context, _ peer.ID, _ peer.Stream) { <-ctx.Done() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		m.says["fresh"].Ask(ctx, []costs.Kind{kind(1)})
		if took := time.Since(began); took > time.Second {
			t.Errorf("it waited %v", took)
		}
		time.Sleep(talkTime)
	})
}

func TestAMemberMayNotAskWithoutEnd(t *testing.T) {
	d := newDoor()
	for range maxPerMember {
		if !d.enter("a") {
			t.Fatal("a is not let in")
		}
	}
	if d.enter("a") {
		t.Error("a is let in once more")
	}
	all := maxPerMember
	for i := 0; all < maxVisitors; i++ {
		if !d.enter(peer.ID(rune('b' + i))) {
			t.Fatal("another one is not let in")
		}
		all++
	}
	if d.enter("z") {
		t.Error("one too many is let in")
	}
	d.leave("a")
	if !d.enter("z") {
		t.Error("nobody is let in after one has left")
	}
}

func TestWhatIsMalformedIsRefused(t *testing.T) {
	two := []costs.Kind{kind(1), kind(2)}
	for name, all := range map[string][]*hearsaypb.Known{
		"Beyond": {{Index: 2}},
		"Twice":  {{Index: 1}, {Index: 1}},
	} {
		if _, err := told(two, all, time.Now()); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int{1, 15, 17, 16 * (maxKinds + 1)} {
		if _, err := kindsOf(&hearsaypb.Question{Kinds: make([]byte, n)}); !errors.Is(err, errMalformed) {
			t.Errorf("%d bytes of kinds: %v", n, err)
		}
	}
}

// The largest question and the largest answer are frames that are read.
func TestTheLargestFits(t *testing.T) {
	e := costs.Estimate{Runs: 64, Failures: 64, Mean: 16, Variance: 900, Memory: 1 << 44, Output: 1 << 44, Last: time.Unix(0, 0)}
	q := question(make([]costs.Kind, maxKinds))
	for i := range maxKinds {
		q.Known = append(q.Known, known(i, e, time.Now()))
	}
	if n := proto.Size(q); n > maxFrame {
		t.Errorf("%d bytes", n)
	}
}

// tape is a stream that plays what a member sends.
type tape struct {
	io.Reader
	wrote bytes.Buffer
}

func (s *tape) Write(b []byte) (int, error) { return s.wrote.Write(b) }
func (*tape) CloseWrite() error             { return nil }
func (*tape) Close() error                  { return nil }
func (*tape) Reset() error                  { return nil }
func (*tape) SetDeadline(time.Time) error   { return nil }

func frame(f testing.TB, m proto.Message) []byte {
	f.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// Whatever a member sends, what is kept of it expects something finite.
func FuzzServe(f *testing.F) {
	asks := question([]costs.Kind{kind(1), kind(2)})
	asks.Asks = true
	tells := question([]costs.Kind{kind(1), kind(2)})
	tells.Known = []*hearsaypb.Known{
		{Index: 0, Runs: math.MaxUint32, Mean: float32(math.NaN()), Variance: float32(math.Inf(1)), Memory: math.MaxUint64},
		{Index: 1, Runs: 8, Mean: float32(math.Inf(-1)), Age: math.MaxUint32},
	}
	f.Add(frame(f, asks))
	f.Add(frame(f, tells))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		book := costs.New(&memory.KV{}, &memory.KV{})
		network := peertest.NewNetwork()
		defer network.Close()
		h := New(Options{Self: "self", Network: network.Join("self"), Book: book})
		h.serve(t.Context(), "from", &tape{Reader: bytes.NewReader(b)})
		for i := range 3 {
			e, ok := book.Known(kind(i))
			if w := e.Work(); ok && !(w > 0 && w < 1e8) {
				t.Fatalf("%+v expects %v", e, w)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	b, err := proto.Marshal(&hearsaypb.Answer{Known: []*hearsaypb.Known{known(0, costs.Estimate{Runs: 3, Mean: 1}, time.Now())}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a hearsaypb.Answer
		if proto.Unmarshal(b, &a) != nil {
			return
		}
		all, err := told([]costs.Kind{kind(1), kind(2)}, a.GetKnown(), time.Now())
		if err != nil {
			return
		}
		book := costs.New(&memory.KV{}, &memory.KV{})
		for k, e := range all {
			if err := book.Hear(k, e, time.Now()); err != nil {
				t.Fatal(err)
			}
			if e, ok := book.Known(k); ok && !(e.Work() > 0 && e.Work() < 1e8) {
				t.Fatalf("%+v expects %v", e, e.Work())
			}
		}
	})
}
