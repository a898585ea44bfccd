package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a node that answers in a home of its own.
type served struct {
	home, tcp string
	client    *client.Client
	// stop ends the server and returns what Run returned.
	stop func() error
}

func serve(t *testing.T, n api.Node, o api.Options) served {
	t.Helper()
	home := t.TempDir()
	l, err := api.Listen(t.Context(), api.ListenOptions{Home: home, TCP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.New(n, l, o).Run(ctx) }()
	var ended bool
	s := served{home: home, tcp: l.TCPAddr(), client: client.New(home)}
	s.stop = func() error {
		cancel()
		if ended {
			return nil
		}
		ended = true
		return <-done
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func TestEveryQuestionReachesTheNodeAndComesBack(t *testing.T) {
	n := &apitest.Node{
		StatusIs:   api.Status{State: api.Ready, Peer: "p", Toolchains: []string{"x"}},
		MembersAre: []api.Member{{Peer: "p", Self: true, RTTMS: 1.5}},
		Invited:    api.Invitation{Token: "t", Mesh: "m"},
		RevokedIs:  api.Revoked{Peer: "q"},
		LeftIs:     api.Left{Mesh: "m"},
		Records:    []api.BuildRecord{{Build: "b", Root: "/p", Summary: json.RawMessage(`{"ok":true}`)}, {Build: "a", Summary: json.RawMessage(`{}`)}},
		Recordings: []event.Recording{{Build: "a", Marks: event.Marks{TotalUS: 5}}},
		Stats:      api.CacheStats{Blobs: 3},
		Verified:   api.CacheVerified{Corrupt: []string{"d"}},
		Cleared:    api.CacheCleared{Bytes: 4},
	}
	c := serve(t, n, api.Options{}).client
	ctx := t.Context()
	check := func(what string, want any) func(got any, err error) {
		return func(got any, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	}
	got := func(v any, err error) (any, error) { return v, err }
	st, err := c.Status(ctx)
	check("status", n.StatusIs)(st, err)
	ms, err := c.Members(ctx)
	check("members", n.MembersAre)(got(ms, err))
	inv, err := c.Invite(ctx, api.InviteRequest{Reach: api.LAN})
	check("invite", n.Invited)(inv, err)
	rev, err := c.Revoke(ctx, api.RevokeRequest{Peer: "q"})
	check("revoke", n.RevokedIs)(rev, err)
	left, err := c.Leave(ctx)
	check("leave", n.LeftIs)(left, err)
	all, err := c.Builds(ctx, 1)
	check("builds", n.Records[:1])(got(all, err))
	one, err := c.ShowBuild(ctx, "a")
	check("show", n.Records[1])(one, err)
	rec, err := c.Recording(ctx, "a")
	check("recording", n.Recordings[0])(rec, err)
	stats, err := c.CacheStats(ctx)
	check("stats", n.Stats)(stats, err)
	ver, err := c.VerifyCache(ctx)
	check("verify", n.Verified)(ver, err)
	cl, err := c.ClearCache(ctx)
	check("clear", n.Cleared)(cl, err)
	if err := c.Down(ctx); err != nil {
		t.Errorf("down: %v", err)
	}
	want := []any{api.InviteRequest{Reach: api.LAN}, api.RevokeRequest{Peer: "q"}, "leave", "clear", "down"}
	if diff := cmp.Diff(want, n.Asked()); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsArriveWithKindAndHint(t *testing.T) {
	told := &api.Error{Kind: api.Conflict, Message: "no mesh", Hint: "join one"}
	n := &apitest.Node{Err: told}
	c := serve(t, n, api.Options{}).client
	_, err := c.Members(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || *e != *told {
		t.Errorf("members: %#v", err)
	}
	if err := c.Build(t.Context(), api.BuildRequest{Dir: "/p"}, nil); !errors.As(err, &e) || *e != *told {
		t.Errorf("build: %#v", err)
	}
	n.Err = fmt.Errorf("revoke q: %w", told)
	if _, err := c.Leave(t.Context()); !errors.As(err, &e) || e.Kind != api.Conflict || !strings.HasPrefix(e.Message, "revoke q: ") {
		t.Errorf("a wrapped error: %#v", err)
	}
	n.Err = errors.New("boom")
	if _, err := c.Leave(t.Context()); !errors.As(err, &e) || e.Kind != api.Internal || e.Message != "boom" {
		t.Errorf("any error: %#v", err)
	}
	if _, err := client.New(filepath.Join(t.TempDir(), strings.Repeat("long", 30))).Status(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("a path that no socket can have: %v", err)
	}
	if _, err := client.New(t.TempDir()).Status(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("no node: %v", err)
	}
}

func TestBuildStreamsItsEventsAsTheyCome(t *testing.T) {
	proceed := make(chan struct{})
	n := &apitest.Node{OnBuild: func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		<-proceed
		emit(event.BuildFinished{Build: "b", OK: true})
		return nil
	}}
	c := serve(t, n, api.Options{}).client
	var kinds []string
	request := api.BuildRequest{Dir: "/p", Targets: []string{"a"}, Env: map[string]string{"A": "1"}, Jobs: 2, Force: true}
	err := c.Build(t.Context(), request, func(line []byte) error {
		e, err := event.Decode(line)
		if err != nil {
			return err
		}
		if kinds = append(kinds, e.Kind()); len(kinds) == 1 {
			close(proceed) // the second event needs that the first has come
		}
		return nil
	})
	if err != nil || fmt.Sprint(kinds) != "[build.started build.finished]" {
		t.Errorf("build: %v, %v", kinds, err)
	}
	request.UID = os.Getuid()
	if diff := cmp.Diff([]any{request}, n.Asked()); diff != "" {
		t.Error(diff)
	}
}

func TestTheEndOfTheConnectionEndsTheBuild(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	n := &apitest.Node{OnBuild: func(ctx context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}}
	c := serve(t, n, api.Options{}).client
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if err := c.Build(ctx, api.BuildRequest{Dir: "/p"}, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("build: %v", err)
	}
	<-ended
}

func TestAnInterruptedBuildStillSendsItsSummary(t *testing.T) {
	begun := make(chan struct{})
	n := &apitest.Node{OnBuild: func(ctx context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		<-ctx.Done()
		emit(event.BuildFinished{Build: "b", Cancelled: true})
		return nil
	}}
	c := serve(t, n, api.Options{}).client
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	var last string
	if err := c.Build(ctx, api.BuildRequest{Dir: "/p"}, func(line []byte) error { last = string(line); return nil }); err != nil {
		t.Errorf("build: %v", err)
	}
	if !strings.Contains(last, `"cancelled":true`) {
		t.Errorf("the last line is %s", last)
	}
}

func TestAnErrorAfterTheFirstEventIsTold(t *testing.T) {
	n := &apitest.Node{OnBuild: func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		return errors.New("boom")
	}}
	c := serve(t, n, api.Options{}).client
	var e *api.Error
	if err := c.Build(t.Context(), api.BuildRequest{Dir: "/p"}, func([]byte) error { return nil }); !errors.As(err, &e) || e.Message != "boom" {
		t.Errorf("build: %v", err)
	}
}

func TestAStreamThatStopsEarlyIsLost(t *testing.T) {
	n := &apitest.Node{OnBuild: func(_ context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		return nil
	}}
	c := serve(t, n, api.Options{}).client
	if err := c.Build(t.Context(), api.BuildRequest{Dir: "/p"}, func([]byte) error { return nil }); !errors.Is(err, client.ErrLost) {
		t.Errorf("build: %v", err)
	}
}

func TestBadRequestsNeverReachTheNode(t *testing.T) {
	n := &apitest.Node{}
	s := serve(t, n, api.Options{})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.home, config.SocketName))
	}}}
	for _, bad := range []struct{ path, body string }{
		{"/v1/build", ``},
		{"/v1/build", `{}`},
		{"/v1/build", `[]`},
		{"/v1/build", `{"dir":"p"}`},
		{"/v1/build", `{"dir":"/p/../q"}`},
		{"/v1/build", `{"dir":"/p"} {}`},
		{"/v1/build", `{"dir":"/p","unknown":1}`},
		{"/v1/build", `{"dir":"/p","jobs":-1}`},
		{"/v1/build", `{"dir":"/p","env":{"A=B":""}}`},
		{"/v1/build", `{"dir":"/p","UID":0}`},
		{"/v1/build", `{"dir":"/p","tree":"none"}`},
		{"/v1/build", `{"dir":"/` + strings.Repeat("p", 20<<20) + `"}`},
		{"/v1/mesh/revoke", `{}`},
		{"/v1/mesh/invite", `{"reach":"moon"}`},
		{"/v1/trees", ``},
		{"/v1/nothing", ``},
	} {
		resp, err := c.Post("http://node"+bad.path, "application/json", strings.NewReader(bad.body))
		if err != nil {
			if len(bad.body) < 1<<20 {
				t.Errorf("%s %.60s: %v", bad.path, bad.body, err)
			}
			continue // the server need not read all of too much
		}
		var e api.Error
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if json.Unmarshal(body, &e) != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 || e.Message == "" || e.Kind == "" {
			t.Errorf("%s %.60s: %s %s", bad.path, bad.body, resp.Status, body)
		}
	}
	if asked := n.Asked(); len(asked) != 0 {
		t.Errorf("the node was asked %v", asked)
	}
}

