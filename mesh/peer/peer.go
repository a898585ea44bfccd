// Package peer is the vocabulary of the mesh: who a member is, what it can do,
// and the streams between members. It decides nothing and starts nothing.
// Start reading at Member.
package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	libp2p "github.com/libp2p/go-libp2p/core/peer"
)

// ID is a node's identity: the libp2p peer ID of its ed25519 key, in base58.
// IDs from outside go through Parse. As a string type it is ordered and can
// key a map; tests of pure machines may write short ones.
type ID string

// Parse checks that s is a peer ID that carries its own public key.
func Parse(s string) (ID, error) {
	raw, err := libp2p.Decode(s)
	if err != nil {
		return "", fmt.Errorf("peer ID %q: %w", s, err)
	}
	if _, err := raw.ExtractPublicKey(); err != nil {
		return "", fmt.Errorf("peer ID %q: %w", s, err)
	}
	return ID(raw.String()), nil
}

// Short returns the last 8 characters, which differ between peers where the
// first ones do not.
func (id ID) Short() string {
	if len(id) <= 8 {
		return string(id)
	}
	return string(id[len(id)-8:])
}

// Compare orders IDs.
func (id ID) Compare(other ID) int { return cmp.Compare(id, other) }

// ErrBadSignature says that a signature was not made by the peer it names.
var ErrBadSignature = errors.New("signature is not of this peer")

// Verify checks that id's key signed message.
func (id ID) Verify(message, signature []byte) error {
	k, err := keys.of(id)
	if err != nil {
		return err
	}
	if ok, err := k.verify(message, signature); err != nil || !ok {
		return fmt.Errorf("%w: %s", ErrBadSignature, id)
	}
	return nil
}

// State is what membership believes of a member.
//
//	Alive -> Suspect -> Failed      Alive -> Left
//	   ^________|__________|           (heard from again)
type State uint8

const (
	// Alive members answer.
	Alive State = iota + 1
	// Suspect members have not answered a probe, and may refute it.
	Suspect
	// Failed members did not refute in time.
	Failed
	// Left members said that they go.
	Left
)

// String returns the state in lower case, as `node ls` prints it.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Failed:
		return "failed"
	case Left:
		return "left"
	default:
		return "unknown"
	}
}

// Capabilities is what a node tells the mesh of itself. Together they must fit
// the 512 bytes of a serf tag set.
type Capabilities struct {
	// BPU is the speed of one core; 1 is a core of an Intel i5-10400 at 2.9 GHz.
	BPU float64
	// Cores is what a cgroup quota leaves of the machine's cores.
	Cores float64
	// Slots is how many actions it runs at once.
	Slots int
	OS    string
	Arch  string
	// Toolchains are the first 8 hexadecimal digits of the toolchain digests
	// that the node knows it has.
	Toolchains []string
	// API is the HOST:PORT of its HTTP API, empty when it has none.
	API     string
	Version string
}

// Power is the work the whole node can do, in BPU.
func (c Capabilities) Power() float64 { return c.BPU * c.Cores }

// Share is how much of a core each slot has when all are taken: less than 1 where
// there are more slots than cores, as on a machine with a quota below one.
func (c Capabilities) Share() float64 {
	if c.Cores <= 0 || c.Slots <= 0 {
		return 1
	}
	return min(1, c.Cores/float64(c.Slots))
}

// Member is one node as another one sees it.
type Member struct {
	ID    ID
	Name  string // host name, for people
	Addr  netip.AddrPort
	State State
	Self  bool
	Caps  Capabilities
	// RTT from the node that answers to this member; 0 when not known yet.
	RTT time.Duration
	// Since is when this node first saw the member in its present life.
	Since time.Time
}

// Stream is an ordered, reliable, encrypted stream of bytes between two
// members. Reads and writes may be concurrent with each other.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite ends the writing side; the other end reads io.EOF.
	CloseWrite() error
	// Close ends both sides in order.
	Close() error
	// Reset ends both sides at once; both ends get errors.
	Reset() error
	SetDeadline(t time.Time) error
}

// Handler serves one stream that from opened. The stream is closed when it
// returns. ctx ends when the node stops.
type Handler func(ctx context.Context, from ID, s Stream)

// ErrUnreachable says that no stream to the peer could be had.
var ErrUnreachable = errors.New("peer is unreachable")

// Network opens streams to members and serves theirs. Everybody who gets
// through it is a member. All methods may be called concurrently.
type Network interface {
	// Open returns a stream, or ErrUnreachable.
	Open(ctx context.Context, to ID, protocol string) (Stream, error)
	// Handle serves a protocol from now on. A protocol has one handler.
	Handle(protocol string, h Handler)
}
