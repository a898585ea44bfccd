package hearsay

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/hearsay/hearsaypb"
	"github.com/buildnet/buildnet/store/costs"
)

const (
	// Fields of what is known.
	knownOfQuestion = 3
	knownOfAnswer   = 1
	// knownBytes is what a kind takes at most of which all is known.
	knownBytes = 64
	// frameBytes are for what else there is in a frame.
	frameBytes = 64
)

// bound is what a frame may have: so many bytes, and so many kinds told of by a
// field.
type bound struct {
	bytes, kinds int
	field        protowire.Number
}

// boundOfQuestion is that of any question; an answer tells of what was asked.
func boundOfQuestion() bound { return bound{maxFrame, maxKinds, knownOfQuestion} }

func boundOfAnswer(q *hearsaypb.Question) bound {
	kinds := len(q.GetKinds()) / len(costs.Kind{})
	return bound{kinds*knownBytes + frameBytes, kinds, knownOfAnswer}
}

// read reads one frame into m. The kinds that it tells of are counted before any
// of them is made: what takes two bytes of a frame takes fifty times as many in
// memory.
func read(r *bufio.Reader, m proto.Message, b bound) error {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return fmt.Errorf("read the length of a frame: %w", err)
	}
	if size > uint64(b.bytes) {
		return fmt.Errorf("%w: a frame of %d bytes, the limit is %d", errMalformed, size, b.bytes)
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(r, frame); err != nil {
		return fmt.Errorf("read a frame of %d bytes: %w", size, err)
	}
	if err := b.count(frame); err != nil {
		return err
	}
	if err := proto.Unmarshal(frame, m); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// count refuses a frame that tells of more kinds.
func (b bound) count(frame []byte) error {
	n := 0
	for len(frame) > 0 {
		field, _, size := protowire.ConsumeField(frame)
		if size < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(size))
		}
		if field == b.field {
			if n++; n > b.kinds {
				return fmt.Errorf("%w: tells of more than %d kinds", errMalformed, b.kinds)
			}
		}
		frame = frame[size:]
	}
	return nil
}
