package mesh

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// memberlist lets a probe that is under way run to its deadline, at most
	// four seconds later.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// soon is how long a mesh on one busy machine may take for what takes two
// seconds.
const soon = 20 * time.Second

// node is one that a test runs, with the home that its restarts share.
type node struct {
	*Mesh
	t     *testing.T
	opts  Options
	stop  context.CancelFunc
	ended chan error
}

// home returns the options of a node with a new home, in mesh c.
func home(t *testing.T, c Credentials) Options {
	t.Helper()
	dir := t.TempDir()
	if err := SaveCredentials(dir, c); err != nil {
		t.Fatal(err)
	}
	return Options{
		Home: dir, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Host: "h",
		Capabilities: peer.Capabilities{BPU: 1.5, Cores: 2, OS: "linux"},
	}
}

// run starts a node of a home, without waiting.
func run(t *testing.T, o Options) *node {
	t.Helper()
	var err error
	if o.Identity, err = LoadOrCreateIdentity(o.Home); err != nil {
		t.Fatal(err)
	}
	if o.Credentials, err = LoadCredentials(o.Home); err != nil {
		t.Fatal(err)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{Mesh: m, t: t, opts: o, stop: cancel, ended: make(chan error, 1)}
	go func() { n.ended <- m.Run(ctx) }()
	t.Cleanup(n.kill)
	return n
}

// up starts a node and waits until it is ready.
func up(t *testing.T, o Options) *node {
	t.Helper()
	n := run(t, o)
	select {
	case <-n.Ready():
	case err := <-n.ended:
		n.ended <- err
		t.Fatalf("Run: %v", err)
	}
	return n
}

// kill ends a node without a word to the others.
func (n *node) kill() {
	n.stop()
	n.ended <- <-n.ended
}

// again starts the node anew on a free port.
func (n *node) again() *node {
	n.t.Helper()
	o := n.opts
	o.Seeds = nil
	return up(n.t, o)
}

// join starts one more node through this one.
func (n *node) join(c Credentials) *node {
	n.t.Helper()
	o := home(n.t, c)
	o.Seeds = []netip.AddrPort{n.Addr()}
	return up(n.t, o)
}

// sees waits until the node lists the other in this state.
func (n *node) sees(other peer.ID, want peer.State) peer.Member {
	n.t.Helper()
	return n.until("see "+other.Short()+" "+want.String(), other, func(m peer.Member) bool { return m.State == want })
}

func (n *node) until(what string, other peer.ID, ok func(peer.Member) bool) peer.Member {
	n.t.Helper()
	var last peer.Member
	await(n.t, what, func() bool {
		last, _ = n.find(other)
		return last.ID == other && ok(last)
	})
	return last
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(soon)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within %s", what, soon)
		}
	}
}

func (n *node) echo() {
	n.Handle("/echo", func(_ context.Context, _ peer.ID, s peer.Stream) { _, _ = io.Copy(s, s) })
}

// hears opens a stream to the other and compares what comes back.
func (n *node) hears(other peer.ID) error {
	s, err := n.Open(n.t.Context(), other, "/echo")
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	if err := s.SetDeadline(time.Now().Add(soon)); err != nil {
		return err
	}
	if _, err := s.Write([]byte("hi")); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err == nil && string(got) != "hi" {
		err = errors.New("heard " + string(got))
	}
	return err
}

func TestThreeJoinStreamAndFail(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	text, err := a.Invite(false)
	if err != nil {
		t.Fatal(err)
	}
	token, err := join.ParseToken(text)
	if err != nil || !slices.Equal(token.Addrs, []netip.AddrPort{a.Addr()}) {
		t.Fatalf("token %+v, %v", token, err)
	}
	began := time.Now()
	b := a.join(c)
	t.Logf("join to ready: %s", time.Since(began))
	d := a.join(c)
	all := []*node{a, b, d}
	for _, n := range all {
		n.echo()
	}
	for _, n := range all {
		for _, other := range all {
			got := n.sees(other.Self(), peer.Alive)
			if got.Caps.Cores != 2 || got.Caps.BPU != 1.5 || got.Self != (n == other) {
				t.Errorf("member %+v", got)
			}
			if n == other {
				continue
			}
			n.until("RTT", other.Self(), func(m peer.Member) bool { return m.RTT > 0 })
			if err := n.hears(other.Self()); err != nil {
				t.Errorf("%s to %s: %v", n.Self().Short(), other.Self().Short(), err)
			}
		}
		await(t, "observed address", func() bool { return n.Observed() == n.Addr() })
	}
	changes, cancel := a.Subscribe()
	defer cancel()
	began = time.Now()
	d.kill()
	for e := range changes {
		if e.Member.ID == d.Self() && e.Member.State == peer.Failed {
			break
		}
	}
	t.Logf("kill to detected: %s", time.Since(began))
	if len(a.Members()) != 3 {
		t.Errorf("a failed member is not listed: %v", a.Members())
	}
}

