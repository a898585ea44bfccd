package cas

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
)

// Register adds both services to r.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	repb.RegisterContentAddressableStorageServer(r, s)
	r.RegisterService(&byteStream, s)
}

// byteStream is google.bytestream.ByteStream. The generated package has it for
// *grpc.Server alone.
var byteStream = grpc.ServiceDesc{
	ServiceName: "google.bytestream.ByteStream",
	HandlerType: (*bspb.ByteStreamServer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "QueryWriteStatus", Handler: queryWriteStatus}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Read", Handler: read, ServerStreams: true},
		{StreamName: "Write", Handler: write, ClientStreams: true},
	},
	Metadata: "google/bytestream/bytestream.proto",
}

func queryWriteStatus(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // the order is gRPC's
	q := new(bspb.QueryWriteStatusRequest)
	if err := decode(q); err != nil {
		return nil, err
	}
	call := func(ctx context.Context, q any) (any, error) {
		return srv.(bspb.ByteStreamServer).QueryWriteStatus(ctx, q.(*bspb.QueryWriteStatusRequest))
	}
	if interceptor == nil {
		return call(ctx, q)
	}
	return interceptor(ctx, q, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/google.bytestream.ByteStream/QueryWriteStatus"}, call)
}

func read(srv any, stream grpc.ServerStream) error {
	q := new(bspb.ReadRequest)
	if err := stream.RecvMsg(q); err != nil {
		return err
	}
	return srv.(bspb.ByteStreamServer).Read(q, &grpc.GenericServerStream[bspb.ReadRequest, bspb.ReadResponse]{ServerStream: stream})
}

func write(srv any, stream grpc.ServerStream) error {
	return srv.(bspb.ByteStreamServer).Write(&grpc.GenericServerStream[bspb.WriteRequest, bspb.WriteResponse]{ServerStream: stream})
}
