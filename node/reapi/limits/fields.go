package limits

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// MaxDecodedBytes bounds what one message takes in memory, as Decoded reckons it:
	// three times what the digests of one call take, or a batch of blobs of 10 bytes.
	MaxDecodedBytes = 48 << 20

	// innerBytes is what a message within another takes there, beside the bytes that
	// it has on the wire: itself, and its place in a list that has grown. fieldBytes is
	// that of any other field.
	innerBytes, fieldBytes = 112, 32
	// maxDepth bounds messages within messages; ours are 6 deep.
	maxDepth = 32
)

// Decoded reckons how many bytes an encoded message takes when it is decoded, before
// that is done: an empty message within it is 2 bytes long. ok is false if it takes
// more than MaxDecodedBytes. What is malformed counts until there: who decodes it
// says so.
func Decoded(m protoreflect.MessageDescriptor, encoded []byte) (bytes int64, ok bool) {
	bytes = int64(len(encoded)) + reckon(m, encoded, maxDepth)
	return bytes, bytes <= MaxDecodedBytes
}

func reckon(m protoreflect.MessageDescriptor, b []byte, depth int) (bytes int64) {
	if depth == 0 {
		return MaxDecodedBytes + 1
	}
	for len(b) > 0 && bytes <= MaxDecodedBytes {
		num, typ, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return bytes
		}
		length := protowire.ConsumeFieldValue(num, typ, b[tag:])
		if length < 0 {
			return bytes
		}
		bytes += fieldBytes
		if typ == protowire.BytesType {
			if f := m.Fields().ByNumber(num); f != nil && f.Message() != nil {
				inner, _ := protowire.ConsumeBytes(b[tag:])
				bytes += innerBytes - fieldBytes + reckon(f.Message(), inner, depth-1)
			}
		}
		b = b[tag+length:]
	}
	return bytes
}
