// Package decree decides which of the things that members have laid down for
// the whole mesh holds: the last one. It is pure. Start reading at Decree.
//
// Any member may lay one down: a mesh is one circle of trust. Each is signed, so
// that everybody sees whose it is, and numbered after the one before. Members
// that meet tell each other, and the higher number holds; so all come to the
// same, also those that were away. What a decree says is the affair of those
// who lay it down and read it.
package decree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/buildnet/buildnet/mesh/decree/decreepb"
	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	// MaxText bounds what a decree says, in bytes.
	MaxText = 8 << 10
	// maxStep bounds how far a number may be ahead, so that no member can use
	// the numbers up.
	maxStep = 1 << 16
	// maxFirst bounds the first number that a member hears of: the mesh may be old,
	// and leaves room for those to come.
	maxFirst = 1 << 62
	// maxAge bounds the times that can be told, in seconds from 1970: the year
	// 9999.
	maxAge = 253402300799
)

// ErrRefused says that what a peer told is not to be believed.
var ErrRefused = errors.New("decree refused")

// Decree is what holds. The zero Decree says that there is none.
type Decree struct {
	Version uint64  `json:"version"`
	By      peer.ID `json:"by"`
	// At is when, by the clock of By, in Unix seconds: for people alone.
	At int64 `json:"at"`
	// Text is empty where By has taken back what was laid down before.
	Text      []byte `json:"text"`
	Signature []byte `json:"signature"`
}

// Author is the member that lays something down.
type Author struct {
	ID   peer.ID
	Sign func([]byte) ([]byte, error)
}

// Next returns the decree that follows on d in a mesh.
func (d Decree) Next(mesh string, text []byte, at time.Time, a Author) (Decree, error) {
	if len(text) > MaxText {
		return d, fmt.Errorf("decree of %d bytes, the limit is %d", len(text), MaxText)
	}
	next := Decree{Version: d.Version + 1, By: a.ID, At: min(max(at.Unix(), 0), maxAge), Text: bytes.Clone(text)}
	var err error
	if next.Signature, err = a.Sign(next.signed(mesh)); err != nil {
		return d, fmt.Errorf("sign a decree: %w", err)
	}
	return next, nil
}

// signed is what the signature is of.
func (d Decree) signed(mesh string) []byte {
	b := []byte("buildnet decree v1\x00" + mesh + "\x00")
	b = binary.BigEndian.AppendUint64(b, d.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(d.At))
	return append(b, d.Text...)
}

// Order compares decrees: the greater one holds. Of one number, as when two
// members lay something down at once, the peer ID decides.
func (d Decree) Order(o Decree) int {
	return cmp.Or(cmp.Compare(d.Version, o.Version), d.By.Compare(o.By), cmp.Compare(d.At, o.At), bytes.Compare(d.Text, o.Text))
}

// Adopt returns which of d and o holds, where o is what a peer told.
func (d Decree) Adopt(mesh string, o Decree) (Decree, error) {
	switch {
	case o.Order(d) <= 0:
		return d, nil
	case o.Version > d.furthest():
		return d, fmt.Errorf("%w: number %d, ours is %d", ErrRefused, o.Version, d.Version)
	}
	if err := o.Verify(mesh); err != nil {
		return d, err
	}
	return o, nil
}

// furthest is the highest number that is believed after d.
func (d Decree) furthest() uint64 {
	if d.Version == 0 {
		return maxFirst - 1
	}
	return d.Version + maxStep
}

// Verify checks what does not depend on the decree before.
func (d Decree) Verify(mesh string) error {
	if d.Version == 0 || len(d.Text) > MaxText || d.At < 0 || d.At > maxAge {
		return fmt.Errorf("%w: number %d, %d bytes, of %d", ErrRefused, d.Version, len(d.Text), d.At)
	}
	if err := d.By.Verify(d.signed(mesh), d.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// Message is what peers are told.
func (d Decree) Message() *decreepb.Decree {
	return &decreepb.Decree{Version: d.Version, By: string(d.By), At: d.At, Text: d.Text, Signature: d.Signature}
}

// Read reads what a peer told; Adopt says whether to believe it.
func Read(m *decreepb.Decree) Decree {
	return Decree{Version: m.GetVersion(), By: peer.ID(m.GetBy()), At: m.GetAt(), Text: m.GetText(), Signature: m.GetSignature()}
}
