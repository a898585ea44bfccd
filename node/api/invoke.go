package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Headers of the answer to a command that was run.
const (
	HowHeader    = "Buildnet-How"
	PeerHeader   = "Buildnet-Peer"
	RunMSHeader  = "Buildnet-Run-Ms"
	ActionHeader = "Buildnet-Action"
	// TicketHeader is of the answer to one that the client is to run.
	TicketHeader = "Buildnet-Ticket"
	// StepHeader is what a command is called, as a part of a URL, that its client is
	// to run.
	StepHeader = "Buildnet-Step"
)

// maxFailure bounds a CommandFailure as JSON, in bytes.
const maxFailure = 16 << 20

// CommandType is the content type of commands and of what becomes of them.
const CommandType = "application/octet-stream"

// invocations serves them.
func (s *Server) invocations(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/invocations", s.invoke)
	mux.HandleFunc("POST /v1/invocations/{id}/run", s.known(s.runCommand))
	mux.HandleFunc("POST /v1/invocations/{id}/made/{ticket}", s.known(s.made))
	mux.HandleFunc("POST /v1/invocations/{id}/failed", s.known(askUpTo(maxFailure, func(r *http.Request, q CommandFailure) (struct{}, error) {
		return struct{}{}, s.node.FailCommand(r.Context(), r.PathValue("id"), q)
	})))
	mux.HandleFunc("POST /v1/invocations/{id}/end", s.known(ask(func(r *http.Request, q InvocationEnd) (struct{}, error) {
		return struct{}{}, s.node.EndInvocation(r.Context(), r.PathValue("id"), q)
	})))
}

// known reads nothing of a request for an invocation that does not go on.
func (s *Server) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.node.GoesOn(r.Context(), r.PathValue("id")); err != nil {
			w.Header().Set("Connection", "close") // what follows is not read, either
			fail(w, err)
			return
		}
		next(w, r)
	}
}

// invoke runs an invocation; the answer is its events as they come. It ends when
// the connection does.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) {
	q := InvocationRequest{UID: caller(r), PID: callerPID(r)}
	if err := s.accept(w, r, &q); err != nil {
		fail(w, err)
		return
	}
	defer s.finished()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream := &stream{w: w, control: http.NewResponseController(w), broken: cancel}
	if err := s.node.Invoke(ctx, q, stream.emit); err != nil {
		stream.fail(err)
	}
}

// runCommand runs a command. Where the client is to run it, the answer does not
// end before the client ends it: the connection is the slot.
func (s *Server) runCommand(w http.ResponseWriter, r *http.Request) {
	c, err := readCommand(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	c.UID, c.PID = caller(r), callerPID(r)
	res, err := s.node.RunCommand(r.Context(), r.PathValue("id"), *c)
	if err != nil {
		fail(w, err)
		return
	}
	if res.Release != nil {
		defer res.Release()
	}
	h := w.Header()
	h.Set("Content-Type", CommandType)
	outcome := res.outcome()
	if len(res.Local) > 0 {
		if res.Ticket != "" {
			h.Set(TicketHeader, res.Ticket)
		}
		h.Set(StepHeader, url.PathEscape(res.Step))
		h.Set("Transfer-Encoding", "identity") // no chunks: it ends with the connection
		if _, err := io.WriteString(w, outcome); err != nil || http.NewResponseController(w).Flush() != nil {
			return // nobody is there
		}
		<-r.Context().Done()
		return
	}
	h.Set(HowHeader, string(res.How))
	h.Set(PeerHeader, res.Peer)
	h.Set(RunMSHeader, strconv.FormatInt(res.RunMS, 10))
	h.Set(ActionHeader, res.Action)
	h.Set("Content-Length", strconv.Itoa(len(outcome)+len(res.Output))) // an answer that was cut is none
	if _, err := io.WriteString(w, outcome); err == nil {
		_, _ = w.Write(res.Output) // a client that went away
	}
}

// made takes what a command made. What it printed is the body; cpu_us and rss are
// its CPU time in microseconds and the bytes of its largest process.
func (s *Server) made(w http.ResponseWriter, r *http.Request) {
	m := Made{UID: caller(r)}
	cpu, err := strconv.ParseUint(r.URL.Query().Get("cpu_us"), 10, 40)
	rss, err2 := strconv.ParseUint(r.URL.Query().Get("rss"), 10, 60)
	if err = errors.Join(err, err2); err == nil {
		m.CPU, m.MaxRSS = time.Duration(cpu)*time.Microsecond, int64(rss)
		m.Output, err = readBody(w, r, MaxMadeOutput)
	}
	if err != nil {
		fail(w, Errorf(Invalid, "read what a command made: %v", err))
		return
	}
	kept, err := s.node.Made(r.Context(), r.PathValue("id"), r.PathValue("ticket"), m)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, kept)
}

// readBody reads a body of up to limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // not all connections can
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

func readCommand(w http.ResponseWriter, r *http.Request) (*Command, error) {
	body, err := readBody(w, r, MaxCommand)
	if err != nil {
		return nil, Errorf(Invalid, "read a command: %v", err)
	}
	c, err := DecodeCommand(body)
	if err != nil {
		var told *Error
		if errors.As(err, &told) {
			return nil, err
		}
		return nil, Errorf(Invalid, "%v", err)
	}
	return c, nil
}
