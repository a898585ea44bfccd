package network

import (
	"math/rand/v2"
	"testing"
	"time"
)

func two(local, between Path) Config {
	return Config{
		Sites:  []Site{{Name: "a", Local: local}, {Name: "b", Local: local}},
		Routes: []Route{{A: 0, B: 1, Path: between}},
		Site:   []int{0, 0, 1, 1},
	}
}

func open(t testing.TB, c Config) *Network {
	t.Helper()
	n, err := New(c, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	lan = Path{Latency: time.Millisecond, Bandwidth: 100e6}
	wan = Path{Latency: 50 * time.Millisecond, Bandwidth: 10e6}
)

// about reports whether got is within a tenth of want.
func about(got, want time.Duration) bool {
	return got >= want*9/10 && got <= want*11/10
}

func TestBandwidthBoundsWhatABlobTakes(t *testing.T) {
	n := open(t, two(lan, wan))
	if got, want := n.Stream(0, 0, 1, 100e6), time.Second+lan.Latency; !about(got, want) {
		t.Errorf("100 MB over 100 MB/s took %v; want %v", got, want)
	}
	if got, want := n.Stream(0, 2, 1, 10e6), 1100*time.Millisecond+51*time.Millisecond; !about(got, want) {
		t.Errorf("10 MB over 10 MB/s, to a faster link that is busy for as long, took %v; want %v", got, want)
	}
}

func TestARouteIsSharedByAll(t *testing.T) {
	n := open(t, two(lan, wan))
	n.Stream(0, 0, 2, 10e6)
	if got, want := n.Stream(0, 1, 3, 10e6), 2*time.Second+51*time.Millisecond; !about(got, want) {
		t.Errorf("the second of two blobs over one route took %v; want %v", got, want)
	}
	if got, want := n.Stream(0, 3, 1, 10e6), time.Second+51*time.Millisecond; !about(got, want) {
		t.Errorf("a blob the other way took %v; want %v", got, want)
	}
}

func TestABeatDoesNotWaitForABlob(t *testing.T) {
	n := open(t, two(lan, wan))
	blob := n.Stream(0, 0, 1, 100e6)
	if got := n.Stream(0, 0, 1, 60); got > 2*time.Millisecond {
		t.Errorf("a beat behind a blob took %v", got)
	}
	for range 1000 {
		n.Stream(0, 0, 1, 50e3)
	}
	if next := n.Stream(0, 0, 1, 100e6); next < blob+time.Second+400*time.Millisecond {
		t.Errorf("small messages took nothing of the link: the next blob is there at %v, the first was at %v", next, blob)
	}
}

func TestACloggedLinkCarriesLess(t *testing.T) {
	n := open(t, two(lan, wan))
	n.Clog(1, 0.1, 0)
	if got, want := n.Stream(0, 0, 1, 10e6), time.Second; !about(got, want) {
		t.Errorf("10 MB over a tenth of 100 MB/s took %v; want %v", got, want)
	}
}

func TestWhatIsOnItsWayGoesFasterWhenALinkIsFree(t *testing.T) {
	n := open(t, two(lan, wan))
	n.Clog(1, 0.1, time.Second/2)
	if got, want := n.Stream(0, 0, 1, 15e6), time.Second/2+100*time.Millisecond; !about(got, want) {
		t.Errorf("15 MB, of which 5 went over a tenth of 100 MB/s, took %v; want %v", got, want)
	}
}

func TestACloggedNodeHoldsUpNobodyElse(t *testing.T) {
	n := open(t, two(lan, wan))
	n.Clog(0, 1e-4, 0)
	n.Stream(0, 0, 2, 60e3) // takes 6 s
	n.Stream(0, 0, 2, 60e3)
	if got := n.Stream(0, 1, 3, 60); got > 70*time.Millisecond {
		t.Errorf("a beat of its neighbour over the same route took %v", got)
	}
	if got := n.Stream(0, 3, 2, 60); got > 5*time.Millisecond {
		t.Errorf("a beat to whom it sends took %v", got)
	}
}

func TestLossIsDelayOnAStreamAndLossOfAPacket(t *testing.T) {
	local := lan
	local.Loss = 0.2
	n := open(t, two(local, wan))
	late, lost := 0, 0
	const times = 2000
	for i := range times {
		now := time.Duration(i) * time.Second
		if n.Stream(now, 0, 1, 60)-now > leastWait {
			late++
		}
		if _, _, copies := n.Packet(now, 0, 1, 60); copies == 0 {
			lost++
		}
	}
	for what, got := range map[string]int{"late messages": late, "lost packets": lost} {
		if got < times*15/100 || got > times*25/100 {
			t.Errorf("%s: %d of %d at a loss of 20 %%", what, got, times)
		}
	}
}

func TestWhatIsLostAgainAndAgainIsSentAgainBeforeLong(t *testing.T) {
	timeout, waited, times := leastWait, time.Duration(0), 0
	for ; waited < 2*time.Second; times++ {
		waited, timeout = waited+timeout, Backoff(timeout)
	}
	if timeout != mostWait || times < 10 {
		t.Errorf("within %v it is sent %d times, the next after %v", waited, times, timeout)
	}
	if far := Backoff(time.Second); far != time.Second {
		t.Errorf("on a way that takes a second it is sent again after %v", far)
	}
}

func TestPacketsComeTwiceAndLate(t *testing.T) {
	local := lan
	local.Duplication, local.Reordering = 0.5, 0.5
	n := open(t, two(local, wan))
	twice, late := 0, 0
	for i := range 1000 {
		now := time.Duration(i) * time.Second
		first, _, copies := n.Packet(now, 0, 1, 60)
		if copies == 2 {
			twice++
		}
		if first-now > lan.Latency+lan.Latency/2 {
			late++
		}
	}
	if twice < 400 || twice > 600 || late < 300 {
		t.Errorf("of 1000 packets %d came twice and %d late", twice, late)
	}
}

func TestASplitCutsTheSidesItNames(t *testing.T) {
	for name, c := range map[string]struct {
		split    Split
		out, in  bool
		elseward bool
	}{
		"whole":   {Split{Group: []int{0, 2}}, false, false, true},
		"one way": {Split{Group: []int{0, 2}, OneWay: true}, false, true, true},
		"deaf":    {Split{Group: []int{0, 2}, Deaf: true}, true, false, true},
	} {
		n := open(t, two(lan, wan))
		number := n.Cut(c.split)
		if got := n.Open(0, 1); got != c.out {
			t.Errorf("%s: what the group sends arrives: %v", name, got)
		}
		if got := n.Open(1, 0); got != c.in {
			t.Errorf("%s: what is sent to the group arrives: %v", name, got)
		}
		if !n.Open(0, 2) || !n.Open(2, 0) || !n.Open(1, 3) {
			t.Errorf("%s: one side is cut in itself", name)
		}
		if n.Part(0) != n.Part(2) || n.Part(0) == n.Part(1) {
			t.Errorf("%s: the parts are %d %d %d", name, n.Part(0), n.Part(1), n.Part(2))
		}
		n.Join(number)
		if !n.Open(0, 1) || !n.Open(1, 0) {
			t.Errorf("%s: it is cut after it ended", name)
		}
	}
}

func TestSplitsEndOneByOne(t *testing.T) {
	n := open(t, two(lan, wan))
	first := n.Cut(Split{Group: []int{0}})
	second := n.Cut(Split{Group: []int{0, 1}})
	n.Join(first)
	if n.Open(0, 2) || !n.Open(0, 1) {
		t.Error("the second split does not hold when the first has ended")
	}
	third := n.Cut(Split{Group: []int{3}})
	n.Join(second)
	if !n.Open(0, 2) || n.Open(0, 3) || third == first {
		t.Error("the third split does not hold when the second has ended")
	}
	n.JoinAll()
	if !n.Open(0, 3) {
		t.Error("a split holds when all have ended")
	}
}

func TestSitesWithoutARouteAreApart(t *testing.T) {
	c := two(lan, wan)
	c.Routes = nil
	n := open(t, c)
	if n.Open(0, 2) || n.RTT(0, 2) != 0 || !n.Open(0, 1) {
		t.Error("there is a way without a route")
	}
	if _, _, copies := n.Packet(0, 0, 2, 60); copies != 0 {
		t.Error("a packet arrives without a route")
	}
}

func TestRTTIsThereAndBack(t *testing.T) {
	n := open(t, two(lan, wan))
	for _, c := range []struct {
		a, b int
		want time.Duration
	}{{0, 0, 0}, {0, 1, 2 * time.Millisecond}, {0, 2, 102 * time.Millisecond}} {
		if got := n.RTT(c.a, c.b); got != c.want {
			t.Errorf("from %d to %d: %v; want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestConfigsThatAreNone(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no such site":      func(c *Config) { c.Site[0] = 2 },
		"a route to itself": func(c *Config) { c.Routes[0].B = 0 },
		"two routes":        func(c *Config) { c.Routes = append(c.Routes, Route{A: 1, B: 0}) },
		"all is lost":       func(c *Config) { c.Routes[0].Loss = 1 },
		"negative latency":  func(c *Config) { c.Sites[0].Local.Latency = -1 },
	} {
		c := two(lan, wan)
		spoil(&c)
		if _, err := New(c, nil); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
