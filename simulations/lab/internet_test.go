//go:build lab && linux

package lab

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// probePort is where the helpers of these tests listen.
const probePort = 9000

// helper starts one of the functions below in the host: this program again,
// with arguments in its environment.
func helper(h *Host, args string) *Process {
	return h.Spawn("env", "LAB_HELPER="+args, os.Args[0], "-test.run=^TestInsideSite$", "-test.v")
}

// TestInsideSite is what a host runs for the tests of sites.
func TestInsideSite(t *testing.T) {
	args := strings.Fields(os.Getenv("LAB_HELPER"))
	if len(args) == 0 {
		return // not in a host: another test starts it there
	}
	helpers := map[string]func(*testing.T, []string){
		"echo": insideEcho, "ping": insidePing, "sink": insideSink, "pour": insidePour,
		"observe": insideObserve, "probe": insideProbe,
	}
	helpers[args[0]](t, args[1:])
}

// insideEcho sends every packet back.
func insideEcho(t *testing.T, _ []string) {
	c := listenUDP(t, probePort)
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDP(b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.WriteToUDP(b[:n], from)
	}
}

func listenUDP(t *testing.T, port int) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pings are sent 2 ms apart by insidePing.
const pings = 2000

// insidePing prints how many of its packets came back from an address, and the
// median of their round trips.
func insidePing(t *testing.T, args []string) {
	c, err := net.Dial("udp4", args[0])
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		for range pings {
			<-tick.C
			_, _ = fmt.Fprint(c, time.Since(start).Nanoseconds())
		}
	}()
	var trips []time.Duration
	for b := make([]byte, 64); len(trips) < pings; {
		// One that is 2 s late is lost.
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			break
		}
		var sent int64
		_, _ = fmt.Sscan(string(b[:n]), &sent)
		trips = append(trips, time.Since(start)-time.Duration(sent))
	}
	if len(trips) == 0 {
		t.Fatal("nothing comes back")
	}
	fmt.Printf("came back: %d %d\n", len(trips), median(trips).Microseconds())
}

// insideSink prints how fast what a connection brings comes, in bytes a second.
func insideSink(t *testing.T, _ []string) {
	l, err := net.Listen("tcp4", fmt.Sprint(":", probePort))
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	n, _ := io.Copy(io.Discard, c)
	fmt.Printf("rate: %.0f\n", float64(n)/time.Since(start).Seconds())
}

// insidePour writes to an address for 5 s.
func insidePour(t *testing.T, args []string) {
	var c net.Conn
	for deadline := time.Now().Add(5 * time.Second); ; <-time.After(50 * time.Millisecond) {
		var err error
		if c, err = net.Dial("tcp4", args[0]); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	for b := make([]byte, 1<<16); ; {
		if _, err := c.Write(b); err != nil {
			break
		}
	}
	_ = c.Close()
}

// said scans what follows a helper's label in its output.
func said(t *testing.T, p *Process, label string, into ...any) {
	t.Helper()
	p.Wait()
	_, rest, ok := strings.Cut(p.Output(), label)
	if _, err := fmt.Sscan(rest, into...); !ok || err != nil {
		t.Fatalf("no %q in: %s", label, p.Output())
	}
}

// TestPathIsWhatWasAsked measures what the router makes of a path: on a busy
// machine a packet is never early, and often late.
func TestPathIsWhatWasAsked(t *testing.T) {
	path := network.Path{Latency: 20 * time.Millisecond, Loss: 0.05}
	w := NewInternet(t, 1, path, Routed, Routed)
	a, b := w.Sites[0].Host(0.5), w.Sites[1].Host(0.5)
	helper(b, "echo")
	var back, micros int
	said(t, helper(a, fmt.Sprintf("ping %s:%d", b.Addr, probePort)), "came back: ", &back, &micros)
	lost := 1 - float64(back)/pings
	t.Logf("RTT %d µs of 40000, loss %.2f %% of 9.75", micros, 100*lost)
	if micros < 40_000 || micros > 46_000 {
		t.Errorf("RTT %d µs, want 40 ms", micros)
	}
	// Lost on one way or the other; four standard deviations are 0.027.
	if want := 1 - 0.95*0.95; lost < want-0.027 || lost > want+0.027 {
		t.Errorf("%.2f %% lost, want %.2f %%", 100*lost, 100*want)
	}
}

// TestBandwidthIsWhatWasAsked has a TCP stream fill a path.
func TestBandwidthIsWhatWasAsked(t *testing.T) {
	const bandwidth = 2.5e6
	w := NewInternet(t, 1, network.Path{Latency: 5 * time.Millisecond, Bandwidth: bandwidth}, Routed, Routed)
	a, b := w.Sites[0].Host(0.5), w.Sites[1].Host(0.5)
	sink := helper(b, "sink")
	helper(a, fmt.Sprintf("pour %s:%d", b.Addr, probePort))
	var rate float64
	said(t, sink, "rate: ", &rate)
	t.Logf("%.2f MB/s of %.2f", rate/1e6, bandwidth/1e6)
	if rate < 0.8*bandwidth || rate > 1.02*bandwidth {
		t.Errorf("%.2f MB/s, want %.2f less TCP's headers", rate/1e6, bandwidth/1e6)
	}
}
