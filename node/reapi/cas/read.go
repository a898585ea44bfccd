package cas

import (
	"io"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
)

// chunkBytes is the size of one message of a read: four frames of HTTP/2, and
// little enough for a client that reads thousands of blobs at once.
const chunkBytes = 64 << 10

var buffers = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// Read implements bspb.ByteStreamServer.
func (s *Service) Read(q *bspb.ReadRequest, stream bspb.ByteStream_ReadServer) error {
	return fault.Status(s.read(q, stream))
}

func (s *Service) read(q *bspb.ReadRequest, stream bspb.ByteStream_ReadServer) error {
	name, err := names.ParseBlob(q.ResourceName)
	if err != nil {
		return err
	}
	size := name.Digest.Size()
	compressed := name.Compressor == repb.Compressor_ZSTD
	switch {
	case q.ReadOffset < 0 || q.ReadOffset > size:
		return fault.Errorf(codes.OutOfRange, "read_offset %d of a blob of %d bytes", q.ReadOffset, size)
	case q.ReadLimit < 0:
		return fault.Errorf(codes.InvalidArgument, "read_limit %d", q.ReadLimit)
	case q.ReadLimit > 0 && compressed:
		return fault.Errorf(codes.InvalidArgument, "read_limit %d of a compressed read", q.ReadLimit)
	}
	r, err := s.open(stream.Context(), name.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	n := size - q.ReadOffset
	if q.ReadLimit > 0 {
		n = min(n, q.ReadLimit)
	}
	from := io.NewSectionReader(r, q.ReadOffset, n)
	takes := int64(chunkBytes)
	if compressed {
		takes += encoderBytes
	}
	release, err := room.Take(stream.Context(), takes)
	if err != nil {
		return err
	}
	defer release()
	if compressed {
		return encode(sender{stream}, from)
	}
	return send(stream, from, n)
}

// send sends n bytes of r.
func send(stream bspb.ByteStream_ReadServer, r io.Reader, n int64) error {
	buf := buffers.Get().(*[chunkBytes]byte)
	defer buffers.Put(buf)
	for n > 0 {
		chunk := buf[:min(chunkBytes, n)]
		if _, err := io.ReadFull(r, chunk); err != nil {
			return err
		}
		if err := stream.Send(&bspb.ReadResponse{Data: chunk}); err != nil {
			return err
		}
		n -= int64(len(chunk))
	}
	return nil
}

// sender sends what is written to it, in messages of at most chunkBytes.
type sender struct{ stream bspb.ByteStream_ReadServer }

func (s sender) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		chunk := p[sent:min(len(p), sent+chunkBytes)]
		if err := s.stream.Send(&bspb.ReadResponse{Data: chunk}); err != nil {
			return sent, err
		}
		sent += len(chunk)
	}
	return sent, nil
}
