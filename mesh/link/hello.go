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
	"golang.org/x/crypto/chacha20poly1305"
)

// resend is how long a hello or a binding waits before it asks again: three
// round trips of a slow continental link.
const resend = 300 * time.Millisecond

var (
	// ErrCopied says that another machine uses this node's identity.
	ErrCopied = errors.New("another machine runs with this node's identity: its home was copied; give this one an empty --home")
	// ErrSelf says that a hello came back to this very node.
	ErrSelf = errors.New("this is the node's own address")
	// ErrBanned says that the one who answered was revoked.
	ErrBanned = errors.New("the node there was revoked")
)

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
	h := &hello{link: l, to: addr, nonce: join.NewNonce(), answers: make(chan answer, 4)}
	l.mu.Lock()
	l.waiting[h.nonce] = h.answers
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, h.nonce)
	}()
	met, err := h.run(ctx)
	if err != nil {
		return Met{}, fmt.Errorf("hello to %s: %w", addr, err)
	}
	return met, nil
}

// hello is the initiator's side of one hello.
type hello struct {
	link    *Link
	to      netip.AddrPort
	nonce   join.Nonce
	answers chan answer

	asked  time.Time // first
	rtt    time.Duration
	proved join.Nonce
}

func (h *hello) run(ctx context.Context) (Met, error) {
	again := time.NewTicker(resend)
	defer again.Stop()
	h.asked = time.Now()
	for {
		if err := h.link.sendHello(h.link.currentKeys().Hello, join.Frame{Kind: join.Ask, Initiator: h.nonce}, h.to); err != nil {
			return Met{}, err
		}
		h.proved = join.Nonce{} // the proof or its answer was lost
		for waiting := true; waiting; {
			select {
			case a := <-h.answers:
				met, done, err := h.answer(a)
				if done || err != nil {
					return met, err
				}
			case <-again.C:
				waiting = false
			case <-ctx.Done():
				return Met{}, fmt.Errorf("no member answered: %w", ctx.Err())
			}
		}
	}
}

func (h *hello) answer(a answer) (met Met, done bool, err error) {
	switch a.frame.Kind {
	case join.Ask:
		return Met{}, false, ErrSelf
	case join.Offer:
		if h.rtt == 0 {
			h.rtt = time.Since(h.asked)
		}
		if h.proved == a.frame.Responder {
			return Met{}, false, nil
		}
		h.proved = a.frame.Responder
		prove := join.Frame{Kind: join.Prove, Initiator: h.nonce, Responder: a.frame.Responder}
		return Met{}, false, h.link.sendHello(h.link.currentKeys().Hello, prove.Sign(h.link.key), h.to)
	default:
		met, err = h.link.met(a, h.rtt)
		return met, err == nil, err
	}
}

func (l *Link) met(a answer, rtt time.Duration) (Met, error) {
	if !a.frame.Signed() {
		return Met{}, join.ErrHello
	}
	id, err := idOf(a.frame.Key[:])
	if err != nil {
		return Met{}, err
	}
	if id == l.host.ID() {
		return Met{}, ErrCopied
	}
	if !l.admit(peer.ID(id.String()), Current) {
		return Met{}, fmt.Errorf("%w: %s", ErrBanned, id)
	}
	l.gate.admit(id, a.from.Addr())
	return Met{ID: peer.ID(id.String()), Addr: a.from, RTT: rtt, Seen: a.frame.Seen}, nil
}

func idOf(key ed25519.PublicKey) (libp2p.ID, error) {
	k, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("key of the other side: %w", err)
	}
	return libp2p.IDFromPublicKey(k)
}

func (l *Link) sendHello(key []byte, f join.Frame, to netip.AddrPort) error {
	var salt [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(salt[:]) // never fails since Go 1.24
	return l.send(helloPrefix, join.Seal(key, salt, f), to)
}

// unseal tries the mesh's key, and then those of former secrets.
func (l *Link) unseal(b []byte) (f join.Frame, key []byte, by Proof, err error) {
	keys := l.currentKeys()
	if f, err = join.Unseal(keys.Hello, b); err == nil {
		return f, keys.Hello, Current, nil
	}
	for _, key := range keys.Former {
		if f, err = join.Unseal(key, b); err == nil {
			return f, key, Former, nil
		}
	}
	return join.Frame{}, nil, Current, err
}

func (l *Link) receiveHello(b []byte, from netip.AddrPort) {
	f, key, by, err := l.unseal(b)
	if err != nil {
		l.refuseHello(from)
		return
	}
	if l.deliver(f, from) {
		return
	}
	reply, proved, err := l.responder.Receive(from, f, join.NewNonce())
	if err != nil {
		l.refuseHello(from)
		return
	}
	if proved != nil {
		id, err := idOf(proved)
		if err != nil || !l.admit(peer.ID(id.String()), by) {
			l.refuseHello(from)
			return
		}
		if id != l.host.ID() {
			l.gate.admit(id, from.Addr())
		}
	}
	_ = l.sendHello(key, reply, from) // the other side asks again
}

// deliver gives an answer, or a question of this very node, to the hello that
// waits for it.
func (l *Link) deliver(f join.Frame, from netip.AddrPort) bool {
	l.mu.Lock()
	answers, ours := l.waiting[f.Initiator]
	l.mu.Unlock()
	if f.Kind == join.Prove || f.Kind == join.Ask && !ours {
		return false
	}
	select {
	case answers <- answer{f, from}:
	default:
	}
	return true
}

func (l *Link) refuseHello(from netip.AddrPort) {
	l.helloRefused.Add(1)
	l.logOnce("hello refused", from)
}
