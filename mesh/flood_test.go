package mesh

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

func TestFloodOfGarbageKillsNobody(t *testing.T) {
	// Longer than suspicion takes.
	const rounds, each = 600, 100
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	d := a.join(c)
	for _, n := range []*node{b, d} {
		a.sees(n.Self(), peer.Alive)
	}
	changes, cancel := a.Subscribe()
	defer cancel()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := rand.NewChaCha8([32]byte{1})
	packet := make([]byte, 400)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range rounds {
		<-tick.C
		for range each {
			_, _ = r.Read(packet)
			if i%2 == 0 {
				packet[0] = 0x20 // passes for SWIM, as far as the prefix goes
			}
			_, _ = conn.Write(packet)
		}
	}
	for len(changes) > 0 {
		if e := <-changes; e.Member.State != peer.Alive {
			t.Errorf("%s is %s", e.Member.ID.Short(), e.Member.State)
		}
	}
	if b.Counters().Garbage == 0 {
		t.Error("no garbage was counted")
	}
}
