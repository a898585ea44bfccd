package reapi

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"crypto/tls"

	"golang.org/x/net/http2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/buildnet/buildnet/node/reapi/share"
)

// world is a server without a network, in the bubble of a test, and its clients.
type world struct {
	t      *testing.T
	server *Server
	on     *bufconn.Listener

	mu   sync.Mutex // while somebody connects
	name chan string
	ends []func()
}

// virtualConns is how many connections there may be in a world.
const virtualConns = 256

// virtual serves s until the test has ended.
func virtual(t *testing.T, s Service, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, on: bufconn.Listen(64 << 10), name: make(chan string, 1)}
		w.server = newServer(w, Options{Services: []Service{s}})
		w.server.on.share = share.New(virtualConns)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.server.Run(ctx) }()
		defer func() {
			for _, end := range w.ends {
				end()
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			synctest.Wait() // gRPC closes connections without waiting for it
			w.over()
		}()
		test(t, w)
	})
}

// over says that nothing is counted any more.
func (w *world) over() {
	g := w.server.on
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if left := g.ledger.pool.Used(); left != 0 {
		w.t.Errorf("when all is over %d bytes are counted", left)
	}
	if calls, conns := g.calls.Used(), g.share.Used(); calls+conns != 0 {
		w.t.Errorf("when all is over %d calls and %d connections are counted", calls, conns)
	}
}

// named is a connection of a client.
type named struct {
	net.Conn
	of string
}

func (n named) RemoteAddr() net.Addr { return n }
func (n named) Network() string      { return "virtual" }
func (n named) String() string       { return n.of }

// Accept implements net.Listener.
func (w *world) Accept() (net.Conn, error) {
	conn, err := w.on.Accept()
	if err != nil {
		return nil, err
	}
	return named{conn, <-w.name}, nil
}

// Close implements net.Listener.
func (w *world) Close() error { return w.on.Close() }

// Addr implements net.Listener.
func (w *world) Addr() net.Addr { return w.on.Addr() }

func (w *world) connect(ctx context.Context, client string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	conn, err := w.on.DialContext(ctx)
	if err == nil {
		w.name <- client
	}
	return conn, err
}

// dial is a connection of a client that keeps to what is usual.
func (w *world) dial(client string, options ...grpc.DialOption) bspb.ByteStreamClient {
	return bspb.NewByteStreamClient(w.conn(client, options...))
}

func (w *world) conn(client string, options ...grpc.DialOption) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///virtual", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.connect(ctx, client) }),
	}, options...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ends = append(w.ends, func() { conn.Close() })
	return conn
}

// bare is a connection of a client that sends what it likes.
func (w *world) bare(client string) http.RoundTripper {
	tr := &http2.Transport{ //nolint:staticcheck // net/http opens another connection where a server allows no more calls
		AllowHTTP: true, StrictMaxConcurrentStreams: true,
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) { return w.connect(ctx, client) },
	}
	w.ends = append(w.ends, (&http.Client{Transport: tr}).CloseIdleConnections)
	return tr
}

const writeMethod = "/google.bytestream.ByteStream/Write"

// begin begins a call and sends body, as far as the server takes it, without an end.
// The error comes when the call has ended.
func (w *world) begin(on http.RoundTripper, method string, body []byte) <-chan error {
	r, send := io.Pipe()
	q, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://virtual"+method, r)
	if err != nil {
		w.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/grpc")
	q.Header.Set("Te", "trailers")
	ended := make(chan error, 1)
	go func() { _, _ = send.Write(body) }()
	go func() {
		a, err := on.RoundTrip(q)
		if err == nil {
			_, err = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		ended <- err
	}()
	return ended
}

// part is the beginning of a message that is said to be of size bytes.
func part(size, sent int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(size)), make([]byte, sent)...)
}
