package reapi

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sink takes uploads and keeps nothing; a Read lasts until the test has seen it, or is
// answered at once.
type sink struct {
	bspb.UnimplementedByteStreamServer
	reading chan struct{}
	answer  []byte
}

// Register has what bytestream.proto has; its generated code takes a *grpc.Server alone.
func (s *sink) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "google.bytestream.ByteStream", HandlerType: (*bspb.ByteStreamServer)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Write", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				return s.Write(&grpc.GenericServerStream[bspb.WriteRequest, bspb.WriteResponse]{ServerStream: stream})
			}},
			{StreamName: "Read", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				q := &bspb.ReadRequest{}
				if err := stream.RecvMsg(q); err != nil {
					return err
				}
				return s.Read(q, &grpc.GenericServerStream[bspb.ReadRequest, bspb.ReadResponse]{ServerStream: stream})
			}},
		},
	}, s)
}

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
	if s.answer != nil {
		return stream.Send(&bspb.ReadResponse{Data: s.answer})
	}
	<-s.reading
	if err := stream.Context().Err(); err != nil {
		return err
	}
	return stream.Send(&bspb.ReadResponse{Data: []byte("late")})
}

func TestDemand10ThousandsOfIdleStreamsEndAndOthersGoOn(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		defer time.AfterFunc(100*patience, stop).Stop()
		var idle []bspb.ByteStream_WriteClient
		for range 3 {
			client := w.dial("a")
			for i := range maxStreams {
				stream, err := client.Write(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 { // and silent after its first message
					if err := stream.Send(&bspb.WriteRequest{}); err != nil {
						t.Fatal(err)
					}
				}
				idle = append(idle, stream)
			}
		}
		stream, err := w.dial("a").Write(t.Context())
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

func TestDemand10MoreCallsThanAShareAreRefusedAndOthersGoOn(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		var streams []bspb.ByteStream_WriteClient
		for range 8 {
			client := w.dial("hostile")
			for range maxStreams {
				stream, err := client.Write(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				streams = append(streams, stream)
			}
		}
		synctest.Wait()
		if has := w.server.on.calls.Of("hostile"); has > maxCalls/2 || has < maxCalls/3 {
			t.Errorf("one client has %d calls", has)
		}
		w.answered("honest", time.Second)
		refused := 0
		for _, s := range streams {
			switch err := s.RecvMsg(&bspb.WriteResponse{}); status.Code(err) {
			case codes.ResourceExhausted:
				refused++
			case codes.DeadlineExceeded: // it was silent
			default:
				t.Fatal(err)
			}
		}
		if refused < len(streams)-maxCalls/2 {
			t.Errorf("%d of %d were refused", refused, len(streams))
		}
	})
}

func TestDemand10ACallThatWaitsForTheServerIsNotSilent(t *testing.T) {
	s := &sink{}
	virtual(t, s, func(t *testing.T, w *world) {
		s.reading = make(chan struct{})
		stream, err := w.dial("a").Read(t.Context(), &bspb.ReadRequest{})
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
