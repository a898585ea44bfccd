package reapi

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// sink takes uploads and keeps nothing; a Read lasts until the test has seen it.
type sink struct {
	bspb.UnimplementedByteStreamServer
	reading chan struct{}
}

func (s *sink) Register(r grpc.ServiceRegistrar) { bspb.RegisterByteStreamServer(r.(*grpc.Server), s) }

func (s *sink) Write(stream bspb.ByteStream_WriteServer) error {
	for n := int64(0); ; {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&bspb.WriteResponse{CommittedSize: n})
		}
		if err != nil {
			return err
		}
		n += int64(len(q.Data))
	}
}

func (s *sink) Read(_ *bspb.ReadRequest, stream bspb.ByteStream_ReadServer) error {
	<-s.reading
	return stream.Send(&bspb.ReadResponse{Data: []byte("late")})
}

// virtual serves s without a network, in the bubble of a test.
func virtual(t *testing.T, s *sink, test func(t *testing.T, dial func() bspb.ByteStreamClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		on := bufconn.Listen(1 << 20)
		server := newServer(on, Options{Services: []Service{s}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx) }()
		var conns []*grpc.ClientConn
		defer func() {
			for _, conn := range conns {
				conn.Close()
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		test(t, func() bspb.ByteStreamClient {
			conn, err := grpc.NewClient("passthrough:///virtual",
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return on.DialContext(ctx) }))
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			return bspb.NewByteStreamClient(conn)
		})
	})
}

func TestDemand10ThousandsOfIdleStreamsEndAndOthersGoOn(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, dial func() bspb.ByteStreamClient) {
		var idle []bspb.ByteStream_WriteClient
		for range 3 {
			client := dial()
			for range maxStreams {
				stream, err := client.Write(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				idle = append(idle, stream)
			}
		}
		stream, err := dial().Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 { // more than a minute in all, and never silent for one
			if err := stream.Send(&bspb.WriteRequest{Data: make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(patience / 2)
		}
		if a, err := stream.CloseAndRecv(); err != nil || a.CommittedSize != 10_000 {
			t.Errorf("who goes on: %v, %v", a, err)
		}
		for _, s := range idle {
			if err := s.RecvMsg(&bspb.WriteResponse{}); status.Code(err) != codes.DeadlineExceeded {
				t.Fatalf("an idle stream: %v", err)
			}
		}
	})
}

func TestDemand10MoreCallsThanThereMayBeAreRefused(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, dial func() bspb.ByteStreamClient) {
		var idle []bspb.ByteStream_WriteClient
		for len(idle) < maxCalls {
			client := dial()
			for range min(maxStreams, maxCalls-len(idle)) {
				stream, err := client.Write(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				idle = append(idle, stream)
			}
		}
		synctest.Wait()
		stream, err := dial().Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&bspb.WriteResponse{}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(patience + time.Second)
		stream, err = dial().Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			t.Errorf("when they have ended: %v", err)
		}
	})
}

func TestDemand10ACallThatWaitsForTheServerIsNotSilent(t *testing.T) {
	s := &sink{}
	virtual(t, s, func(t *testing.T, dial func() bspb.ByteStreamClient) {
		s.reading = make(chan struct{})
		stream, err := dial().Read(t.Context(), &bspb.ReadRequest{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * patience)
		close(s.reading)
		if a, err := stream.Recv(); err != nil || string(a.Data) != "late" {
			t.Errorf("%v, %v", a, err)
		}
	})
}
