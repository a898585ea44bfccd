package packets

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
)

// one is a site of n hosts.
func one(n int, local network.Path) Options {
	return Options{Seed: 1, Config: network.Config{Sites: []network.Site{{Name: "a", Local: local}}, Site: make([]int, n)}}
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { time.Sleep(d) }

// bubble runs f with a network that ends with it.
func bubble(t *testing.T, o Options, f func(*testing.T, *Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, n)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// listen opens a socket on all addresses of a host.
func listen(t *testing.T, h *Host, port int) net.PacketConn {
	t.Helper()
	c, err := h.Listen("udp4", &net.UDPAddr{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(h *Host, port uint16) net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr(), port))
}

func say(t *testing.T, c net.PacketConn, what string, to net.Addr) {
	t.Helper()
	if _, err := c.WriteTo([]byte(what), to); err != nil {
		t.Fatal(err)
	}
}

// hear returns all that arrives within d, and who from.
func hear(t *testing.T, c net.PacketConn, d time.Duration) (all []string, from []net.Addr) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPayload)
	for {
		n, a, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all, from
		}
		if err != nil {
			t.Fatal(err)
		}
		all, from = append(all, string(buf[:n])), append(from, a)
	}
}

func TestEchoTakesTheLatencyOfTheWay(t *testing.T) {
	o := Options{Config: network.Config{
		Sites: []network.Site{
			{Name: "a", Local: network.Path{Latency: time.Millisecond}},
			{Name: "b", Local: network.Path{Latency: 2 * time.Millisecond}},
		},
		Routes: []network.Route{{A: 1, B: 0, Path: network.Path{Latency: 30 * time.Millisecond}}},
		Site:   []int{0, 0, 1},
	}}
	for to, want := range map[int]time.Duration{0: 2 * time.Millisecond, 1: 2 * time.Millisecond, 2: 66 * time.Millisecond} {
		bubble(t, o, func(t *testing.T, n *Net) {
			a, b := listen(t, n.Host(0), 1), listen(t, n.Host(to), 2)
			began := time.Now()
			say(t, a, "hi", at(n.Host(to), 2))
			buf := make([]byte, 9)
			size, from, err := b.ReadFrom(buf)
			if err != nil || string(buf[:size]) != "hi" || from.String() != at(n.Host(0), 1).String() {
				t.Fatalf("heard %q of %s: %v", buf[:size], from, err)
			}
			say(t, b, "ho", from)
			if _, _, err := a.ReadFrom(buf); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("to %d and back: %s, want %s", to, took, want)
			}
		})
	}
}

func TestSocketsAreAsTheKernelsAre(t *testing.T) {
	bubble(t, one(2, network.Path{}), func(t *testing.T, n *Net) {
		h := n.Host(0)
		a := listen(t, h, 1)
		free := listen(t, h, 0)
		if p := free.LocalAddr().(*net.UDPAddr); p.Port < firstFree || !p.IP.IsUnspecified() {
			t.Errorf("a free port: %s", p)
		}
		_, err := h.Listen("udp4", &net.UDPAddr{Port: 1})
		_, err2 := h.Listen("udp4", &net.UDPAddr{IP: n.Host(1).Addr().AsSlice(), Port: 3})
		_, err3 := h.Listen("udp6", &net.UDPAddr{})
		_, err4 := a.WriteTo(make([]byte, maxPayload+1), at(h, 1))
		for i, c := range []struct{ got, want error }{
			{err, syscall.EADDRINUSE}, {err2, syscall.EADDRNOTAVAIL}, {err3, errors.ErrUnsupported}, {err4, syscall.EMSGSIZE},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%d: %v, want %v", i, c.got, c.want)
			}
		}
		say(t, a, "nobody", at(n.Host(1), 1))
		say(t, a, "nowhere", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
		if d := n.Drops(); d.NoRoute != 2 {
			t.Errorf("drops %+v", d)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = a.WriteTo(nil, at(h, 1))
		_, _, err2 = a.ReadFrom(nil)
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err2, net.ErrClosed) {
			t.Errorf("closed: %v, %v", err, err2)
		}
		listen(t, h, 1) // the port is free again
	})
}

