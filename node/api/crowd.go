package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// MaxConns bounds the connections of one user on the socket at once. A command of
	// an invocation has one for as long as it takes.
	MaxConns = 4096
	// maxAllConns bounds those of all users together.
	maxAllConns = 2 * MaxConns
	// maxRefusals bounds the connections that are told at once that there are too
	// many; what comes beyond them is closed without a word.
	maxRefusals = 64
	// refusalTime bounds how long that may take, from the connection on.
	refusalTime = 2 * time.Second
)

// crowd is a listener that has so many connections at once, of each user and of
// all. It answers others instead of letting them wait, since a build can do without
// this node, and cannot without an answer.
type crowd struct {
	*net.UnixListener
	each, all int
	refusals  chan struct{} // full of those that go on
	closed    sync.Once

	mu     sync.Mutex
	there  int
	byUser map[int]int
}

func newCrowd(l *net.UnixListener) *crowd {
	return &crowd{UnixListener: l, each: MaxConns, all: maxAllConns, refusals: make(chan struct{}, maxRefusals), byUser: map[int]int{}}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.AcceptUnix()
		if err != nil {
			return nil, err //nolint:wrapcheck // net/http looks into it
		}
		uid := callerOf(conn).uid
		if why := c.enter(uid); why != "" {
			c.refuse(conn, why)
			continue
		}
		return &counted{UnixConn: conn, leave: sync.OnceFunc(func() { c.leave(uid) })}, nil
	}
}

// Close implements net.Listener. It waits for those that are told why they are refused.
func (c *crowd) Close() error {
	err := c.UnixListener.Close()
	c.closed.Do(func() {
		for range maxRefusals {
			c.refusals <- struct{}{}
		}
	})
	return err //nolint:wrapcheck // it is the listener's
}

// enter returns why another connection of a user is one too many.
func (c *crowd) enter(uid int) (why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.byUser[uid] >= c.each:
		return fmt.Sprintf("you have %d connections to the node, which is the limit", c.each)
	case c.there >= c.all:
		return fmt.Sprintf("the node has %d connections, which is the limit", c.all)
	}
	c.there++
	c.byUser[uid]++
	return ""
}

func (c *crowd) leave(uid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.there--
	if c.byUser[uid]--; c.byUser[uid] == 0 {
		delete(c.byUser, uid)
	}
}

// refuse tells a client why it is not served.
func (c *crowd) refuse(conn *net.UnixConn, why string) {
	select {
	case c.refusals <- struct{}{}:
	default:
		_ = conn.Close() // it was not served
		return
	}
	go func() { // it ends after refusalTime
		defer func() { <-c.refusals }()
		defer func() { _ = conn.Close() }() // it was not served
		_ = conn.SetDeadline(time.Now().Add(refusalTime))
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			return // a client takes an answer to nothing for an error of the connection
		}
		e := &Error{Kind: Unavailable, Message: why, Hint: "run fewer commands at once, or wait until some have ended"}
		body, err := json.Marshal(e)
		if err != nil {
			return
		}
		_, err = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			e.Kind.status(), http.StatusText(e.Kind.status()), len(body), body)
		if err == nil && conn.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(conn, MaxCommand)) // who still writes would not read
		}
	}()
}

// counted is a connection of a crowd.
type counted struct {
	*net.UnixConn
	leave func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.leave()
	return c.UnixConn.Close() //nolint:wrapcheck // it is the connection's
}
