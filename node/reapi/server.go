// Package reapi is a node's front end for clients of the Remote Execution API:
// a gRPC server with health, reflection and capabilities, which serves what is
// registered with it. The services are packages below this one and know
// nothing of the server; what holds for each call, who may make it and how much
// at once, is decided here, before a byte of a message is read. Start reading
// at Listen.
package reapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/buildnet/buildnet/node/reapi/limits"
)

const (
	// maxStreams bounds the calls under way on one connection.
	maxStreams = 1000
	// streamWindow is how many bytes a client may send on a call that nobody
	// reads; connWindow how many on all calls of a connection until it hears that
	// they have come.
	streamWindow = 64 << 10
	connWindow   = 1 << 20

	// handshakeTime bounds the beginning of a connection.
	handshakeTime = 10 * time.Second
	// pingTime is how long a connection may be silent until it is asked whether
	// its client is there, pongTime how long the answer may take.
	pingTime = time.Minute
	pongTime = 20 * time.Second
	// minPing is how often clients may ask the same.
	minPing = 5 * time.Second
	// drainTime is how long calls may go on when the server is to end. Clients
	// make those that are cut off again.
	drainTime = 3 * time.Second
)

// Service is what a server serves. One that also has Run(context.Context) error
// has it called while the server runs; its context ends when the last call has.
type Service interface {
	Register(grpc.ServiceRegistrar)
}

type runner interface{ Run(context.Context) error }

// Server serves the Remote Execution API.
type Server struct {
	on       *gate
	grpc     *grpc.Server
	health   *health.Server
	services []Service
	log      *slog.Logger
}

// Listen binds the port. From then on clients wait rather than find no server.
// It refuses an address that other machines can reach without TLS and keys.
func Listen(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	on, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen())
	if err != nil {
		return nil, fmt.Errorf("listen for the Remote Execution API: %w; choose another with --reapi HOST:PORT, or --reapi off", err)
	}
	return newServer(on, o), nil
}

func newServer(on net.Listener, o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{on: newGate(on, o.Log), grpc: grpc.NewServer(o.grpc()...), health: health.NewServer(), services: o.Services, log: o.Log}
	s.register(o.Greeted)
	return s
}

func (o *Options) grpc() []grpc.ServerOption {
	pool, creds := buffers(), handshake{}
	if o.TLS != nil {
		creds.TransportCredentials = credentials.NewTLS(o.TLS)
	}
	return []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.InTapHandle(newDoor(o).tap),
		grpc.StreamInterceptor(streaming),
		grpc.ForceServerCodecV2(newCodec(pool)),
		experimental.BufferPool(pool),
		grpc.ReadBufferSize(0), // a connection has its own
		grpc.MaxRecvMsgSize(limits.MaxMessageBytes),
		grpc.MaxHeaderListSize(limits.MaxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingTime, Timeout: pongTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
}

func (s *Server) register(greeted func()) {
	all := uniform{s.grpc}
	for _, service := range s.services {
		service.Register(all)
	}
	repb.RegisterCapabilitiesServer(all, newCapabilities(s.grpc.GetServiceInfo(), greeted))
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(all, s.health)
	reflection.Register(all)
}

// Addr returns HOST:PORT of the port.
func (s *Server) Addr() string { return s.on.Addr().String() }

// Close ends listening. It is for servers that do not come to run.
func (s *Server) Close() error { return s.on.Close() }

// Run serves until ctx ends, then lets calls go on for 3 s and cuts off the
// rest. What services need must be there until Run has returned.
func (s *Server) Run(ctx context.Context) error {
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	failed := make(chan error, 1+len(s.services))
	var running, serving sync.WaitGroup
	for _, service := range s.services {
		if r, ok := service.(runner); ok {
			running.Go(func() {
				if err := r.Run(background); err != nil && background.Err() == nil {
					failed <- err
				}
			})
		}
	}
	serving.Go(func() {
		if err := s.grpc.Serve(s.on); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			failed <- fmt.Errorf("serve the Remote Execution API on %s: %w", s.Addr(), err)
		}
	})
	s.log.Info("serving the Remote Execution API", "address", s.Addr())
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.stop()
	serving.Wait()
	s.on.ledger.ends.Wait()
	end()
	running.Wait()
	return err
}

// stop lets calls end by themselves for a while.
func (s *Server) stop() {
	s.health.Shutdown()
	cut := time.AfterFunc(drainTime, s.grpc.Stop)
	defer cut.Stop()
	s.grpc.GracefulStop()
}
