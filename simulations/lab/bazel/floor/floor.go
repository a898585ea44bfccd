// Package floor is a server of the Remote Execution API that does next to nothing, and
// so shows what its clients take whoever serves them. It keeps blobs in memory, looks
// at no digest, knows no result, and executes nothing: the commands that it is asked
// for are `echo WORD >FILE`, of which it knows what they would write. It is for
// benchmarks on this machine: nothing bounds what it keeps. Start reading at Serve.
package floor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// server implements all services, for SHA-256.
type server struct {
	repb.UnimplementedActionCacheServer
	repb.UnimplementedCapabilitiesServer
	repb.UnimplementedContentAddressableStorageServer
	repb.UnimplementedExecutionServer
	bspb.UnimplementedByteStreamServer

	takes time.Duration // each execution
	slot  chan struct{} // holds a token while one goes on

	mu    sync.Mutex
	blobs map[string][]byte // by their hashes
}

// Serve serves on an address until that fails. One execution goes on at a time, and takes
// so long, in which nothing is done.
func Serve(ctx context.Context, address string, takes time.Duration) error {
	on, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the Remote Execution API: %w", err)
	}
	s, g := &server{takes: takes, slot: make(chan struct{}, 1), blobs: map[string][]byte{}}, grpc.NewServer()
	repb.RegisterActionCacheServer(g, s)
	repb.RegisterCapabilitiesServer(g, s)
	repb.RegisterContentAddressableStorageServer(g, s)
	repb.RegisterExecutionServer(g, s)
	bspb.RegisterByteStreamServer(g, s)
	return g.Serve(on)
}

func (s *server) put(content []byte) *repb.Digest {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	s.keep(hash, content)
	return &repb.Digest{Hash: hash, SizeBytes: int64(len(content))}
}

func (s *server) keep(hash string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[hash] = content
}

// blob returns one that is there, or NOT_FOUND.
func (s *server) blob(hash string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.blobs[hash]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "blob %s", hash)
	}
	return content, nil
}

// read reads a message that is there.
func (s *server) read(d *repb.Digest, m proto.Message) error {
	content, err := s.blob(d.GetHash())
	if err != nil {
		return err
	}
	return proto.Unmarshal(content, m)
}

// GetCapabilities implements repb.CapabilitiesServer.
func (s *server) GetCapabilities(context.Context, *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	sha := []repb.DigestFunction_Value{repb.DigestFunction_SHA256}
	return &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			DigestFunctions: sha, ActionCacheUpdateCapabilities: &repb.ActionCacheUpdateCapabilities{UpdateEnabled: true},
		},
		ExecutionCapabilities: &repb.ExecutionCapabilities{DigestFunction: sha[0], ExecEnabled: true},
		LowApiVersion:         &semver.SemVer{Major: 2}, HighApiVersion: &semver.SemVer{Major: 2, Minor: 3},
	}, nil
}

// GetActionResult implements repb.ActionCacheServer.
func (s *server) GetActionResult(context.Context, *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	return nil, status.Error(codes.NotFound, "no result")
}

// FindMissingBlobs implements repb.ContentAddressableStorageServer.
func (s *server) FindMissingBlobs(_ context.Context, r *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	var missing []*repb.Digest
	for _, d := range r.GetBlobDigests() {
		if _, err := s.blob(d.GetHash()); err != nil {
			missing = append(missing, d)
		}
	}
	return &repb.FindMissingBlobsResponse{MissingBlobDigests: missing}, nil
}

// hashOf is that of a resource name, whose last two segments are hash and size.
func hashOf(name string) (string, error) {
	segments := strings.Split(name, "/")
	if len(segments) < 2 {
		return "", status.Errorf(codes.InvalidArgument, "resource name %q", name)
	}
	return segments[len(segments)-2], nil
}

// Write implements bspb.ByteStreamServer.
func (s *server) Write(stream bspb.ByteStream_WriteServer) error {
	var content []byte
	name := ""
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if name == "" {
			name = r.GetResourceName()
		}
		content = append(content, r.GetData()...)
	}
	hash, err := hashOf(name)
	if err != nil {
		return err
	}
	s.keep(hash, content)
	return stream.SendAndClose(&bspb.WriteResponse{CommittedSize: int64(len(content))})
}

// Read implements bspb.ByteStreamServer.
func (s *server) Read(r *bspb.ReadRequest, stream bspb.ByteStream_ReadServer) error {
	hash, err := hashOf(r.GetResourceName())
	if err != nil {
		return err
	}
	content, err := s.blob(hash)
	if err != nil {
		return err
	}
	return stream.Send(&bspb.ReadResponse{Data: content})
}

// pass lets the time of an execution pass.
func (s *server) pass(ctx context.Context) error {
	if s.takes == 0 {
		return nil
	}
	select {
	case s.slot <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.slot }()
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// echo is what a command does.
var echo = regexp.MustCompile(`echo (\w+) >`)

// Execute implements repb.ExecutionServer: with one message, of what the command would
// have come to.
func (s *server) Execute(r *repb.ExecuteRequest, stream repb.Execution_ExecuteServer) error {
	if err := s.pass(stream.Context()); err != nil {
		return err
	}
	var a repb.Action
	var c repb.Command
	if err := s.read(r.GetActionDigest(), &a); err != nil {
		return err
	}
	if err := s.read(a.GetCommandDigest(), &c); err != nil {
		return err
	}
	word := echo.FindStringSubmatch(strings.Join(c.GetArguments(), " "))
	//nolint:staticcheck // Bazel 4 names its outputs in the older field
	files := c.GetOutputFiles()
	if word == nil || len(files) != 1 {
		return status.Errorf(codes.InvalidArgument, "command %q does not write a word to a file", c.GetArguments())
	}
	response, err := anypb.New(&repb.ExecuteResponse{Result: &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: files[0], Digest: s.put([]byte(word[1] + "\n"))}},
	}})
	if err != nil {
		return err
	}
	return stream.Send(&longrunningpb.Operation{
		Name: "operations/" + r.GetActionDigest().GetHash(), Done: true, Result: &longrunningpb.Operation_Response{Response: response},
	})
}
