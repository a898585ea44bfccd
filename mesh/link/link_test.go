package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/pion/stun/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const soon = 20 * time.Second

var secret = join.Secret{1, 2, 3}

// logged collects what a link logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

type end struct {
	*Link
	log *logged
}

func admitAll(peer.ID, Proof) bool { return true }

func start(t *testing.T, s join.Secret, admit Admit) end {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(nil)
	log := &logged{}
	l, err := New(Options{
		Key: key, Keys: KeysOf("test", s), Admit: admit, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, l.Close()); err != nil {
			t.Error(err)
		}
	})
	// Packets that come before Run reads are lost.
	if _, err := l.Hello(within(t, soon), l.Addr()); !errors.Is(err, ErrSelf) {
		t.Fatalf("hello to oneself: %v", err)
	}
	return end{l, log}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(soon)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within %s", what, soon)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func serveEcho(l *Link) {
	l.Host().SetStreamHandler("/echo", func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
}

func echo(s network.Stream, b []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(b)
		sent <- errors.Join(err, s.CloseWrite())
	}()
	got, err := io.ReadAll(s)
	if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, b) {
		err = errors.New("other bytes came back")
	}
	return err
}

func TestBothDialAtOnce(t *testing.T) {
	for range 10 {
		a, b := start(t, secret, admitAll), start(t, secret, admitAll)
		serveEcho(a.Link)
		serveEcho(b.Link)
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range 4 {
			for _, pair := range [][2]end{{a, b}, {b, a}} {
				wg.Go(func() {
					s, err := pair[0].Open(within(t, soon), pair[1].Self(), pair[1].Addr(), "/echo")
					if err == nil {
						err = echo(s, []byte("hi"))
					}
					errs <- err
				})
			}
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if a.Counters() != (Counters{}) || b.Counters() != (Counters{}) {
			t.Errorf("refused: %+v, %+v", a.Counters(), b.Counters())
		}
	}
}

func TestHelloToAnotherThanExpected(t *testing.T) {
	a, b, c := start(t, secret, admitAll), start(t, secret, admitAll), start(t, secret, admitAll)
	if _, err := a.Open(within(t, soon), c.Self(), b.Addr(), "/echo"); err == nil || !strings.Contains(err.Error(), string(b.Self())) {
		t.Errorf("Open: %v", err)
	}
}

func TestRefusedByAdmission(t *testing.T) {
	a := start(t, secret, admitAll)
	b := start(t, secret, func(id peer.ID, _ Proof) bool { return id != a.Self() })
	if _, err := a.Hello(within(t, time.Second), b.Addr()); err == nil {
		t.Error("a revoked peer was welcomed")
	}
	if _, err := b.Hello(within(t, soon), a.Addr()); !errors.Is(err, ErrBanned) {
		t.Errorf("hello to a revoked peer: %v", err)
	}
	await(t, "log", func() bool { return b.log.count("hello refused") == 1 })
}

func TestFormerSecretNeedsTheRoll(t *testing.T) {
	old, now := join.Secret{9}, join.Secret{10}
	slept, stranger := start(t, old, admitAll), start(t, old, admitAll)
	member := start(t, now, func(id peer.ID, by Proof) bool { return by == Current || id == slept.Self() })
	member.SetKeys(KeysOf("test", now, old))
	if _, err := slept.Hello(within(t, soon), member.Addr()); err != nil {
		t.Errorf("a member that slept: %v", err)
	}
	if _, err := stranger.Hello(within(t, time.Second), member.Addr()); err == nil {
		t.Error("an old invitation still works")
	}
}

// initiator speaks the hello over a plain socket and keeps every frame.
type initiator struct {
	t    *testing.T
	conn *net.UDPConn
	key  []byte
}

func newInitiator(t *testing.T, to netip.AddrPort) initiator {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return initiator{t, conn, KeysOf("test", secret).Hello}
}

// quietTime is how long no answer is taken for none.
const quietTime = 500 * time.Millisecond

// say sends a packet and returns the answer.
func (i initiator) say(b []byte) []byte {
	i.t.Helper()
	return i.exchange(b, soon)
}

// silence sends a packet that nobody may answer, and returns what comes.
func (i initiator) silence(b []byte) []byte {
	i.t.Helper()
	return i.exchange(b, quietTime)
}

func (i initiator) exchange(b []byte, wait time.Duration) []byte {
	i.t.Helper()
	if _, err := i.conn.Write(b); err != nil {
		i.t.Fatal(err)
	}
	_ = i.conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	n, _ := i.conn.Read(buf)
	if n > len(b) {
		i.t.Errorf("%d bytes were answered by %d", len(b), n)
	}
	return buf[:n]
}

func (i initiator) seal(f join.Frame) []byte {
	var salt [24]byte
	_, _ = rand.Read(salt[:])
	return append([]byte{helloPrefix}, join.Seal(i.key, salt, f)...)
}

func (i initiator) open(b []byte) join.Frame {
	i.t.Helper()
	if len(b) == 0 {
		i.t.Fatal("no answer")
	}
	f, err := join.Unseal(i.key, b[1:])
	if err != nil {
		i.t.Fatal(err)
	}
	return f
}

func TestReplayedHelloIsRefused(t *testing.T) {
	l := start(t, secret, admitAll)
	i := newInitiator(t, l.Addr())
	_, key, _ := ed25519.GenerateKey(nil)
	nonce := join.NewNonce()
	ask := i.seal(join.Frame{Kind: join.Ask, Initiator: nonce})
	offer := i.open(i.say(ask))
	prove := i.seal(join.Frame{Kind: join.Prove, Initiator: nonce, Responder: offer.Responder}.Sign(key))
	if f := i.open(i.say(prove)); f.Kind != join.Welcome || !f.Signed() {
		t.Fatalf("answer to the proof: %+v", f)
	}
	if got := i.silence(prove); len(got) != 0 {
		t.Errorf("the proof was accepted twice: %d bytes", len(got))
	}
	if again := i.open(i.say(ask)); again.Responder == offer.Responder {
		t.Error("the responder's nonce was offered twice")
	}
	if got := i.silence(prove); len(got) != 0 {
		t.Errorf("a recorded proof was accepted for another nonce: %d bytes", len(got))
	}
	if got := l.Counters().HelloRefused; got != 2 {
		t.Errorf("%d hellos were refused, want 2", got)
	}
	if n := l.log.count("hello refused"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	if other := newInitiator(t, l.Addr()); len(other.silence(prove)) != 0 {
		t.Error("a recorded proof was accepted from elsewhere")
	}
}

func TestStrangersGetNoAnswer(t *testing.T) {
	l := start(t, secret, admitAll)
	i := newInitiator(t, l.Addr())
	plain, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	other, err := stun.Build(stun.TransactionID, stun.BindingRequest, integrity(KeysOf("test", join.Secret{})), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	wrong := initiator{t, i.conn, KeysOf("test", join.Secret{}).Hello}
	packets := map[string][]byte{
		"binding request":          plain.Raw,
		"binding of another mesh":  other.Raw,
		"hello of another mesh":    wrong.seal(join.Frame{Kind: join.Ask}),
		"short hello":              {helloPrefix, 1, 2, 3},
		"SWIM":                     append([]byte{swimPrefix}, make([]byte, 200)...),
		"prefix that nobody knows": {0x30, 0, 0},
	}
	for name, b := range packets {
		if got := i.silence(b); len(got) != 0 {
			t.Errorf("%s was answered by %d bytes", name, len(got))
		}
	}
}

func TestBindShowsTheOwnAddress(t *testing.T) {
	a, b := start(t, secret, admitAll), start(t, secret, admitAll)
	if got, err := a.Bind(within(t, soon), b.Addr()); err != nil || got != a.Addr() {
		t.Errorf("Bind: %v, %v; want %v", got, err, a.Addr())
	}
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewSoftware(requestPadding), integrity(a.currentKeys()), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	if got := newInitiator(t, b.Addr()).say(request.Raw); len(got) == 0 {
		t.Error("no answer to a member")
	}
}

func TestPlainLibp2pIsRefused(t *testing.T) {
	l, member := start(t, secret, admitAll), start(t, secret, admitAll)
	serveEcho(l.Link)
	stranger, err := golibp2p.New(golibp2p.NoListenAddrs, golibp2p.Transport(libp2pquic.NewTransport), golibp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	id, err := libp2p.Decode(string(l.Self()))
	if err != nil {
		t.Fatal(err)
	}
	to := libp2p.AddrInfo{ID: id, Addrs: l.Host().Addrs()}
	// First from an address that no member has, then from a member's: even
	// there no stream is served.
	for _, want := range []string{"address", "identity"} {
		for range 3 {
			// libp2p would not dial again for some seconds.
			stranger.Network().(*swarm.Swarm).Backoff().Clear(id)
			if err := stranger.Connect(within(t, soon), to); err == nil {
				s, err := stranger.NewStream(within(t, soon), id, "/echo")
				if err == nil && echo(s, []byte("hi")) == nil {
					t.Errorf("by %s: a stranger got a stream", want)
				}
			}
		}
		if _, err := member.Hello(within(t, soon), l.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "refusals", func() bool { return l.Counters().DialRefused >= 2 })
	if n := l.log.count("connection of a stranger refused"); n != 1 || l.log.count("127.0.0.1:") == 0 {
		t.Errorf("logged %d times, want once with the address", n)
	}
}

func TestGarbageDoesNotStopATransfer(t *testing.T) {
	a, b := start(t, secret, admitAll), start(t, secret, admitAll)
	serveEcho(b.Link)
	i := newInitiator(t, b.Addr())
	s, err := a.Open(within(t, soon), b.Self(), b.Addr(), "/echo")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(soon))
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		r := mathrand.NewChaCha8([32]byte{})
		for n := range 10000 {
			packet := make([]byte, 1+n%1400)
			_, _ = r.Read(packet)
			_, _ = i.conn.Write(packet)
		}
	}()
	big := make([]byte, 4<<20)
	if err := echo(s, big); err != nil {
		t.Errorf("transfer: %v", err)
	}
	<-flooded
	if _, err := a.Hello(within(t, soon), b.Addr()); err != nil {
		t.Errorf("hello after the flood: %v", err)
	}
	if b.Counters().Garbage == 0 {
		t.Error("no garbage was counted")
	}
}

func TestOversizedStateEndsTheStream(t *testing.T) {
	a, b := start(t, secret, admitAll), start(t, secret, admitAll)
	swim := NewSWIM(b.Link, b.Addr())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		swim.Run()
	}()
	defer func() {
		_ = swim.Shutdown()
		<-ended
	}()
	await(t, "handler", func() bool { return len(b.Host().Mux().Protocols()) > 2 })
	s, err := a.Open(within(t, soon), b.Self(), b.Addr(), swimProtocol)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(soon))
	go func() { _, _ = s.Write(make([]byte, maxState+1)) }()
	got := <-swim.StreamCh()
	n, err := io.Copy(io.Discard, got)
	if n != maxState || !errors.Is(err, errTooLong) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestRestartedPeerIsReachedAgain(t *testing.T) {
	a := start(t, secret, admitAll)
	_, key, _ := ed25519.GenerateKey(nil)
	listen := netip.MustParseAddrPort("127.0.0.1:0")
	for range 3 {
		b, err := New(Options{Key: key, Keys: KeysOf("test", secret), Admit: admitAll, Listen: listen, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		listen = b.Addr()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		serveEcho(b)
		if err := a.Prune(t.Context(), b.Self()); err != nil {
			t.Error(err)
		}
		s, err := a.Open(within(t, soon), b.Self(), b.Addr(), "/echo")
		if err == nil {
			err = echo(s, []byte("hi"))
		}
		if err != nil {
			t.Error(err)
		}
		cancel()
		if err := errors.Join(<-ended, b.Close()); err != nil {
			t.Error(err)
		}
	}
}

func FuzzSTUN(f *testing.F) {
	k := KeysOf("test", secret)
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, integrity(k), stun.Fingerprint)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Raw)
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, ok := parseSTUN(b, k); ok && !bytes.Equal(b, m.Raw) && got.TransactionID == m.TransactionID {
			t.Errorf("%x passes for a member's", b)
		}
	})
}

func TestAdmissionsAreBounded(t *testing.T) {
	var b bounded[int]
	for i := range maxAdmitted + 10 {
		b.add(i)
		b.add(i)
	}
	if len(b.has) != maxAdmitted || len(b.order) != maxAdmitted || b.has[9] || !b.has[10] {
		t.Errorf("%d kept, %d in order", len(b.has), len(b.order))
	}
}
