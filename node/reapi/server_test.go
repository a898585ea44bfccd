package reapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/reapi"
	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// execution is there to be listed: nobody calls it.
type execution struct {
	repb.UnimplementedExecutionServer
	repb.UnimplementedActionCacheServer
}

func (e *execution) Register(r grpc.ServiceRegistrar) {
	repb.RegisterExecutionServer(r, e)
	repb.RegisterActionCacheServer(r, e)
}

// serve runs a server until the test ends.
func serve(t *testing.T, o reapi.Options) *reapi.Server {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s, err := reapi.Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func dial(t *testing.T, s *reapi.Server, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func capabilitiesOf(ctx context.Context, conn *grpc.ClientConn) (*repb.ServerCapabilities, error) {
	return repb.NewCapabilitiesClient(conn).GetCapabilities(ctx, &repb.GetCapabilitiesRequest{InstanceName: "a/b"})
}

// REAPI v2, ServerCapabilities: what Bazel 4, Bazel 7 and remote-apis-sdks look
// for before they do anything else.
func TestDemand1ServerCapabilities(t *testing.T) {
	greeted := 0
	s := serve(t, reapi.Options{Services: []reapi.Service{&execution{}}, Open: caller.Writer, Greeted: func() { greeted++ }})
	got, err := capabilitiesOf(t.Context(), dial(t, s, insecure.NewCredentials()))
	if err != nil || greeted != 1 {
		t.Fatal(err, greeted)
	}
	for _, v := range []struct {
		name         string
		major, minor int32
		is           interface {
			GetMajor() int32
			GetMinor() int32
		}
	}{
		{"deprecated_api_version", 2, 0, got.DeprecatedApiVersion},
		{"low_api_version", 2, 0, got.LowApiVersion},
		{"high_api_version", 2, 13, got.HighApiVersion},
	} {
		if v.is.GetMajor() != v.major || v.is.GetMinor() != v.minor {
			t.Errorf("%s = %d.%d", v.name, v.is.GetMajor(), v.is.GetMinor())
		}
	}
	cache, exec := got.GetCacheCapabilities(), got.GetExecutionCapabilities()
	if !slices.Equal(exec.GetSupportedNodeProperties(), []string{"mtime", "unix_mode"}) {
		t.Errorf("node properties %v", exec.GetSupportedNodeProperties())
	}
	if exec == nil || !exec.ExecEnabled || exec.DigestFunction != repb.DigestFunction_SHA256 {
		t.Errorf("execution = %v", exec)
	}
	for _, functions := range [][]repb.DigestFunction_Value{cache.GetDigestFunctions(), exec.GetDigestFunctions()} {
		if len(functions) != 2 || functions[0] != repb.DigestFunction_SHA256 || functions[1] != repb.DigestFunction_BLAKE3 {
			t.Errorf("digest functions %v", functions)
		}
	}
	for _, compressors := range [][]repb.Compressor_Value{cache.GetSupportedCompressors(), cache.GetSupportedBatchUpdateCompressors()} {
		if len(compressors) != 1 || compressors[0] != repb.Compressor_ZSTD {
			t.Errorf("compressors %v", compressors)
		}
	}
	for _, p := range []*repb.PriorityCapabilities{cache.GetCachePriorityCapabilities(), exec.GetExecutionPriorityCapabilities()} {
		if r := p.GetPriorities(); len(r) != 1 || r[0].MinPriority >= 0 || r[0].MaxPriority <= 0 {
			t.Errorf("priorities %v", p)
		}
	}
	if got := cache.GetMaxBatchTotalSizeBytes(); got != 4<<20 {
		t.Errorf("batches of %d bytes", got)
	}
	if !cache.GetActionCacheUpdateCapabilities().GetUpdateEnabled() {
		t.Error("a writer may not update the action cache")
	}
}

// REAPI v2.13, CacheCapabilities: who has the blobs cuts them too, with the parameters
// that the specification recommends.
func TestDemand9ChunkingCapabilities(t *testing.T) {
	for _, blobs := range []bool{true, false} {
		var services []reapi.Service
		if blobs {
			services = append(services, cas.New(memory.New(1<<20), cas.Options{}))
		}
		got, err := capabilitiesOf(t.Context(), dial(t, serve(t, reapi.Options{Services: services}), insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		c := got.CacheCapabilities
		if c.SplitBlobSupport != blobs || c.SpliceBlobSupport != blobs || (c.FastCdc_2020Params != nil) != blobs || (c.RepMaxCdcParams != nil) != blobs {
			t.Errorf("blobs served: %v; split %v, splice %v, %v, %v", blobs, c.SplitBlobSupport, c.SpliceBlobSupport, c.FastCdc_2020Params, c.RepMaxCdcParams)
		}
		if blobs && (c.FastCdc_2020Params.AvgChunkSizeBytes != 512<<10 || c.FastCdc_2020Params.Seed != 0 ||
			c.RepMaxCdcParams.MinChunkSizeBytes != 256<<10 || c.RepMaxCdcParams.HorizonSizeBytes != 2<<20) {
			t.Errorf("parameters %v, %v", c.FastCdc_2020Params, c.RepMaxCdcParams)
		}
	}
}

func TestDemand1ServerCapabilitiesAreThoseOfTheServicesAndOfTheRole(t *testing.T) {
	got, err := capabilitiesOf(t.Context(), dial(t, serve(t, reapi.Options{Open: caller.Writer}), insecure.NewCredentials()))
	if err != nil || got.ExecutionCapabilities != nil || got.GetCacheCapabilities().GetActionCacheUpdateCapabilities().GetUpdateEnabled() {
		t.Errorf("without services: %v, %v", got, err)
	}
	s := serve(t, reapi.Options{Services: []reapi.Service{&execution{}}})
	got, err = capabilitiesOf(t.Context(), dial(t, s, insecure.NewCredentials()))
	if err != nil || got.GetCacheCapabilities().GetActionCacheUpdateCapabilities().GetUpdateEnabled() {
		t.Errorf("to a builder: %v, %v", got, err)
	}
}

func TestHealthAndReflection(t *testing.T) {
	conn := dial(t, serve(t, reapi.Options{Services: []reapi.Service{&execution{}}}), insecure.NewCredentials())
	for _, name := range []string{"", "build.bazel.remote.execution.v2.Execution"} {
		got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, got, err)
		}
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || len(got.GetListServicesResponse().GetService()) < 4 {
		t.Errorf("services %v, %v", got, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

const secret = "0123456789abcdef"

func TestDemand10KeysLetTheirClientsInAndNobodyElse(t *testing.T) {
	s := serve(t, reapi.Options{Services: []reapi.Service{&execution{}}, Keys: []reapi.Key{
		{Name: "ci", Secret: secret, Role: caller.Writer}, {Name: "desk", Secret: secret + "2", Role: caller.Builder},
	}})
	conn := dial(t, s, insecure.NewCredentials())
	for _, c := range []struct {
		header, value string
		code          codes.Code
		update        bool
	}{
		{"x-api-key", secret, codes.OK, true},
		{"authorization", "Bearer " + secret, codes.OK, true},
		{"authorization", "bearer " + secret + "2", codes.OK, false},
		{"authorization", "Basic " + secret, codes.Unauthenticated, false},
		{"x-api-key", secret + "3", codes.Unauthenticated, false},
		{"x-other", secret, codes.Unauthenticated, false},
	} {
		got, err := capabilitiesOf(metadata.AppendToOutgoingContext(t.Context(), c.header, c.value), conn)
		if status.Code(err) != c.code {
			t.Errorf("%s: %s: %v", c.header, c.value, err)
		}
		if got.GetCacheCapabilities().GetActionCacheUpdateCapabilities().GetUpdateEnabled() != c.update {
			t.Errorf("%s: %s: update_enabled is not %v", c.header, c.value, c.update)
		}
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health without a key: %v", err)
	}
}

func TestDemand10AnAddressThatOthersReachNeedsTLSAndKeys(t *testing.T) {
	keys := []reapi.Key{{Name: "ci", Secret: secret, Role: caller.Writer}}
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.org:0"} {
		for _, o := range []reapi.Options{{}, {Keys: keys}, {TLS: &tls.Config{MinVersion: tls.VersionTLS12}}} {
			o.Listen = listen
			if s, err := reapi.Listen(t.Context(), o); !errors.Is(err, reapi.ErrExposed) {
				t.Errorf("on %s with %d keys, TLS %v: %v", listen, len(o.Keys), o.TLS != nil, err)
				if err == nil {
					s.Close()
				}
			}
		}
	}
	for _, listen := range []string{"localhost:0", "127.9.9.9:0"} {
		s, err := reapi.Listen(t.Context(), reapi.Options{Listen: listen})
		if err != nil {
			t.Errorf("on %s: %v", listen, err)
			continue
		}
		s.Close()
	}
}

func TestDemand10KeysThatGuardNothingAreRefused(t *testing.T) {
	for _, k := range []reapi.Key{{Secret: "short", Role: caller.Writer}, {Secret: secret}, {Secret: secret, Role: 9}} {
		if s, err := reapi.Listen(t.Context(), reapi.Options{Listen: "127.0.0.1:0", Keys: []reapi.Key{k}}); err == nil {
			s.Close()
			t.Errorf("key %+v is taken", k)
		}
	}
}

func TestDemand10TLSAndKeysServeAllAddresses(t *testing.T) {
	certificate, pool := certificate(t)
	s := serve(t, reapi.Options{
		Listen: "0.0.0.0:0", Keys: []reapi.Key{{Secret: secret, Role: caller.Builder}},
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	})
	conn := dial(t, s, credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "node", MinVersion: tls.VersionTLS12}))
	if _, err := capabilitiesOf(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", secret), conn); err != nil {
		t.Error(err)
	}
	plain := dial(t, s, insecure.NewCredentials())
	if _, err := capabilitiesOf(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", secret), plain); status.Code(err) != codes.Unavailable {
		t.Errorf("without TLS: %v", err)
	}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"node"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// background is a service that works while the server runs.
type background struct{ began, ended chan struct{} }

func (b *background) Register(grpc.ServiceRegistrar) {}

func (b *background) Run(ctx context.Context) error {
	close(b.began)
	<-ctx.Done()
	close(b.ended)
	return ctx.Err()
}

func TestServicesRunWhileTheServerDoes(t *testing.T) {
	b := &background{began: make(chan struct{}), ended: make(chan struct{})}
	s, err := reapi.Listen(t.Context(), reapi.Options{Listen: "127.0.0.1:0", Services: []reapi.Service{b}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	<-b.began
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	select {
	case <-b.ended:
	default:
		t.Error("the service still runs")
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("the port still answers")
	}
}
