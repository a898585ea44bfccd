package cas

import (
	"context"
	"errors"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// errCut says that a client went before it had said that its upload is whole.
var errCut = errors.New("the upload was cut off")

// already is committed_size of a compressed upload of a blob that was there
// (remote_execution.proto, ContentAddressableStorage).
const already = -1

// parseUpload reads the name of an upload that may come.
func parseUpload(name string) (names.Upload, error) {
	u, err := names.ParseUpload(name)
	if err == nil && u.Digest.Size() > limits.MaxBlobBytes {
		err = fault.Errorf(codes.InvalidArgument, "a blob of %d bytes, the limit is %d", u.Digest.Size(), int64(limits.MaxBlobBytes))
	}
	return u, err
}

// Write implements bspb.ByteStreamServer.
func (s *Service) Write(stream bspb.ByteStream_WriteServer) error {
	committed, err := s.write(stream)
	if err != nil {
		return fault.Status(err)
	}
	return stream.SendAndClose(&bspb.WriteResponse{CommittedSize: committed})
}

func (s *Service) write(stream bspb.ByteStream_WriteServer) (int64, error) {
	first, err := stream.Recv()
	if err == io.EOF { //nolint:errorlint // as gRPC returns it
		return 0, fault.Errorf(codes.InvalidArgument, "a Write without a request")
	}
	if err != nil {
		return 0, err
	}
	name, err := parseUpload(first.ResourceName)
	if err != nil {
		return 0, err
	}
	if first.WriteOffset < 0 || first.WriteOffset > name.Digest.Size() {
		return 0, fault.Errorf(codes.OutOfRange, "write_offset %d of a blob of %d bytes", first.WriteOffset, name.Digest.Size())
	}
	compressed := name.Compressor == repb.Compressor_ZSTD
	if first.FinishWrite && first.WriteOffset == 0 && !compressed {
		// Most blobs are no larger than one message: these need no upload.
		return name.Digest.Size(), s.put(stream.Context(), name.Digest, first.Data)
	}
	here, err := s.blobs.Has(stream.Context(), []digest.Digest{name.Digest})
	if err != nil {
		return 0, err
	}
	if here[0] {
		s.keep([]digest.Digest{name.Digest})
		if compressed {
			return already, nil
		}
		return name.Digest.Size(), nil
	}
	return s.upload(&incoming{stream: stream, now: first, first: first.ResourceName, next: first.WriteOffset}, name)
}

// upload takes what one call brings of a blob.
func (s *Service) upload(in *incoming, name names.Upload) (int64, error) {
	ctx := in.stream.Context()
	h, err := s.uploads.attach(ctx, key(ctx, name), connection(ctx), in.next)
	if err != nil {
		return 0, err
	}
	compressed := name.Compressor == repb.Compressor_ZSTD
	if compressed {
		err = decode(ctx, h, in)
	} else {
		_, err = in.WriteTo(h)
	}
	switch {
	case err == nil:
		err = h.finish()
	case errors.Is(err, errSettled):
		err = h.settle()
		if err == nil && compressed {
			in.next = already
		}
		if err == nil && !compressed {
			in.next = name.Digest.Size()
		}
	case errors.Is(err, errCut):
		s.uploads.release(h)
		return h.u.committed.Load(), nil
	case errors.Is(err, store.ErrMismatch), fault.Of(err).Code() == codes.InvalidArgument:
		s.uploads.discard(h)
	default:
		s.uploads.release(h)
	}
	if err != nil {
		return 0, err
	}
	s.keep([]digest.Digest{h.digest()})
	return in.next, nil
}

// incoming are the requests of one call, whose data is read in order.
type incoming struct {
	stream bspb.ByteStream_WriteServer
	first  string             // the name in the first request
	now    *bspb.WriteRequest // what has come and is not taken
	rest   []byte             // of its data, for Read
	next   int64              // the offset that the next request must have
	done   bool               // finish_write has come
}

// data returns that of the next request, io.EOF after the last, and errCut if
// that was not said to be the last.
func (in *incoming) data() ([]byte, error) {
	if in.done {
		return nil, io.EOF
	}
	q := in.now
	in.now = nil
	if q == nil {
		var err error
		if q, err = in.stream.Recv(); err == io.EOF { //nolint:errorlint // as gRPC returns it
			return nil, errCut
		} else if err != nil {
			return nil, err
		}
	}
	switch {
	case q.ResourceName != "" && q.ResourceName != in.first:
		return nil, fault.Errorf(codes.InvalidArgument, "resource_name %q in a Write of %q", q.ResourceName, in.first)
	case q.WriteOffset != in.next:
		return nil, fault.Errorf(codes.InvalidArgument, "write_offset %d, want %d", q.WriteOffset, in.next)
	}
	in.next += int64(len(q.Data))
	in.done = q.FinishWrite
	return q.Data, nil
}

// WriteTo writes all to w as it comes.
func (in *incoming) WriteTo(w io.Writer) (n int64, err error) {
	for {
		data, err := in.data()
		if err == io.EOF { //nolint:errorlint // ours
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if len(data) == 0 {
			continue
		}
		k, err := w.Write(data)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

// Read implements io.Reader.
func (in *incoming) Read(p []byte) (int, error) {
	for len(in.rest) == 0 {
		var err error
		if in.rest, err = in.data(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// QueryWriteStatus implements bspb.ByteStreamServer. Of an upload that nobody
// knows nothing is committed. The NOT_FOUND that bytestream.proto has for it
// would fail a build of Bazel's whose node was started anew, while 0 has it
// begin again.
func (s *Service) QueryWriteStatus(ctx context.Context, q *bspb.QueryWriteStatusRequest) (*bspb.QueryWriteStatusResponse, error) {
	name, err := parseUpload(q.ResourceName)
	if err != nil {
		return nil, fault.Status(err)
	}
	here, err := s.blobs.Has(ctx, []digest.Digest{name.Digest})
	if err != nil {
		return nil, fault.Status(err)
	}
	if here[0] {
		s.keep([]digest.Digest{name.Digest})
		return &bspb.QueryWriteStatusResponse{CommittedSize: name.Digest.Size(), Complete: true}, nil
	}
	return &bspb.QueryWriteStatusResponse{CommittedSize: s.uploads.status(key(ctx, name))}, nil
}

func key(ctx context.Context, name names.Upload) uploadKey {
	return uploadKey{client: caller.Of(ctx).Name, name: name}
}

// connection returns what tells the connection of a call from others.
func connection(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
