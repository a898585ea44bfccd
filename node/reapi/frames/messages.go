package frames

import "encoding/binary"

// PrefixBytes stand before each message of gRPC: whether it is compressed, and its
// length.
const PrefixBytes = 5

// Messages follows the messages of gRPC in the data of one stream.
type Messages struct {
	prefix [PrefixBytes]byte
	have   int   // bytes of prefix
	left   int64 // of the message
	pad    int   // bytes at the end of the frame that are padding
	bare   int   // bytes of the frame before that
}

// Begin is the beginning of a frame.
func (m *Messages) Begin(f Frame) {
	m.bare, m.pad = f.Length, -1
	if !f.Padded {
		m.pad = 0
	}
}

// Data takes payload of the frame, and calls begins with the length of each message
// whose prefix is complete.
func (m *Messages) Data(payload []byte, begins func(length int64)) {
	if m.pad < 0 && len(payload) > 0 {
		m.pad = int(payload[0])
		m.bare = max(m.bare-1-m.pad, 0)
		payload = payload[1:]
	}
	payload = payload[:min(len(payload), m.bare)]
	m.bare -= len(payload)
	for len(payload) > 0 {
		if m.left > 0 {
			n := min(m.left, int64(len(payload)))
			m.left -= n
			payload = payload[n:]
			continue
		}
		n := copy(m.prefix[m.have:], payload)
		m.have += n
		payload = payload[n:]
		if m.have == PrefixBytes {
			m.have, m.left = 0, int64(binary.BigEndian.Uint32(m.prefix[1:]))
			begins(m.left)
		}
	}
}

// Midway says that the last frame has not come whole, or ends within the prefix of a
// message.
func (m *Messages) Midway() bool { return m.bare > 0 || m.have > 0 }
