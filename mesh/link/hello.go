package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"github.com/pion/stun/v2"
	"golang.org/x/crypto/chacha20poly1305"
)

// resend is how long a hello or a binding waits before it asks again: three
// round trips of a slow continental link.
const resend = 300 * time.Millisecond

// ErrCopied says that another machine uses this node's identity.
var ErrCopied = errors.New("another machine runs with this node's identity: its home was copied; give this one an empty --home")

// Met is who answered a hello.
type Met struct {
	ID   peer.ID
	Addr netip.AddrPort
	RTT  time.Duration
	Seen netip.AddrPort // this node's address as the other one sees it
}

// Hello proves membership to the node at addr and takes its proof; both sides
// admit each other. It asks again until ctx ends.
func (l *Link) Hello(ctx context.Context, addr netip.AddrPort) (Met, error) {
	nonce := join.NewNonce()
	answers := make(chan answer, 2)
	l.mu.Lock()
	l.waiting[nonce] = answers
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, nonce)
	}()
	again := time.NewTicker(resend)
	defer again.Stop()
	var rtt time.Duration
	for {
		asked := time.Now()
		if err := l.sendHello(join.Frame{Kind: join.Ask, Initiator: nonce}, addr); err != nil {
			return Met{}, fmt.Errorf("hello to %s: %w", addr, err)
		}
		for waiting := true; waiting; {
			select {
			case a := <-answers:
				if a.frame.Kind == join.Offer {
					rtt = time.Since(asked)
					prove := join.Frame{Kind: join.Prove, Initiator: nonce, Responder: a.frame.Responder}
					if err := l.sendHello(prove.Sign(l.key), addr); err != nil {
						return Met{}, fmt.Errorf("hello to %s: %w", addr, err)
					}
					continue
				}
				return l.met(a, rtt)
			case <-again.C:
				waiting = false
			case <-ctx.Done():
				return Met{}, fmt.Errorf("hello to %s: no member answered: %w", addr, ctx.Err())
			}
		}
	}
}

func (l *Link) met(a answer, rtt time.Duration) (Met, error) {
	if !a.frame.Signed() {
		return Met{}, fmt.Errorf("hello to %s: %w", a.from, join.ErrHello)
	}
	id, err := idOf(a.frame.Key[:])
	if err != nil {
		return Met{}, fmt.Errorf("hello to %s: %w", a.from, err)
	}
	if id == l.host.ID() {
		return Met{}, fmt.Errorf("hello to %s: %w", a.from, ErrCopied)
	}
	l.gate.admit(id)
	return Met{ID: peer.ID(id.String()), Addr: a.from, RTT: rtt, Seen: a.frame.Seen}, nil
}

func idOf(key ed25519.PublicKey) (libp2p.ID, error) {
	k, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("key of the other side: %w", err)
	}
	return libp2p.IDFromPublicKey(k)
}

func (l *Link) sendHello(f join.Frame, to netip.AddrPort) error {
	var salt [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(salt[:]) // never fails since Go 1.24
	return l.send(helloPrefix, join.Seal(l.helloKey, salt, f), to)
}

func (l *Link) receiveHello(b []byte, from netip.AddrPort) {
	f, err := join.Unseal(l.helloKey, b)
	if err != nil {
		l.refuseHello(from)
		return
	}
	if f.Kind == join.Offer || f.Kind == join.Welcome {
		l.mu.Lock()
		answers := l.waiting[f.Initiator]
		l.mu.Unlock()
		select {
		case answers <- answer{f, from}:
		default:
		}
		return
	}
	reply, key, err := l.responder.Receive(from, f, join.NewNonce())
	if err != nil {
		l.refuseHello(from)
		return
	}
	if key != nil {
		id, err := idOf(key)
		if err != nil {
			l.refuseHello(from)
			return
		}
		l.gate.admit(id)
	}
	_ = l.sendHello(reply, from) // the other side asks again
}

func (l *Link) refuseHello(from netip.AddrPort) {
	l.helloRefused.Add(1)
	l.logOnce("hello refused", from)
}

// Bind asks the member at addr by STUN for this node's address as seen there.
func (l *Link) Bind(ctx context.Context, addr netip.AddrPort) (netip.AddrPort, error) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("binding request: %w", err)
	}
	seen := make(chan netip.AddrPort, 1)
	l.mu.Lock()
	l.binding[m.TransactionID] = seen
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.binding, m.TransactionID)
	}()
	again := time.NewTicker(resend)
	defer again.Stop()
	for {
		if err := l.write(m.Raw, addr); err != nil {
			return netip.AddrPort{}, fmt.Errorf("binding request to %s: %w", addr, err)
		}
		select {
		case a := <-seen:
			return a, nil
		case <-again.C:
		case <-ctx.Done():
			return netip.AddrPort{}, fmt.Errorf("binding request to %s: %w", addr, ctx.Err())
		}
	}
}
