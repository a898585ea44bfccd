package reapi

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// connected waits until there is a connection.
func connected(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	conn.Connect()
	for is := conn.GetState(); is != connectivity.Ready; is = conn.GetState() {
		conn.WaitForStateChange(t.Context(), is)
	}
}

// Clients ask whether the server is there, with --grpc_keepalive_time or as their
// library does. A server that finds it too often closes the connection.
func TestDemand10KeepalivesOfClientsAreAnswered(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		conn := w.conn("a", grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}))
		connected(t, conn)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if conn.WaitForStateChange(ctx, connectivity.Ready) {
			t.Errorf("the connection is %v", conn.GetState())
		}
	})
}

// mute is a connection whose other end hears nothing any more, once it is gone.
type mute struct {
	net.Conn
	gone *atomic.Bool
}

func (m mute) Write(p []byte) (int, error) {
	if m.gone.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

func TestDemand10ClientsThatAreGoneAreNoticed(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		var gone atomic.Bool
		conn := w.conn("a", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			under, err := w.connect(ctx, "a")
			return mute{under, &gone}, err
		}))
		connected(t, conn)
		gone.Store(true)
		ctx, stop := context.WithTimeout(t.Context(), pingTime+pongTime+time.Second)
		defer stop()
		if !conn.WaitForStateChange(ctx, connectivity.Ready) {
			t.Errorf("after %v the server has kept the connection", pingTime+pongTime)
		}
	})
}

func TestDemand10CallsOfOneConnectionAreBounded(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		client := w.dial("a")
		var all []bspb.ByteStream_WriteClient
		for range maxStreams {
			stream, err := client.Write(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, stream)
		}
		synctest.Wait()
		soon, stop := context.WithTimeout(t.Context(), patience/2)
		defer stop()
		if _, err := client.Write(soon); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("one call more: %v, want it to wait", err)
		}
		if stream, err := w.dial("b").Write(t.Context()); err != nil {
			t.Errorf("of another connection: %v", err)
		} else if _, err := stream.CloseAndRecv(); err != nil {
			t.Errorf("of another connection: %v", err)
		}
		if _, err := all[0].CloseAndRecv(); err != nil {
			t.Fatal(err)
		}
		if stream, err := client.Write(t.Context()); err != nil {
			t.Errorf("when one has ended: %v", err)
		} else if _, err := stream.CloseAndRecv(); err != nil {
			t.Errorf("when one has ended: %v", err)
		}
	})
}

// endless is at work until its caller is gone.
type endless struct {
	over    chan struct{}
	release chan struct{}
}

func (e *endless) work(ctx context.Context) error {
	select {
	case <-ctx.Done():
		e.over <- struct{}{}
	case <-e.release:
	}
	return ctx.Err()
}

func (e *endless) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "google.bytestream.ByteStream", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "QueryWriteStatus", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(&bspb.QueryWriteStatusRequest{}); err != nil {
				return nil, err
			}
			return &bspb.QueryWriteStatusResponse{}, e.work(ctx)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Read", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(&bspb.ReadRequest{}); err != nil {
				return err
			}
			return e.work(stream.Context())
		}}},
	}, e)
}

// What a client does not wait for any more is not gone on with.
func TestDemand10DeadlinesOfClientsEndTheirCalls(t *testing.T) {
	e := &endless{}
	virtual(t, e, func(t *testing.T, w *world) {
		e.over, e.release = make(chan struct{}, 1), make(chan struct{})
		defer close(e.release)
		client := w.dial("a")
		for what, call := range map[string]func(context.Context) error{
			"a call with one answer": func(ctx context.Context) error {
				_, err := client.QueryWriteStatus(ctx, &bspb.QueryWriteStatusRequest{})
				return err
			},
			"a stream": func(ctx context.Context) error {
				stream, err := client.Read(ctx, &bspb.ReadRequest{})
				if err == nil {
					_, err = stream.Recv()
				}
				return err
			},
		} {
			ctx, stop := context.WithTimeout(t.Context(), patience/2)
			if err := call(ctx); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("%s: %v", what, err)
			}
			stop()
			synctest.Wait()
			select {
			case <-e.over:
			default:
				t.Errorf("%s is gone on with", what)
			}
		}
	})
}
