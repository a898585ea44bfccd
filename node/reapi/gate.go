package reapi

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/share"
)

const (
	// maxConns bounds the connections; a client gets half of them at most. Bazel
	// opens one for each 100 calls that it has under way, each process of
	// remote-apis-sdks 25, of which a make has as many as it has jobs.
	maxConns = 4 << 10
	// connFiles is of how many files that the process may have open one is a
	// connection; leastFiles how many it may have in any case.
	connFiles  = 4
	leastFiles = 1 << 10
	// maxCalls bounds the calls under way on all connections; a client gets half of
	// them at most, on one connection no more than maxStreams. One that waits for its
	// client takes callBytes and up to streamWindow.
	maxCalls = 8 << 10
	// idleTime is how long a connection must have been of no use to its client to be
	// closed for another one of the same client.
	idleTime = time.Second
)

// gate is a net.Listener that knows whose connections there are, and what they take.
// When there are too many it closes those that have been silent longest.
type gate struct {
	net.Listener
	ledger *ledger
	log    *slog.Logger

	mu    sync.Mutex
	conns map[*conn]struct{}
	share *share.Pool // of connections
	calls *share.Pool
}

func newGate(on net.Listener, log *slog.Logger) *gate {
	return &gate{
		Listener: on, ledger: newLedger(limits.MaxMemory), log: log, conns: map[*conn]struct{}{},
		share: share.New(min(maxConns, files()/connFiles)), calls: share.New(maxCalls),
	}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // gRPC looks whether it is temporary
		}
		if c := g.admit(raw, owned(raw)); c != nil {
			return c, nil
		}
		_ = raw.Close()
	}
}

// owned says whose a connection is until it shows a key: the user's of this machine
// who has opened it, or who is at its address.
func owned(raw net.Conn) string {
	remote, ok := raw.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return raw.RemoteAddr().String()
	}
	if local, ok := raw.LocalAddr().(*net.TCPAddr); ok && remote.IP.IsLoopback() {
		from, to := remote.AddrPort(), local.AddrPort()
		if uid, err := owner(unmapped(from), unmapped(to)); err == nil {
			return fmt.Sprintf("uid %d", uid)
		}
	}
	return remote.IP.String()
}

// admit returns nil if a client has its share of connections and uses them all.
func (g *gate) admit(raw net.Conn, client string) *conn {
	g.mu.Lock()
	var silent *conn
	if g.share.Free(client) < 1 {
		if silent = g.silent(client); silent == nil {
			g.mu.Unlock()
			g.log.Info("a client of the Remote Execution API opens more connections than it may", "client", client)
			return nil
		}
		g.drop(silent)
	}
	c := newConn(g, raw, client)
	g.conns[c] = struct{}{}
	g.share.Add(client, 1)
	g.mu.Unlock()
	if silent != nil {
		silent.cut("silent for longest, and there are too many")
	}
	return c
}

// silent is the connection to be closed for a new one of a client: that silent for
// longest, of this client if it has its share, else of the one who has most. Where
// something is done for its calls, as for those that wait for an execution, a
// connection is not silent; one of another client's many goes nevertheless if all are
// like that. It is called with mu held.
func (g *gate) silent(client string) *conn {
	of, own := g.share.Largest(), false
	if g.share.Of(client)+1 >= g.share.Of(of) {
		of, own = client, true
	}
	var silent, busy *conn
	for c := range g.conns {
		if c.client != of {
			continue
		}
		if c.busy() {
			busy = longer(busy, c)
		} else {
			silent = longer(silent, c)
		}
	}
	switch {
	case silent == nil && own:
		return nil
	case silent == nil:
		return busy
	case own && time.Since(silent.last()) < idleTime:
		return nil
	}
	return silent
}

func longer(a, b *conn) *conn {
	if a == nil || b.last().Before(a.last()) {
		return b
	}
	return a
}

// drop forgets a connection. It is called with mu held.
func (g *gate) drop(c *conn) {
	if _, ok := g.conns[c]; ok {
		delete(g.conns, c)
		g.share.Add(c.client, -1)
	}
}

// left says that a connection has ended.
func (g *gate) left(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(c)
}

// become has a client answer for a connection, which has shown its key.
func (g *gate) become(c *conn, client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.client == client {
		return
	}
	if _, ok := g.conns[c]; ok {
		g.share.Move(c.client, client, 1)
	}
	c.client = client
	c.account.become(client)
}

// enter counts a call, if there may be one more.
func (g *gate) enter(c *conn) (client string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls.Free(c.client) <= int64(c.under) {
		return "", false
	}
	g.calls.Add(c.client, 1)
	c.under++
	return c.client, true
}

// leave counts a call no more.
func (g *gate) leave(c *conn, client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls.Add(client, -1)
	c.under--
}
