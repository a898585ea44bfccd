package cas

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxDigests bounds the digests of one call, five times what clients ask for
	// at once.
	maxDigests = 50_000
	// batchWriters is how many blobs of a batch are written at once: the store
	// commits what is written together together.
	batchWriters = 8
	// minCompressed is from how many bytes on a blob of a batch is compressed: a
	// frame costs 20 bytes, and the time for it.
	minCompressed = 512
)

// digests reads what a call names.
func digests(v repb.DigestFunction_Value, ms []*repb.Digest) ([]digest.Digest, error) {
	if len(ms) > maxDigests {
		return nil, fault.Errorf(codes.InvalidArgument, "%d digests in one call, the limit is %d", len(ms), maxDigests)
	}
	fn, err := names.Function(v)
	if err != nil {
		return nil, err
	}
	return names.Digests(fn, ms)
}

// FindMissingBlobs implements repb.ContentAddressableStorageServer. Digests that name
// nothing are not missing: please asks for every output of an action, and for those
// that are links with such.
func (s *Service) FindMissingBlobs(ctx context.Context, q *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	asked := slices.DeleteFunc(q.BlobDigests, namesNothing)
	ds, err := digests(q.DigestFunction, asked)
	if err != nil {
		return nil, fault.Status(err)
	}
	there, err := s.present(ctx, ds)
	if err != nil {
		return nil, fault.Status(err)
	}
	a := &repb.FindMissingBlobsResponse{}
	told := map[digest.Digest]struct{}{}
	for i, d := range ds {
		if _, twice := told[d]; !there[i] && !twice {
			told[d] = struct{}{}
			a.MissingBlobDigests = append(a.MissingBlobDigests, asked[i])
		}
	}
	return a, nil
}

func namesNothing(m *repb.Digest) bool { return m.GetHash() == "" && m.GetSizeBytes() == 0 }

// inBatch refuses blobs that are together more than a batch may hold.
func inBatch(ds []digest.Digest) error {
	left := int64(limits.MaxBatchBytes)
	for _, d := range ds {
		if d.Size() > left {
			return fault.Errorf(codes.InvalidArgument, "a batch of more than %d bytes; use ByteStream", limits.MaxBatchBytes)
		}
		left -= d.Size()
	}
	return nil
}

func total(ds []digest.Digest) (bytes int64) {
	for _, d := range ds {
		bytes += d.Size()
	}
	return bytes
}

// BatchUpdateBlobs implements repb.ContentAddressableStorageServer.
func (s *Service) BatchUpdateBlobs(ctx context.Context, q *repb.BatchUpdateBlobsRequest) (*repb.BatchUpdateBlobsResponse, error) {
	ms := make([]*repb.Digest, len(q.Requests))
	for i, r := range q.Requests {
		ms[i] = r.GetDigest()
	}
	ds, err := digests(q.DigestFunction, ms)
	if err == nil {
		err = inBatch(ds)
	}
	if err != nil {
		return nil, fault.Status(err)
	}
	a := &repb.BatchUpdateBlobsResponse{Responses: make([]*repb.BatchUpdateBlobsResponse_Response, len(ds))}
	var writing errgroup.Group
	writing.SetLimit(batchWriters)
	for i, d := range ds {
		writing.Go(func() error {
			err := s.update(ctx, d, q.Requests[i])
			a.Responses[i] = &repb.BatchUpdateBlobsResponse_Response{Digest: ms[i], Status: fault.Of(err).Proto()}
			return nil
		})
	}
	return a, writing.Wait()
}

func (s *Service) update(ctx context.Context, d digest.Digest, r *repb.BatchUpdateBlobsRequest_Request) error {
	content := r.Data
	switch r.Compressor {
	case repb.Compressor_IDENTITY:
	case repb.Compressor_ZSTD:
		var err error
		if content, err = decompress(ctx, content, d.Size()); err != nil {
			return err
		}
	default:
		return fault.Errorf(codes.InvalidArgument, "compressor %v is not served, zstd is", r.Compressor)
	}
	return s.put(ctx, d, content)
}

// put keeps a blob that has come whole.
func (s *Service) put(ctx context.Context, d digest.Digest, content []byte) error {
	if int64(len(content)) != d.Size() {
		return fmt.Errorf("%d bytes for %v: %w", len(content), d, store.ErrMismatch)
	}
	if err := s.blobs.Put(ctx, d, bytes.NewReader(content)); err != nil {
		return err
	}
	s.keep([]digest.Digest{d})
	return nil
}

// BatchReadBlobs implements repb.ContentAddressableStorageServer.
func (s *Service) BatchReadBlobs(ctx context.Context, q *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	ds, err := digests(q.DigestFunction, q.Digests)
	if err == nil {
		err = inBatch(ds)
	}
	if err == nil {
		err = s.bring(ctx, ds)
	}
	if err != nil {
		return nil, fault.Status(err)
	}
	// What is read, and the same compressed.
	release, err := room.Take(ctx, 2*total(ds))
	if err != nil {
		return nil, fault.Status(err)
	}
	defer release()
	zstd := slices.Contains(q.AcceptableCompressors, repb.Compressor_ZSTD)
	a := &repb.BatchReadBlobsResponse{Responses: make([]*repb.BatchReadBlobsResponse_Response, len(ds))}
	for i, d := range ds {
		content, err := store.ReadAll(ctx, s.blobs, d, limits.MaxBatchBytes)
		r := &repb.BatchReadBlobsResponse_Response{Digest: q.Digests[i], Data: content, Status: fault.Of(err).Proto()}
		if zstd && len(content) >= minCompressed {
			if small := compress(content); len(small) < len(content) {
				r.Data, r.Compressor = small, repb.Compressor_ZSTD
			}
		}
		a.Responses[i] = r
	}
	return a, nil
}
