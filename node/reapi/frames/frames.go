// Package frames follows the frames of one direction of an HTTP/2 connection (RFC
// 9113, section 4.1) without changing them: what begins where, and of which stream it
// is. It is pure. Start reading at Follower.Next.
package frames

import "encoding/binary"

// Type is that of a frame (RFC 9113, section 6). Those that are not named here do not
// matter to who counts.
type Type uint8

// The types that matter.
const (
	Data      Type = 0
	Headers   Type = 1
	RSTStream Type = 3
)

const (
	endStream = 0x1
	padded    = 0x8
)

// HeaderBytes is the length of what stands before each frame.
const HeaderBytes = 9

// Frame is the header of one.
type Frame struct {
	Type   Type
	Stream uint32
	// Length of what follows the header, in bytes.
	Length int
	// End says that it is the last that its sender sends on the stream.
	End bool
	// Padded says that the first byte is how many bytes at the end are padding.
	Padded bool
}

// Parse reads a header.
func Parse(b [HeaderBytes]byte) Frame {
	f := Frame{
		Type: Type(b[3]), Stream: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31),
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
	}
	f.End = b[4]&endStream != 0 && (f.Type == Data || f.Type == Headers)
	f.Padded = b[4]&padded != 0 && f.Type == Data
	return f
}

// Follower follows what is sent, in pieces of any length.
type Follower struct {
	// Skip is how many bytes are left that are no frame, as a client's preface is none.
	Skip   int
	header [HeaderBytes]byte
	have   int // bytes of header
	left   int // of the frame
	now    Frame
}

// Event is a part of a piece.
type Event struct {
	// Frame is what it belongs to.
	Frame Frame
	// Begins says that Frame's header ends with it.
	Begins bool
	// Payload is of the frame, without its header. It is part of the piece.
	Payload []byte
}

// Next takes the beginning of a piece, as far as one event goes, and returns what is
// left. ok is false when nothing is.
func (f *Follower) Next(piece []byte) (e Event, rest []byte, ok bool) {
	if n := min(f.Skip, len(piece)); n > 0 {
		f.Skip -= n
		piece = piece[n:]
	}
	if len(piece) == 0 {
		return e, nil, false
	}
	if f.left > 0 {
		n := min(f.left, len(piece))
		f.left -= n
		return Event{Frame: f.now, Payload: piece[:n]}, piece[n:], true
	}
	n := copy(f.header[f.have:], piece)
	f.have += n
	piece = piece[n:]
	if f.have < HeaderBytes {
		return e, nil, false
	}
	f.now = Parse(f.header)
	f.have, f.left = 0, f.now.Length
	return Event{Frame: f.now, Begins: true}, piece, true
}

// Segment is how many bytes may be read without reading beyond the header, or the
// frame, that is begun.
func (f *Follower) Segment() int {
	switch {
	case f.Skip > 0:
		return f.Skip
	case f.left > 0:
		return f.left
	default:
		return HeaderBytes - f.have
	}
}
