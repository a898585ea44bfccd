package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// maxBody bounds a request's body in bytes; maxBuildBody that of a build,
	// which has an environment in it: eight times what Linux lets a process have.
	maxBody      = 64 << 10
	maxBuildBody = 16 << 20
	maxHeader    = 16 << 10

	headerTime = 5 * time.Second
	bodyTime   = 10 * time.Second
	idleTime   = time.Minute
	// tcpTime bounds one answer on the TCP port.
	tcpTime = 10 * time.Second
	// closeTime is how long requests may take to end when they are interrupted;
	// a build takes up to 2 s.
	closeTime = 3 * time.Second
	// defaultDrain is how long running builds may go on when the node is to end:
	// less than the 90 s after which systemd kills.
	defaultDrain = 30 * time.Second
)

// UntilIdle as Options.Drain is as long as running builds take: for a process
// that ends on its own account, under builds of others.
const UntilIdle = time.Duration(math.MaxInt64)

// Options may be zero.
type Options struct {
	// Drain is how long running builds may go on when the server is to end; 0
	// is 30 s.
	Drain time.Duration
	Log   *slog.Logger
}

// Server serves a node's API.
type Server struct {
	node  Node
	on    *Listener
	drain time.Duration
	log   *slog.Logger
	uid   int // the node's own
	trees trees

	mu       sync.Mutex
	draining bool
	builds   int
	idle     chan struct{} // closed when draining and no build runs
}

// New makes the server of n on l, which it closes in the end.
func New(n Node, l *Listener, o Options) *Server {
	s := &Server{node: n, on: l, drain: o.Drain, log: o.Log, uid: os.Getuid(), idle: make(chan struct{})}
	if s.drain == 0 {
		s.drain = defaultDrain
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Builds returns how many builds run.
func (s *Server) Builds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.builds
}

// Run serves until ctx ends, then refuses new builds, lets those that run go
// on for Options.Drain, and interrupts the rest. What builds need must be there
// until Run has returned.
func (s *Server) Run(ctx context.Context) error {
	requests, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	defer interrupt()
	base := func(net.Listener) context.Context { return requests }
	errorLog := slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	servers := []*http.Server{{
		Handler: s.socketHandler(), BaseContext: base, ErrorLog: errorLog, ConnContext: withCaller,
		ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}}
	listeners := []net.Listener{s.on.unix}
	if s.on.tcp != nil {
		servers = append(servers, &http.Server{
			Handler: s.tcpHandler(), BaseContext: base, ErrorLog: errorLog,
			ReadTimeout: tcpTime, WriteTimeout: tcpTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		})
		listeners = append(listeners, s.on.tcp)
	}
	failed := make(chan error, len(servers))
	var wg sync.WaitGroup
	for i, server := range servers {
		wg.Go(func() {
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve HTTP on %s: %w", listeners[i].Addr(), err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.waitForBuilds()
	interrupt()
	for _, server := range servers {
		err = errors.Join(err, shutdown(server))
	}
	s.trees.close()
	wg.Wait()
	return errors.Join(err, s.on.Close())
}

// waitForBuilds refuses new builds and waits for those that run.
func (s *Server) waitForBuilds() {
	s.mu.Lock()
	s.draining = true
	if s.builds == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	timer := time.NewTimer(s.drain)
	defer timer.Stop()
	select {
	case <-s.idle:
	case <-timer.C:
	}
}

// admit counts a build that begins, unless the server drains.
func (s *Server) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return &Error{Kind: Unavailable, Message: "the node is about to end", Hint: "try again in a moment"}
	}
	s.builds++
	return nil
}

func (s *Server) finished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.builds--; s.draining && s.builds == 0 {
		close(s.idle)
	}
}

func shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := server.Shutdown(ctx); err == nil {
		return nil
	}
	return server.Close()
}

type callerKey struct{}

func withCaller(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, callerOf(c))
}

// origin is the process that a request comes from.
type origin struct {
	uid int // UnknownUID where the system does not say
	pid int // 0 likewise
}

// caller returns the user whom a request comes from.
func caller(r *http.Request) int {
	o, known := r.Context().Value(callerKey{}).(origin)
	if !known {
		return UnknownUID
	}
	return o.uid
}

// callerPID returns the process that a request comes from, 0 where it is not known.
func callerPID(r *http.Request) int {
	o, _ := r.Context().Value(callerKey{}).(origin)
	return o.pid
}

// tcpHandler answers what a machine's other users may know.
func (s *Server) tcpHandler() http.Handler {
	mux := http.NewServeMux()
	s.public(mux)
	mux.HandleFunc("/", unknown)
	return checkHost(mux)
}

func (s *Server) public(mux *http.ServeMux) {
	mux.HandleFunc("GET /health", answer(func(*http.Request) (Health, error) { return s.health(), nil }))
	mux.HandleFunc("GET /status", answer(s.status))
}

func (s *Server) status(r *http.Request) (Status, error) {
	st, err := s.node.Status(r.Context())
	h := s.health()
	st.Builds = h.Builds
	if h.State == Draining {
		st.State = Draining
	}
	return st, err
}

func (s *Server) health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{State: Ready, Builds: s.builds}
	if s.draining {
		h.State = Draining
	}
	return h
}

// checkHost refuses requests by a name that anybody could have pointed here:
// a page in a browser must not read the answers (DNS rebinding).
func checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host) {
			fail(w, &Error{Kind: Forbidden, Message: fmt.Sprintf("requests for host %q are not answered here", r.Host), Hint: "use the IP address, or localhost"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostAllowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func unknown(w http.ResponseWriter, r *http.Request) {
	fail(w, Errorf(NotFound, "%s %s is not part of this API", r.Method, r.URL.Path))
}

// answer makes a handler of a function that takes no body.
func answer[T any](f func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, v)
	}
}

// ask makes a handler of a function whose request is the JSON body.
func ask[Q, T any](f func(*http.Request, Q) (T, error)) http.HandlerFunc {
	return askUpTo(maxBody, f)
}

// askUpTo is ask for a body of up to limit bytes.
func askUpTo[Q, T any](limit int64, f func(*http.Request, Q) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := readJSON(w, r, limit, &q); err != nil {
			fail(w, err)
			return
		}
		answer(func(r *http.Request) (T, error) { return f(r, q) })(w, r)
	}
}

func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // not all connections can
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	return decode(http.MaxBytesReader(w, r.Body, limit), v)
}

// decode reads one JSON object and nothing else.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more than one JSON value")
	}
	return &Error{Kind: Invalid, Message: "read the request: " + err.Error(), Hint: "if node and command are of different versions, run `buildnet node down` and try again"}
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"kind":"internal","error":"the answer cannot be encoded"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that went away
}

func fail(w http.ResponseWriter, err error) {
	e := asError(err)
	reply(w, e.Kind.status(), e)
}
