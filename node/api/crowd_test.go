package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
)

func dial(t *testing.T, home string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(home, config.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Who has too many connections is told so when it asks, whatever it sends, and is
// served when one of them has ended.
func TestConnectionsAreCounted(t *testing.T) {
	for name, limits := range map[string][2]int{"you have 2 connections": {2, 9}, "the node has 2 connections": {9, 2}} {
		home := t.TempDir()
		l, err := api.Listen(t.Context(), api.ListenOptions{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		l.Limit(limits[0], limits[1])
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- api.New(&apitest.Node{}, l, api.Options{}).Run(ctx) }()
		first, second := dial(t, home), dial(t, home)
		for _, c := range []net.Conn{first, second} { // they are there
			if _, err := io.WriteString(c, "GET /health HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
		}
		for _, size := range []int{0, 1 << 20} {
			c := client.New(home)
			_, err := c.RunCommand(t.Context(), apitest.InvocationID, api.Command{Dir: "/d", Argv: []string{"cc", strings.Repeat("x", size)}})
			if !kindIs(err, api.Unavailable) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "; run fewer") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if early, err := io.ReadAll(dial(t, home)); err != nil || len(early) > 0 {
			t.Errorf("who asks nothing is answered %q, %v", early, err)
		}
		_ = first.Close()
		for c := client.New(home); ; { // the server hears of it in a moment
			if _, err = c.Health(t.Context()); !kindIs(err, api.Unavailable) {
				break
			}
		}
		if err != nil {
			t.Error(err)
		}
		_ = second.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Nothing is read for an invocation that does not go on.
func TestWhatIsForNoInvocationIsNotRead(t *testing.T) {
	s := serve(t, &apitest.Node{}, api.Options{})
	for _, path := range []string{"run", "made/t?cpu_us=1&rss=1", "failed", "end"} {
		c := dial(t, s.home)
		if _, err := fmt.Fprintf(c, "POST /v1/invocations/none/%s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n", path, api.MaxCommand); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil) // not a byte of the body was sent
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || r.StatusCode != http.StatusNotFound || !r.Close || !strings.Contains(string(body), "no invocation none") {
			t.Errorf("%s: %s, %s, %v", path, r.Status, body, err)
		}
	}
}

// Who connects and says nothing, or says it slowly, is not waited for.
func TestSilentConnectionsAreClosed(t *testing.T) {
	s := serve(t, &apitest.Node{}, api.Options{})
	for _, said := range []string{"", "POST /v1/inv"} {
		c := dial(t, s.home)
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(c); err != nil {
			t.Errorf("after %q: %q, %v", said, rest, err)
		}
	}
}
