// Package caller says who makes a call of the Remote Execution API: the name
// and the role that the server has given a client, and what the client says of
// its invocation. It is pure. Start reading at Of.
package caller

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// metadataHeader is where clients put a RequestMetadata (REAPI v2,
// RequestMetadata).
const metadataHeader = "build.bazel.remote.execution.v2.requestmetadata-bin"

// maxIDBytes bounds each field of a client's metadata, which come to logs and
// records: IDs are UUIDs, targets are labels.
const maxIDBytes = 1 << 10

// Role is what a client may do. A role may do all that those below it may.
type Role uint8

const (
	// Builder may read and upload blobs, read results, and execute.
	Builder Role = iota + 1
	// Writer may also write results of actions that this mesh has not run, which
	// others then take for true.
	Writer
)

// String returns the role's name in configuration.
func (r Role) String() string {
	switch r {
	case Builder:
		return "builder"
	case Writer:
		return "writer"
	default:
		return "none"
	}
}

// Caller is a client as the server knows it.
type Caller struct {
	// Name is that of the client's key; "" where nobody needs a key.
	Name string
	Role Role
}

type key struct{}

// With returns a context of calls that c makes.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// Of returns who makes the call. The zero Caller may do nothing.
func Of(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}

// Metadata returns what the client says of its invocation; fields that are
// longer than any tool's are left out. It is never nil.
func Metadata(ctx context.Context) *repb.RequestMetadata {
	said := &repb.RequestMetadata{}
	values := metadata.ValueFromIncomingContext(ctx, metadataHeader)
	if len(values) == 0 || proto.Unmarshal([]byte(values[0]), said) != nil {
		return &repb.RequestMetadata{}
	}
	for _, field := range []*string{
		&said.ActionId, &said.ToolInvocationId, &said.CorrelatedInvocationsId,
		&said.ActionMnemonic, &said.TargetId, &said.ConfigurationId,
	} {
		if len(*field) > maxIDBytes {
			*field = ""
		}
	}
	if tool := said.ToolDetails; tool != nil && len(tool.ToolName)+len(tool.ToolVersion) > maxIDBytes {
		said.ToolDetails = nil
	}
	return said
}
