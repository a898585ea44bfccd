package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
)

// invoked begins an invocation, and returns what waits for its end.
func invoked(t *testing.T, s served) (wait func() []event.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	events, begun, done := []event.Event{}, make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.client.Invoke(ctx, api.InvocationRequest{Client: "make", Root: "/src", Jobs: 3, Env: []string{"A=1"}}, func(line []byte) error {
			e, err := event.Decode(line)
			if events = append(events, e); len(events) == 1 {
				close(begun)
			}
			return err
		})
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatal(err)
	}
	return func() []event.Event {
		t.Helper()
		defer cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return events
	}
}

func TestAnInvocationFromItsBeginningToItsEnd(t *testing.T) {
	n := &apitest.Node{}
	n.OnCommand = func(context.Context, api.Command) (api.CommandResult, error) {
		return api.CommandResult{ExitCode: 3, Output: []byte("a\x00b\n"), How: event.CachedMesh, Peer: "p", RunMS: 7, Action: "d"}, nil
	}
	s := serve(t, n, api.Options{})
	wait := invoked(t, s)
	c := fullCommand()
	got, err := s.client.RunCommand(t.Context(), apitest.InvocationID, c)
	want := api.CommandResult{ExitCode: 3, Output: []byte("a\x00b\n"), How: event.CachedMesh, Peer: "p", RunMS: 7, Action: "d"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(want, "Release")); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := s.client.RunCommand(t.Context(), "other", c); !kindIs(err, api.NotFound) {
		t.Errorf("another invocation: %v", err)
	}
	end := api.InvocationEnd{Error: "e", Skipped: 4}
	if err := s.client.EndInvocation(t.Context(), apitest.InvocationID, end); err != nil {
		t.Error(err)
	}
	if events := wait(); len(events) != 2 || events[1].(event.BuildFinished).Error != "e" || events[0].(event.BuildStarted).Build != apitest.InvocationID {
		t.Errorf("events: %+v", events)
	}
	c.UID, c.PID = os.Getuid(), os.Getpid()
	begin := api.InvocationRequest{Client: "make", Root: "/src", Jobs: 3, Env: []string{"A=1"}, UID: os.Getuid(), PID: os.Getpid()}
	if diff := cmp.Diff([]any{begin, c, end}, n.Asked()); diff != "" {
		t.Error(diff)
	}
}

func kindIs(err error, want api.Kind) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Kind == want
}

// The slot of a command that the client runs is given back by Release, and by the
// end of whoever has the connection.
func TestASlotIsHeldUntilItIsReleased(t *testing.T) {
	released := make(chan struct{}, 1)
	n := &apitest.Node{OnCommand: func(context.Context, api.Command) (api.CommandResult, error) {
		return api.CommandResult{Local: []string{"one\nline", "two"}, Release: func() { released <- struct{}{} }}, nil
	}}
	s := serve(t, n, api.Options{})
	res, err := s.client.RunCommand(t.Context(), apitest.InvocationID, fullCommand())
	if err != nil || !cmp.Equal(res.Local, []string{"one line", "two"}) {
		t.Fatalf("%+v, %v", res, err)
	}
	select {
	case <-released:
		t.Error("the slot was given back at once")
	default:
	}
	res.Release()
	select {
	case <-released: // the next command may need to know what this one has changed
	default:
		t.Error("Release has returned before the slot was given back")
	}
	conn := s.post(t, "dir=/d\x00arg=cc\x00\x00")
	head, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("answered %q, %v", head, err)
	}
	_ = conn.Close()
	<-released
}

