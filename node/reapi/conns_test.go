package reapi_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/buildnet/buildnet/node/reapi"
	"github.com/buildnet/buildnet/node/reapi/caller"
)

// A make of 64 jobs, each a process of remote-apis-sdks with its 25 connections, is one
// user's: each connection has a call, none is closed.
func TestDemand10OneUserHasAsManyConnectionsAsAMakeOfManyJobsOpens(t *testing.T) {
	const programs, each = 64, 25
	s := serve(t, reapi.Options{})
	var all [programs * each]*grpc.ClientConn
	for i := range all {
		conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithReadBufferSize(1<<10), grpc.WithWriteBufferSize(1<<10))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all[i] = conn
	}
	for range 2 {
		var calls sync.WaitGroup
		for _, conn := range all {
			calls.Go(func() {
				if _, err := capabilitiesOf(t.Context(), conn); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	}
	for _, conn := range all {
		if is := conn.GetState(); is != connectivity.Ready {
			t.Fatalf("a connection is %v", is)
		}
	}
}

// inUse is what this process has of memory, in bytes, stacks included.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what pools have kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// greeted says that HTTP/2 is spoken on a connection, both ways.
func greeted(t *testing.T, conn net.Conn) {
	t.Helper()
	_, _ = io.WriteString(conn, http2.ClientPreface)
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := f.WritePing(false, [8]byte{}); err != nil {
		t.Fatal(err)
	}
	for {
		is, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, answered := is.(*http2.PingFrame); answered {
			return
		}
	}
}

// The bounds are those of docs/reapi.md. With TLS what the client's end takes is counted
// too.
func TestAConnectionThatSaysNothingTakesLittle(t *testing.T) {
	const conns = 400
	certificate, pool := certificate(t)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "node", MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}}
	for name, x := range map[string]struct {
		options reapi.Options
		dial    func(addr string) (net.Conn, error)
		bound   int64 // bytes
	}{
		"plain": {
			dial:  func(addr string) (net.Conn, error) { return new(net.Dialer).DialContext(t.Context(), "tcp", addr) },
			bound: 24 << 10,
		},
		"TLS": {
			options: reapi.Options{
				Keys: []reapi.Key{{Secret: secret, Role: caller.Builder}},
				TLS:  &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
			},
			dial:  func(addr string) (net.Conn, error) { return dialer.DialContext(t.Context(), "tcp", addr) },
			bound: 40 << 10,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, x.options)
			before := inUse()
			for range conns {
				conn, err := x.dial(s.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				greeted(t, conn)
			}
			each := (inUse() - before) / conns
			t.Logf("each takes %d bytes", each)
			if each > x.bound {
				t.Errorf("each takes %d bytes, the bound is %d", each, x.bound)
			}
		})
	}
}