func TestDeadlinesMoveReadsThatWait(t *testing.T) {
	bubble(t, one(1, network.Path{}), func(t *testing.T, n *Net) {
		c := listen(t, n.Host(0), 1)
		ended := make(chan error)
		read := func() {
			_, _, err := c.ReadFrom(make([]byte, 9))
			ended <- err
		}
		began := time.Now()
		for _, wait := range []time.Duration{time.Second, 0, -time.Second, 2 * time.Second} {
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			before := time.Now()
			go read()
			synctest.Wait()
			if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
				t.Errorf("read: %v", err)
			}
			if took := time.Since(before); took != max(wait, 0) {
				t.Errorf("a deadline in %s took %s", wait, took)
			}
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go read()
		time.Sleep(time.Hour)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if took := time.Since(began); took != time.Hour+3*time.Second {
			t.Errorf("all took %s", took)
		}
	})
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestLinksSendAtTheirBandwidthAndDropWhatDoesNotFit(t *testing.T) {
	const bandwidth, size = 1e6, 1000 - headerBytes
	bubble(t, one(2, network.Path{Latency: 5 * time.Millisecond, Bandwidth: bandwidth}), func(t *testing.T, n *Net) {
		a, b := listen(t, n.Host(0), 1), listen(t, n.Host(1), 1)
		began := time.Now()
		for range 200 {
			say(t, a, string(make([]byte, size)), at(n.Host(1), 1))
		}
		fit := int(newLine(bandwidth).queue/time.Millisecond) + 1
		for i := range fit {
			if _, _, err := b.ReadFrom(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			// One after the other up, the last one down as well.
			if took, want := time.Since(began), time.Duration(i+2)*time.Millisecond+5*time.Millisecond; took != want {
				t.Fatalf("packet %d after %s, want %s", i, took, want)
			}
		}
		if d := n.Drops(); d.Queue != 200-fit {
			t.Errorf("%d fit, drops %+v", fit, d)
		}
	})
}

func TestChanceFollowsFromTheSeed(t *testing.T) {
	path := network.Path{Latency: time.Millisecond, Loss: 0.1, Duplication: 0.1}
	run := func(seed uint64) (got []string) {
		o := one(2, path)
		o.Seed = seed
		bubble(t, o, func(t *testing.T, n *Net) {
			a, b := listen(t, n.Host(0), 1), listen(t, n.Host(1), 1)
			for i := range 1000 {
				say(t, a, string(rune('a'+i)), at(n.Host(1), 1))
			}
			got, _ = hear(t, b, time.Second)
			if lost := n.Drops().Lost; lost < 70 || lost > 130 {
				t.Errorf("lost %d of 1000", lost)
			}
			if twice := len(got) - len(slices.Compact(slices.Clone(got))); twice < 60 || twice > 120 {
				t.Errorf("%d of 1000 came twice", twice)
			}
		})
		return got
	}
	first := run(1)
	if !slices.Equal(first, run(1)) {
		t.Error("the same seed, another run")
	}
	if slices.Equal(first, run(2)) {
		t.Error("another seed, the same run")
	}
}

func TestJitterKeepsOrderAndReorderingDoesNot(t *testing.T) {
	for _, c := range []struct {
		reordering float64
		sorted     bool
	}{{0, true}, {0.1, false}} {
		bubble(t, one(2, network.Path{Latency: time.Millisecond, Jitter: time.Millisecond, Reordering: c.reordering}), func(t *testing.T, n *Net) {
			a, b := listen(t, n.Host(0), 1), listen(t, n.Host(1), 1)
			for i := range 500 {
				say(t, a, string(rune('a'+i)), at(n.Host(1), 1))
			}
			got, _ := hear(t, b, time.Second)
			if len(got) != 500 || slices.IsSorted(got) != c.sorted {
				t.Errorf("%d came, sorted %v", len(got), slices.IsSorted(got))
			}
		})
	}
}

func TestCutsAreOneWay(t *testing.T) {
	bubble(t, one(3, network.Path{}), func(t *testing.T, n *Net) {
		a, b := listen(t, n.Host(0), 1), listen(t, n.Host(1), 1)
		talk := func() (toB, toA int) {
			say(t, a, "to b", at(n.Host(1), 1))
			say(t, b, "to a", at(n.Host(0), 1))
			x, _ := hear(t, b, time.Second)
			y, _ := hear(t, a, time.Second)
			return len(x), len(y)
		}
		for _, c := range []struct {
			what     func()
			toB, toA int
		}{
			{func() { n.Cut([]int{0, 2}, []int{1}) }, 0, 1},
			{func() { n.Split([]int{0}, []int{1, 2}) }, 0, 0},
			{n.Heal, 1, 1},
			{n.Host(1).Off, 0, 0},
			{n.Host(1).On, 1, 1},
			{func() { n.Lose(1) }, 0, 0},
		} {
			c.what()
			if toB, toA := talk(); toB != c.toB || toA != c.toA {
				t.Errorf("arrived %d and %d, want %d and %d", toB, toA, c.toB, c.toA)
			}
		}
		if d := n.Drops(); d.Cut != 5 || d.Lost != 2 {
			t.Errorf("drops %+v", d)
		}
	})
}
