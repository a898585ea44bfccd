package reapi

import (
	"runtime"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
)

// bufferSizes, powers of 2, are those of the buffers that data comes in. gRPC's own
// are further apart, so that small frames would take four times what they hold.
var bufferSizes = []uint8{8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}

func buffers() mem.BufferPool {
	pool, err := mem.NewBinaryTieredBufferPool(bufferSizes...)
	if err != nil {
		panic("reapi: gRPC refuses our sizes of buffers: " + err.Error())
	}
	return pool
}

// incoming is a message of a call that is to be decoded.
type incoming struct {
	proto.Message
	of *call
}

// codec is gRPC's for protobuf, and looks at what decoding takes before it decodes: an
// empty message within another takes 2 bytes on the wire and 100 in memory.
type codec struct {
	encoding.CodecV2
	pool mem.BufferPool
	// turns bounds how many large messages are decoded at once, for which they are
	// there three times.
	turns chan struct{}
}

func newCodec(pool mem.BufferPool) *codec {
	return &codec{CodecV2: encoding.GetCodecV2("proto"), pool: pool, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Unmarshal implements encoding.CodecV2.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	in := v.(*incoming)
	if data.Len() > streamWindow {
		c.turns <- struct{}{}
		defer func() { <-c.turns }()
	}
	content := data.MaterializeToBuffer(c.pool)
	defer content.Free()
	takes, ok := limits.Decoded(in.ProtoReflect().Descriptor(), content.ReadOnlyData())
	if !ok {
		return fault.Errorf(codes.ResourceExhausted, "a message that takes more than %d bytes in memory", limits.MaxDecodedBytes)
	}
	if err := in.of.decodes(takes); err != nil {
		return err
	}
	defer in.of.decoded()
	return proto.Unmarshal(content.ReadOnlyData(), in.Message)
}