func TestACommandEndsWithItsClient(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	n := &apitest.Node{OnCommand: func(ctx context.Context, _ api.Command) (api.CommandResult, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return api.CommandResult{}, ctx.Err()
	}}
	s := serve(t, n, api.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := s.client.RunCommand(ctx, apitest.InvocationID, fullCommand()); !errors.Is(err, context.Canceled) {
		t.Errorf("a command that was given up: %v", err)
	}
	<-ended
}

// post sends an encoded command as a program without a library does.
func (s served) post(t *testing.T, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(s.home, config.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /v1/invocations/%s/run HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", apitest.InvocationID, len(body), body); err != nil {
		t.Fatal(err)
	}
	return conn
}

// What a program in C writes and reads.
func TestCommandsBySocketAlone(t *testing.T) {
	n := &apitest.Node{OnCommand: func(_ context.Context, c api.Command) (api.CommandResult, error) {
		return api.CommandResult{ExitCode: 1, Output: []byte(strings.Join(c.Argv, " ") + "\n"), How: event.Executed}, nil
	}}
	s := serve(t, n, api.Options{})
	ask := func(body string) (head, rest string) {
		t.Helper()
		conn := s.post(t, body)
		defer conn.Close()
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		h, r, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
		return string(h), string(r)
	}
	head, rest := ask("dir=/d\x00arg=cc\x00arg=x.c\x00\x00")
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || rest != "exit 1\ncc x.c\n" || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(rest))) {
		t.Errorf("answered %q, %q", head, rest)
	}
	if head, _ = ask("dir=/d\x00\x00"); !strings.HasPrefix(head, "HTTP/1.1 400 ") {
		t.Errorf("answered %q", head)
	}
}

func TestBadInvocationsAreRefused(t *testing.T) {
	s := serve(t, &apitest.Node{}, api.Options{})
	for _, q := range []api.InvocationRequest{
		{Root: "/"}, {Client: "ma\nke", Root: "/"}, {Client: strings.Repeat("m", 65), Root: "/"}, {Client: "make", Root: "src"},
		{Client: "make", Root: "/a/"}, {Client: "make", Root: "/", Jobs: -1}, {Client: "make", Root: "/", Env: []string{"A"}},
	} {
		if err := s.client.Invoke(t.Context(), q, func([]byte) error { return nil }); !kindIs(err, api.Invalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// What a command made that the client has run is told with the ticket for it.
func TestWhatACommandMadeIsTold(t *testing.T) {
	told := make(chan api.Made, 1)
	released := make(chan string, 1)
	n := &apitest.Node{
		OnCommand: func(context.Context, api.Command) (api.CommandResult, error) {
			return api.CommandResult{Local: []string{"alone"}, Ticket: "t1", Release: func() { released <- "t1" }}, nil
		},
		OnMade: func(_ context.Context, ticket string, m api.Made) (api.Kept, error) {
			told <- m
			return api.Kept{Action: "d", Peer: ticket}, nil
		},
	}
	s := serve(t, n, api.Options{})
	res, err := s.client.RunCommand(t.Context(), apitest.InvocationID, fullCommand())
	if err != nil || res.Ticket != "t1" {
		t.Fatalf("%+v, %v", res, err)
	}
	made := api.Made{Output: []byte("warning\x00\n"), CPU: 1234567 * time.Microsecond, MaxRSS: 1 << 33}
	kept, err := s.client.Made(t.Context(), apitest.InvocationID, res.Ticket, made)
	if err != nil || kept != (api.Kept{Action: "d", Peer: "t1"}) {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := s.client.Made(t.Context(), apitest.InvocationID, res.Ticket, api.Made{Output: make([]byte, api.MaxMadeOutput+1)}); !kindIs(err, api.Invalid) {
		t.Errorf("too much: %v", err)
	}
	if len(released) > 0 {
		t.Error("the command is over before its client says so")
	}
	res.Release()
	<-released
	made.UID = os.Getuid()
	if diff := cmp.Diff(made, <-told); diff != "" {
		t.Error(diff)
	}
	n.OnMade = nil
	if _, err := s.client.Made(t.Context(), apitest.InvocationID, "other", api.Made{}); !kindIs(err, api.NotFound) {
		t.Errorf("another ticket: %v", err)
	}
}
