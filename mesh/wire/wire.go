// Package wire writes and reads protobuf messages on a stream: each is a frame
// of its length as an unsigned varint (protobuf's own delimited form) and its
// bytes. What comes from a peer is bounded before it is allocated. The package
// is pure but for the reader and writer it is given.
package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"
)

// MaxFrame is the default limit of a frame in bytes: enough for 100,000
// digests, small enough that a thousand hostile streams cannot fill a machine.
const MaxFrame = 4 << 20

// ErrFrameTooLong says that a peer announced a frame above the limit.
var ErrFrameTooLong = errors.New("frame is too long")

// maxKept in bytes: larger frames are rare, and their memory is not kept.
const maxKept = 64 << 10

// frames are buffers that nobody uses. What is decoded of one is copied.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// take returns a buffer of at least so many bytes.
func take(size int) *[]byte {
	buf := frames.Get().(*[]byte) //nolint:forcetypeassert // there are no others
	if cap(*buf) < size {
		*buf = make([]byte, max(size, 1<<10))
	}
	*buf = (*buf)[:cap(*buf)]
	return buf
}

func give(buf *[]byte) {
	if cap(*buf) <= maxKept {
		frames.Put(buf)
	}
}

// Write writes one frame with a single call to w.
func Write(w io.Writer, m proto.Message) error {
	size := proto.Size(m)
	buf := take(size + binary.MaxVarintLen32)
	defer give(buf)
	frame := binary.AppendUvarint((*buf)[:0], uint64(size))
	frame, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(frame, m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

// Read reads one frame of at most limit bytes into m. At the end of the
// stream, between frames, it returns io.EOF itself.
func Read(r *bufio.Reader, m proto.Message, limit int) error {
	name := m.ProtoReflect().Descriptor().Name()
	size, err := binary.ReadUvarint(r)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("read length of %s: %w", name, err)
	}
	if size > uint64(limit) {
		return fmt.Errorf("read %s of %d bytes: %w, the limit is %d", name, size, ErrFrameTooLong, limit)
	}
	buf := take(int(size))
	defer give(buf)
	frame := (*buf)[:size]
	if _, err := io.ReadFull(r, frame); err != nil {
		return fmt.Errorf("read %s of %d bytes: %w", name, size, err)
	}
	if err := proto.Unmarshal(frame, m); err != nil {
		return fmt.Errorf("decode %s: %w", name, err)
	}
	return nil
}
