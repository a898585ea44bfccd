package cas

import (
	"context"
	"errors"
	"fmt"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/cdc"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxCutting blobs are split or spliced at once, the others wait: one small request
	// may stand for a blob of the largest size.
	maxCutting = 4
	// cutBytes is what each takes in memory: what is looked at of the blob, and the
	// longest list of chunks that there is.
	cutBytes = 5<<20 + chunks.Max*digestBytes
	// digestBytes is what one of a list takes.
	digestBytes = 64
	// mappingDigests is how many digests one message has, some 80 bytes each.
	mappingDigests = 8192
	// maxAnswer bounds the digests of an answer in one message: clients take 4 MiB.
	maxAnswer = 50_000
)

// unsaid is the way of chunks that nobody knows a function of.
const unsaid = chunks.Way(repb.ChunkingFunction_UNKNOWN)

// SplitBlob implements repb.ContentAddressableStorageServer: GetChunkMapping for
// clients of before version 2.13.
func (s *Service) SplitBlob(ctx context.Context, q *repb.SplitBlobRequest) (*repb.SplitBlobResponse, error) {
	list, fn, err := s.split(ctx, q.DigestFunction, q.BlobDigest, q.ChunkingFunction)
	if err == nil && len(list) > maxAnswer {
		err = fault.Errorf(codes.ResourceExhausted, "%d chunks are more than the %d of one message: use GetChunkMapping", len(list), maxAnswer)
	}
	if err != nil {
		return nil, fault.Status(err)
	}
	return &repb.SplitBlobResponse{ChunkDigests: messagesOf(list), ChunkingFunction: fn}, nil
}

// GetChunkMapping implements repb.ContentAddressableStorageServer.
func (s *Service) GetChunkMapping(q *repb.GetChunkMappingRequest, stream grpc.ServerStreamingServer[repb.GetChunkMappingResponse]) error {
	if err := said(q.DigestFunction); err != nil {
		return err
	}
	list, fn, err := s.split(stream.Context(), q.DigestFunction, q.BlobDigest, q.ChunkingFunction)
	if err != nil {
		return fault.Status(err)
	}
	for first := true; first || len(list) > 0; first = false {
		n := min(len(list), mappingDigests)
		a := &repb.GetChunkMappingResponse{ChunkDigests: messagesOf(list[:n])}
		if first {
			a.ChunkingFunction = fn
		}
		if err := stream.Send(a); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// said refuses a function that is left out where version 2.13 has clients say it.
func said(v repb.DigestFunction_Value) error {
	if v == repb.DigestFunction_UNKNOWN {
		return fault.Errorf(codes.InvalidArgument, "the digest function is not said")
	}
	return nil
}

func messagesOf(ds []digest.Digest) []*repb.Digest {
	ms := make([]*repb.Digest, len(ds))
	for i, d := range ds {
		ms[i] = names.Message(d)
	}
	return ms
}

// blobOf reads the digest of a blob whose chunks a call is about.
func blobOf(v repb.DigestFunction_Value, m *repb.Digest) (digest.Digest, error) {
	ds, err := digests(v, []*repb.Digest{m})
	if err != nil {
		return digest.Digest{}, err
	}
	if ds[0].Size() > limits.MaxBlobBytes {
		return digest.Digest{}, fault.Errorf(codes.InvalidArgument, "a blob of %d bytes, the limit is %d", ds[0].Size(), int64(limits.MaxBlobBytes))
	}
	return ds[0], nil
}

// turn waits until another blob may be cut, and returns what ends that.
func (s *Service) turn(ctx context.Context) (end func(), err error) {
	select {
	case s.cutting <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release, err := room.Take(ctx, cutBytes)
	if err != nil {
		<-s.cutting
		return nil, err
	}
	return func() { release(); <-s.cutting }, nil
}

// split returns chunks of a blob, and what has cut them: by the function that the
// client prefers if that is served. They and the blob are there, and kept.
func (s *Service) split(ctx context.Context, v repb.DigestFunction_Value, m *repb.Digest, prefers repb.ChunkingFunction_Value) ([]digest.Digest, repb.ChunkingFunction_Value, error) {
	blob, err := blobOf(v, m)
	if err != nil {
		return nil, 0, err
	}
	end, err := s.turn(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer end()
	for _, way := range ways(prefers) {
		list, err := s.lists.Of(blob, way)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		return list, repb.ChunkingFunction_Value(way), s.again(ctx, blob, list)
	}
	fn := repb.ChunkingFunction_FAST_CDC_2020
	if cdc.Served(prefers) {
		fn = prefers
	}
	list, err := s.cut(ctx, blob, fn)
	return list, fn, err
}

// ways are what lists will do for a client, the best first: who does not care gets
// chunks that others may have, and those that a client has registered if there are no
// others.
func ways(prefers repb.ChunkingFunction_Value) []chunks.Way {
	if cdc.Served(prefers) {
		return []chunks.Way{chunks.Way(prefers)}
	}
	return []chunks.Way{chunks.Way(repb.ChunkingFunction_FAST_CDC_2020), chunks.Way(repb.ChunkingFunction_REP_MAX_CDC), unsaid}
}

// again keeps a blob and its chunks. Those that went are cut out of it again.
func (s *Service) again(ctx context.Context, blob digest.Digest, list []digest.Digest) error {
	there, err := s.present(ctx, append([]digest.Digest{blob}, list...))
	if err != nil {
		return err
	}
	if !there[0] {
		return fmt.Errorf("split %v: %w", blob, store.ErrNotFound)
	}
	var r store.Reader
	var at int64
	for i, c := range list {
		if !there[i+1] {
			if r == nil {
				if r, err = s.open(ctx, blob); err != nil {
					return err
				}
				defer r.Close()
			}
			if err := s.blobs.Put(ctx, c, io.NewSectionReader(r, at, c.Size())); err != nil {
				return fmt.Errorf("chunk %d of %v: %w", i+1, blob, err)
			}
			s.keep([]digest.Digest{c})
		}
		at += c.Size()
	}
	return nil
}

// cut makes chunks of a blob by fn, and remembers them. The blob is hashed on the way:
// what it is cut into is no better than its bytes.
func (s *Service) cut(ctx context.Context, blob digest.Digest, fn repb.ChunkingFunction_Value) ([]digest.Digest, error) {
	r, err := s.open(ctx, blob)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s.keep([]digest.Digest{blob})
	whole := digest.NewHasher(blob.Function())
	cuts := cdc.New(fn, io.TeeReader(io.NewSectionReader(r, 0, blob.Size()), whole))
	var list []digest.Digest
	for {
		content, err := cuts.ReadNextChunk()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			list = append(list, digest.Of(blob.Function(), content))
			err = s.put(ctx, list[len(list)-1], content)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("split %v: %w", blob, err)
		}
	}
	if whole.Sum() != blob {
		return nil, fmt.Errorf("split %v: %w", blob, store.Recheck(ctx, s.blobs, blob))
	}
	return list, s.lists.Put(blob, chunks.Way(fn), list)
}