func TestCapabilitiesReachTheOthers(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	a.sees(b.Self(), peer.Alive)
	b.SetCapabilities(peer.Capabilities{BPU: 7, Cores: 3, Toolchains: []string{"0123abcd"}})
	got := a.until("new capabilities", b.Self(), func(m peer.Member) bool { return m.Caps.BPU == 7 })
	if !slices.Equal(got.Caps.Toolchains, []string{"0123abcd"}) {
		t.Errorf("toolchains %v", got.Caps.Toolchains)
	}
}

func TestRestartNeedsNoToken(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	a.sees(b.Self(), peer.Alive)
	b.sees(a.Self(), peer.Alive)
	await(t, "known members on disk", func() bool {
		known, err := loadPeers(b.opts.Home)
		return err == nil && len(known) == 1
	})
	b.kill()
	began := time.Now()
	b = b.again() // on another port, while a still believes in the old one
	a.echo()
	b.echo()
	a.until("the new address", b.Self(), func(m peer.Member) bool { return m.State == peer.Alive && m.Addr == b.Addr() })
	t.Logf("restart to alive again: %s", time.Since(began))
	for _, err := range []error{a.hears(b.Self()), b.hears(a.Self())} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNodesThatRestartAloneMeetAgain(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	b.sees(a.Self(), peer.Alive)
	await(t, "known members on disk", func() bool {
		known, err := loadPeers(b.opts.Home)
		return err == nil && len(known) == 1
	})
	listen := a.Addr()
	b.kill()
	a.kill()
	b = b.again() // nobody is there, and that is no error
	if len(b.Members()) != 1 {
		t.Fatalf("members %v", b.Members())
	}
	o := a.opts
	o.Listen = listen
	a = up(t, o)
	b.sees(a.Self(), peer.Alive)
	a.sees(b.Self(), peer.Alive)
}

func TestLeavingIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	a.sees(b.Self(), peer.Alive)
	changes, unsubscribe := a.Subscribe()
	defer unsubscribe()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := b.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	// Who is not told finds out that it failed, and after a while.
	a.sees(b.Self(), peer.Left)
	for len(changes) > 0 {
		if e := <-changes; e.Member.ID == b.Self() && e.Member.State == peer.Failed {
			t.Error("it was seen to fail before it was seen to leave")
		}
	}
	b.kill()
	b = b.again()
	a.sees(b.Self(), peer.Alive)
}

// memberlist panics when it is to leave after it was shut down.
func TestDepartureThatNobodyWaitsForEndsInPeace(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	b.sees(a.Self(), peer.Alive)
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(10*time.Millisecond, cancel)
	defer stop.Stop()
	if err := b.Leave(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Leave = %v", err)
	}
	b.kill()
	a.sees(b.Self(), peer.Left)
}

func TestCopiedHomeIsRefused(t *testing.T) {
	t.Parallel()
	c := NewCredentials("test")
	a := up(t, home(t, c))
	b := a.join(c)
	for name, seed := range map[string]netip.AddrPort{"by the original": b.Addr(), "by another member": a.Addr()} {
		t.Run(name, func(t *testing.T) {
			o := b.opts
			o.Seeds = []netip.AddrPort{seed}
			copied := run(t, o)
			err := <-copied.ended
			copied.ended <- err
			if !errors.Is(err, ErrCopied) {
				t.Errorf("Run: %v, want ErrCopied", err)
			}
		})
	}
	if got := a.sees(b.Self(), peer.Alive); got.Addr != b.Addr() {
		t.Errorf("the original is at %s, listed at %s", b.Addr(), got.Addr)
	}
	select {
	case err := <-b.ended:
		t.Errorf("the original ended: %v", err)
	default:
	}
}

func TestWrongSecretGetsNoAnswer(t *testing.T) {
	t.Parallel()
	a := up(t, home(t, NewCredentials("test")))
	o := home(t, NewCredentials("test"))
	o.Seeds = []netip.AddrPort{a.Addr()}
	m := run(t, o)
	await(t, "refused hello", func() bool { return a.Counters().HelloRefused > 0 })
	m.stop()
	err := <-m.ended
	m.ended <- err
	if !errors.Is(err, ErrNoMember) {
		t.Errorf("Run: %v, want ErrNoMember", err)
	}
	if len(a.Members()) != 1 {
		t.Errorf("members %v", a.Members())
	}
}

func TestOwnAddressAsSeedIsNoCopy(t *testing.T) {
	t.Parallel()
	o := home(t, NewCredentials("test"))
	a := up(t, o)
	addr := a.Addr()
	a.kill()
	o.Listen, o.Known = addr, []netip.AddrPort{addr}
	if n := up(t, o); len(n.Members()) != 1 {
		t.Errorf("members %v", n.Members())
	}
}
