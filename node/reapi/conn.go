package reapi

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/buildnet/buildnet/node/reapi/frames"
)

const (
	// readBytes is what is read from a connection at once, at most; writeBytes what
	// gRPC gathers to write it at once.
	readBytes, writeBytes = 32 << 10, 32 << 10
	// maxControl bounds the frames without data that are read while the client does
	// not read what is written: gRPC keeps something for each, some controlBytes.
	maxControl   = 1000
	controlBytes = 256
)

// conn is one connection, of which it follows what is read and written.
type conn struct {
	net.Conn // as it was accepted
	gate     *gate
	account  *account
	gone     atomic.Bool
	spoke    atomic.Int64 // when its last message was complete, in Unix nanoseconds
	serving  atomic.Int64 // calls for which something is done

	// client and under, its calls, are guarded by gate.mu.
	client string
	under  int

	// headers is the frame that began the call that gRPC is about to take. Only who
	// reads uses it.
	headers frames.Frame

	mu       sync.Mutex
	calls    map[uint32]*call // whose stream gRPC has
	writing  bool
	control  int        // frames without data since that began
	held     int64      // what they are counted with
	progress *sync.Cond // when that ends
}

func newConn(g *gate, raw net.Conn, client string) *conn {
	c := &conn{Conn: raw, gate: g, client: client, calls: map[uint32]*call{}}
	c.progress = sync.NewCond(&c.mu)
	c.spoke.Store(time.Now().UnixNano())
	c.account = g.ledger.open(client, func() { c.cut("what comes and waits on it takes most of all, and too much") })
	return c
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (c *conn) last() time.Time { return time.Unix(0, c.spoke.Load()) }
func (c *conn) busy() bool      { return c.serving.Load() > 0 }

// cut ends a connection from this side. Whoever reads from it notices.
func (c *conn) cut(why string) {
	if !c.gone.Load() {
		c.gate.log.Info("a connection of the Remote Execution API was closed", "from", c.RemoteAddr(), "why", why)
	}
	_ = c.Conn.Close()
}

// Close implements net.Conn. gRPC calls it when it has done with the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if c.gone.Swap(true) {
		return err //nolint:wrapcheck // as net.Conn does
	}
	c.gate.left(c)
	c.mu.Lock()
	for stream := range c.calls {
		c.ends(stream)
	}
	c.progress.Broadcast()
	c.mu.Unlock()
	c.account.closed()
	return err //nolint:wrapcheck // as net.Conn does
}

// handshake is the TransportCredentials of the server: those below, if there are any,
// and what gRPC sees of a connection thereafter is followed.
type handshake struct {
	credentials.TransportCredentials // nil is none
}

// ServerHandshake implements credentials.TransportCredentials.
func (h handshake) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := raw.(*conn)
	plain := c.Conn
	level := credentials.NoSecurity
	if h.TransportCredentials != nil {
		var err error
		if plain, _, err = h.TransportCredentials.ServerHandshake(raw); err != nil {
			return nil, nil, err //nolint:wrapcheck // gRPC tells them apart
		}
		level = credentials.PrivacyAndIntegrity
	}
	f := &followed{Conn: plain, c: c, reader: readAhead(plain)}
	f.in.Skip = len(http2.ClientPreface)
	return f, knows{credentials.CommonAuthInfo{SecurityLevel: level}, c}, nil
}

// Info implements credentials.TransportCredentials.
func (h handshake) Info() credentials.ProtocolInfo {
	if h.TransportCredentials != nil {
		return h.TransportCredentials.Info()
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// Clone implements credentials.TransportCredentials.
func (h handshake) Clone() credentials.TransportCredentials { return h }

// knows is a credentials.AuthInfo that says on which connection a call is.
type knows struct {
	credentials.CommonAuthInfo
	c *conn
}

// AuthType implements credentials.AuthInfo.
func (knows) AuthType() string { return "connection" }

func connOf(ctx context.Context) *conn {
	p, _ := peer.FromContext(ctx)
	return p.AuthInfo.(knows).c
}

// followed is the plain text of a connection. It reads no further than the end of a
// frame's header, or of the frame: so gRPC has taken what came before when the next
// frame begins, and the call that it takes is that of the last headers.
type followed struct {
	net.Conn
	c      *conn
	reader io.Reader
	in     frames.Follower
	to     *call // whose data is read; nil of frames that nobody waits for

	out frames.Follower // of who writes
}

// Read implements net.Conn.
func (f *followed) Read(p []byte) (int, error) {
	n, err := f.reader.Read(p[:min(len(p), f.in.Segment())])
	for rest := p[:n]; ; {
		e, more, ok := f.in.Next(rest)
		if !ok {
			return n, err //nolint:wrapcheck // as net.Conn does
		}
		if e.Begins {
			f.to = f.c.arrives(e.Frame)
		} else if f.to != nil {
			f.to.arrives(e.Payload)
		}
		rest = more
	}
}

// arrives takes note of a frame that begins, and returns the call that its data is of.
func (c *conn) arrives(f frames.Frame) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Type == frames.Data {
		one := c.calls[f.Stream]
		if one != nil {
			one.begins(f)
		}
		return one
	}
	c.control++
	if c.writing {
		c.held += controlBytes
		c.account.add(controlBytes)
	}
	for c.writing && c.control > maxControl && !c.gone.Load() {
		c.waits()
	}
	switch f.Type {
	case frames.Headers:
		c.headers = f
	case frames.RSTStream:
		c.ends(f.Stream)
	}
	return nil
}

// waits waits for what is written, and counts what was read ahead meanwhile. It is
// called with mu held.
func (c *conn) waits() {
	c.account.add(readBytes)
	c.progress.Wait()
	c.account.add(-readBytes)
}

// ends says that gRPC has done with a stream. It is called with mu held.
func (c *conn) ends(stream uint32) {
	if one := c.calls[stream]; one != nil {
		delete(c.calls, stream)
		one.over()
	}
}

// Write implements net.Conn. A client that does not read for patience has gone.
func (f *followed) Write(p []byte) (int, error) {
	c := f.c
	c.mu.Lock()
	c.writing, c.control = true, 0
	c.mu.Unlock()
	c.account.add(writeBytes)
	_ = f.SetWriteDeadline(time.Now().Add(patience)) // fails when it is closed, and so does what follows
	n, err := f.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account.add(-writeBytes - c.held)
	c.writing, c.held = false, 0
	c.progress.Broadcast()
	for rest := p[:n]; ; {
		e, more, ok := f.out.Next(rest)
		if !ok {
			break
		}
		if e.Begins {
			c.leaves(e.Frame)
		}
		rest = more
	}
	if err != nil {
		_ = c.Conn.Close() // gRPC would wait for the client
	}
	return n, err //nolint:wrapcheck // as net.Conn does
}

// leaves takes note of a frame that was written. It is called with mu held.
func (c *conn) leaves(f frames.Frame) {
	switch one := c.calls[f.Stream]; {
	case one == nil:
	case f.Type == frames.Data:
		one.wrote(int64(f.Length))
	case f.Type == frames.RSTStream, f.Type == frames.Headers && f.End:
		c.ends(f.Stream)
	}
}

// Close implements net.Conn.
func (f *followed) Close() error {
	err := f.Conn.Close()
	_ = f.c.Close()
	return err //nolint:wrapcheck // as net.Conn does
}
