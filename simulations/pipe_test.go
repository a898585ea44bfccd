package simulations

import (
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

func TestTheContentOfBlobsIsNoMessage(t *testing.T) {
	// Small blobs, a large one in one piece, and one that comes in chunks.
	for _, bytes := range []int64{16 << 10, 900 << 10, 2 << 20, 12 << 20} {
		g := workload.Wide(30)
		for i := range g.Steps {
			g.Steps[i].InputBytes = bytes
		}
		w := watching(trace.Sent)
		o := run(t, office(4, g), w)
		var told, blobs, messages int64
		for _, e := range w.of(trace.Sent) {
			told += e.Value
		}
		for node := range o.Traffic.Blobs {
			blobs, messages = blobs+o.Traffic.Blobs[node], messages+o.Traffic.MessageBytes[node]
		}
		if blobs != told || blobs < 10*bytes {
			t.Errorf("inputs of %d: %d bytes of blobs, the events tell of %d", bytes, blobs, told)
		}
		if messages < 10_000 || messages > 500_000 {
			t.Errorf("inputs of %d: %d bytes of messages beside %d of blobs", bytes, messages, blobs)
		}
	}
}

func TestAHandshakeHoldsUpNobodyElse(t *testing.T) {
	s := office(2, workload.Wide(1))
	s.Builds[0].At = time.Hour
	w, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const handshake = 300 * time.Millisecond
	var order []string
	came := map[string]time.Duration{}
	comes := func(what string) func() {
		return func() { order, came[what] = append(order, what), w.Now() }
	}
	far, near := newPipe(w.nodes[0], w.nodes[1], nil), newPipe(w.nodes[0], w.nodes[1], nil)
	far.shake(handshake)
	far.put(60<<10, comes("hello"))
	far.put(60, comes("what follows"))
	near.put(60, comes("another's"))
	w.Until(func() bool { return len(order) == 3 }, time.Minute)
	if want := []string{"another's", "hello", "what follows"}; !slices.Equal(order, want) {
		t.Fatalf("they came in the order %q", order)
	}
	if came["another's"] > 5*time.Millisecond || came["hello"] < handshake || came["what follows"] > handshake+10*time.Millisecond {
		t.Errorf("they came at %v", came)
	}
}

func TestNothingIsSentOfAHandshakeThatIsGivenUp(t *testing.T) {
	s := office(2, workload.Wide(1))
	s.Builds[0].At = time.Hour
	w, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := newPipe(w.nodes[0], w.nodes[1], nil)
	p.shake(time.Second)
	p.put(60, func() { t.Error("it came") })
	p.close()
	w.Until(func() bool { return false }, time.Minute)
	if sent := w.traffic.MessageBytes[0]; sent != 0 {
		t.Errorf("%d bytes were sent", sent)
	}
}

func TestWhoWasStartedAgainSaysSo(t *testing.T) {
	s := office(2, workload.Wide(1))
	s.Builds[0].At = time.Hour
	w, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	said := time.Duration(0)
	p := newPipe(w.nodes[0], w.nodes[1], func() { said = w.Now() })
	w.nodes[1].stop("")
	p.put(60, func() { t.Error("it came") })
	w.after(time.Second, w.nodes[1].start)
	w.Until(func() bool { return said > 0 }, time.Minute)
	if said < time.Second || said > 1200*time.Millisecond {
		t.Errorf("it said so at %v", said)
	}
}
