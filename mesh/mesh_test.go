package mesh

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
)

func start(t *testing.T, c Credentials, seeds ...netip.AddrPort) (*Mesh, func()) {
	t.Helper()
	id, err := LoadOrCreateIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{
		Identity: id, Credentials: c, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Host: "h", Seeds: seeds,
		Capabilities: peer.Capabilities{BPU: 1.5, Cores: 2, OS: "linux"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	select {
	case <-m.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	stop := func() {
		cancel()
		<-ended
	}
	return m, stop
}

func TestThreeJoinStreamAndFail(t *testing.T) {
	began := time.Now()
	c := NewCredentials("test")
	a, stopA := start(t, c)
	defer stopA()
	text, err := a.Invite(false)
	if err != nil {
		t.Fatal(err)
	}
	token, err := join.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	changes, cancel := a.Subscribe()
	defer cancel()
	b, stopB := start(t, c, token.Addrs...)
	defer stopB()
	d, stopD := start(t, c, token.Addrs...)
	for n := 0; n < 2; {
		if (<-changes).Member.State == peer.Alive {
			n++
		}
	}
	t.Logf("three joined after %s", time.Since(began))
	for _, x := range d.Members() {
		if x.Caps.Cores != 2 || x.ID == a.Self() && x.RTT == 0 {
			t.Errorf("member %+v lacks capabilities or RTT", x)
		}
	}
	b.Handle("/echo", func(_ context.Context, _ peer.ID, s peer.Stream) { _, _ = io.Copy(s, s) })
	s, err := d.Open(t.Context(), b.Self(), "/echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "hi" {
		t.Fatalf("echo: %q, %v", got, err)
	}
	killed := time.Now()
	stopD()
	for e := range changes {
		if e.Member.ID == d.Self() && e.Member.State == peer.Failed {
			break
		}
	}
	t.Logf("kill seen after %s", time.Since(killed))
}

func TestWrongSecretGetsNoAnswer(t *testing.T) {
	a, stop := start(t, NewCredentials("test"))
	defer stop()
	id, err := LoadOrCreateIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{
		Identity: id, Credentials: NewCredentials("test"), Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Seeds: []netip.AddrPort{a.Addr()},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := m.Run(ctx); !errors.Is(err, ErrNoMember) {
		t.Errorf("Run: %v, want ErrNoMember", err)
	}
	if len(a.Members()) != 1 || a.Counters().HelloRefused == 0 {
		t.Errorf("members %v, counters %+v", a.Members(), a.Counters())
	}
}