func TestTCPAnswersHealthAndStatusAlone(t *testing.T) {
	s := serve(t, &apitest.Node{StatusIs: api.Status{State: api.Ready, Peer: "p"}}, api.Options{})
	for _, q := range []struct {
		method, path, host string
		status             int
	}{
		{"GET", "/health", s.tcp, 200},
		{"GET", "/status", s.tcp, 200},
		{"GET", "/status", "localhost:9876", 200},
		{"GET", "/status", "[::1]:9876", 200},
		{"GET", "/status", "evil.example:9876", 403},
		{"GET", "/status", "localhost.evil.example", 403},
		{"POST", "/health", s.tcp, 404},
		{"GET", "/v1/members", s.tcp, 404},
		{"POST", "/v1/build", s.tcp, 404},
		{"POST", "/v1/down", s.tcp, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), q.method, "http://"+s.tcp+q.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = q.host, true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != q.status || !json.Valid(body) || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s as %s: %s %s", q.method, q.path, q.host, resp.Status, body)
		}
	}
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	s := serve(t, &apitest.Node{}, api.Options{})
	info, err := os.Stat(filepath.Join(s.home, config.SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.home, config.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestSocketOfAKilledNodeIsReplaced(t *testing.T) {
	home := t.TempDir()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, config.SocketName)})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := client.New(home).Status(t.Context()); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("a dead socket: %v", err)
	}
	l, err := api.Listen(t.Context(), api.ListenOptions{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	if l.TCPAddr() != "" {
		t.Errorf("TCP on %s", l.TCPAddr())
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	long := filepath.Join(home, strings.Repeat("x", 120))
	if _, err := api.Listen(t.Context(), api.ListenOptions{Home: long}); err == nil || !strings.Contains(err.Error(), "--home") {
		t.Errorf("a path that is too long: %v", err)
	}
}

func TestDrainingRefusesNewBuildsAndWaitsForRunningOnes(t *testing.T) {
	begun, proceed := make(chan struct{}), make(chan struct{})
	n := &apitest.Node{OnBuild: func(ctx context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		select {
		case <-proceed:
		case <-ctx.Done():
		}
		emit(event.BuildFinished{Build: "b", OK: ctx.Err() == nil})
		return nil
	}}
	s := serve(t, n, api.Options{Drain: time.Minute})
	last := make(chan string, 1)
	go func() {
		var line string
		err := s.client.Build(context.Background(), api.BuildRequest{Dir: "/p"}, func(l []byte) error { line = string(l); return nil })
		last <- fmt.Sprint(line, err)
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	var e *api.Error
	for { // until the drain has begun
		h, err := s.client.Health(t.Context())
		if err != nil || h.Builds != 1 {
			t.Fatalf("%+v, %v", h, err)
		}
		if st, err := s.client.Status(t.Context()); h.State == api.Draining && err == nil && st.State == api.Draining {
			break
		}
	}
	if err := s.client.Build(t.Context(), api.BuildRequest{Dir: "/p"}, nil); !errors.As(err, &e) || e.Kind != api.Unavailable {
		t.Errorf("a build while the node drains: %v", err)
	}
	close(proceed)
	if line := <-last; !strings.Contains(line, `"ok":true`) {
		t.Errorf("the build that ran: %s", line)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestDrainInterruptsWhatTakesTooLong(t *testing.T) {
	begun := make(chan struct{})
	n := &apitest.Node{OnBuild: func(ctx context.Context, _ api.BuildRequest, emit func(event.Event)) error {
		emit(event.BuildStarted{Build: "b"})
		close(begun)
		<-ctx.Done()
		emit(event.BuildFinished{Build: "b", Cancelled: true})
		return nil
	}}
	s := serve(t, n, api.Options{Drain: time.Millisecond})
	last := make(chan string, 1)
	go func() {
		var line string
		_ = s.client.Build(context.Background(), api.BuildRequest{Dir: "/p"}, func(l []byte) error { line = string(l); return nil })
		last <- line
	}()
	<-begun
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if line := <-last; !strings.Contains(line, `"cancelled":true`) {
		t.Errorf("the build that ran: %s", line)
	}
}

func FuzzBuildRequest(f *testing.F) {
	f.Add([]byte(`{"dir":"/p","targets":["a"],"env":{"A":"b"},"jobs":3}`))
	f.Add([]byte(`{"dir":"/p"}{`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := api.DecodeBuild(bytes.NewReader(body))
		if err != nil {
			var e *api.Error
			if !errors.As(err, &e) || e.Kind != api.Invalid {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if !filepath.IsAbs(q.Dir) || q.Jobs < 0 || q.UID != 0 || q.Tree != nil {
			t.Fatalf("accepted %+v", q)
		}
	})
}
