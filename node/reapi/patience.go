package reapi

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/limits"
)

// patience is how long a client may take for a message that its call waits for, and
// to read one that it has asked for. Calls that wait for the server may take as long
// as they need.
const patience = time.Minute

var errCrowd = status.Error(codes.ResourceExhausted, "too many calls of this client are under way; try again in a moment")

// streaming is a grpc.StreamServerInterceptor, through which all calls go.
func streaming(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	c := callOf(stream.Context())
	c.begin()
	defer c.end()
	return handle(srv, &patient{ServerStream: stream, call: c})
}

// patient is a stream whose client may not let it wait for ever, and whose messages
// are counted.
type patient struct {
	grpc.ServerStream
	call *call
}

// RecvMsg implements grpc.ServerStream. The message that came before is not used any
// more. gRPC lets a client send all of a message as soon as that is asked for here:
// for more than it may send unasked there must be room before.
func (p *patient) RecvMsg(m any) error {
	c := p.call
	c.forgets()
	c.conn.serving.Add(-1)
	defer c.conn.serving.Add(1)
	c.timer.Reset(patience)
	defer c.timer.Stop()
	if n, ok := c.next(); ok && n > streamWindow && n <= limits.MaxMessageBytes {
		c.timer.Stop()
		if err := c.reserve(2 * n); err != nil {
			return err
		}
		c.timer.Reset(patience)
	}
	return p.ServerStream.RecvMsg(&incoming{Message: m.(proto.Message), of: c})
}

// SendMsg implements grpc.ServerStream.
func (p *patient) SendMsg(m any) error {
	c := p.call
	if err := c.goes(int64(proto.Size(m.(proto.Message)))); err != nil {
		return err
	}
	c.timer.Reset(patience)
	defer c.timer.Stop()
	return p.ServerStream.SendMsg(m)
}

// uniform is a grpc.ServiceRegistrar that has unary calls served as streams of one
// message each way: what is counted of a message is, for both.
type uniform struct{ *grpc.Server }

// RegisterService implements grpc.ServiceRegistrar.
func (u uniform) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods, d.Streams = nil, append([]grpc.StreamDesc(nil), desc.Streams...)
	for _, m := range desc.Methods {
		d.Streams = append(d.Streams, grpc.StreamDesc{StreamName: m.MethodName, Handler: func(srv any, stream grpc.ServerStream) error {
			reply, err := m.Handler(srv, stream.Context(), stream.RecvMsg, nil)
			if err != nil {
				return err
			}
			return stream.SendMsg(reply)
		}})
	}
	u.Server.RegisterService(&d, impl)
}
