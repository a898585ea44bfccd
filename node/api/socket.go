package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/node/event"
)

const (
	// ContentType of a build's answer: one event a line.
	ContentType = "application/x-ndjson"
	// ErrorEvent is the kind of a last line that is an Error: the build ended
	// without its BuildFinished.
	ErrorEvent = "error"

	maxTargets = 10_000
	maxBuilds  = 10_000
)

// socketHandler answers everything.
func (s *Server) socketHandler() http.Handler {
	mux := http.NewServeMux()
	s.public(mux)
	mux.HandleFunc("/", unknown)
	mux.HandleFunc("GET /v1/members", answer(func(r *http.Request) ([]Member, error) { return s.node.Members(r.Context()) }))
	mux.HandleFunc("POST /v1/mesh/invite", s.owner(ask(func(r *http.Request, q InviteRequest) (Invitation, error) {
		if q.Reach != Everywhere && q.Reach != LAN {
			return Invitation{}, Errorf(Invalid, "reach %q of an invitation: want %s or %s", q.Reach, Everywhere, LAN)
		}
		return s.node.Invite(r.Context(), q)
	})))
	mux.HandleFunc("POST /v1/mesh/leave", s.owner(answer(func(r *http.Request) (Left, error) { return s.node.Leave(r.Context()) })))
	mux.HandleFunc("POST /v1/mesh/revoke", s.owner(ask(func(r *http.Request, q RevokeRequest) (Revoked, error) {
		if q.Peer == "" {
			return Revoked{}, Errorf(Invalid, "no peer to revoke")
		}
		return s.node.Revoke(r.Context(), q)
	})))
	mux.HandleFunc("POST /v1/down", s.owner(answer(func(r *http.Request) (struct{}, error) { return struct{}{}, s.node.Down(r.Context()) })))
	s.lending(mux)
	mux.HandleFunc("POST /v1/build", s.build)
	s.invocations(mux)
	mux.HandleFunc("POST /v1/trees", s.offerTree)
	mux.HandleFunc("GET /v1/builds", answer(s.listBuilds))
	mux.HandleFunc("GET /v1/builds/{id}", answer(func(r *http.Request) (BuildRecord, error) { return s.node.ShowBuild(r.Context(), r.PathValue("id")) }))
	mux.HandleFunc("GET /v1/builds/{id}/explain", answer(func(r *http.Request) (event.Explanation, error) {
		return s.node.Explain(r.Context(), r.PathValue("id"), r.URL.Query().Get("step"))
	}))
	mux.HandleFunc("GET /v1/builds/{id}/recording", answer(func(r *http.Request) (event.Recording, error) {
		return s.node.Recording(r.Context(), r.PathValue("id"))
	}))
	s.profiles(mux)
	s.dead(mux)
	mux.HandleFunc("GET /v1/cache", answer(func(r *http.Request) (CacheStats, error) { return s.node.CacheStats(r.Context()) }))
	mux.HandleFunc("POST /v1/cache/verify", s.owner(answer(func(r *http.Request) (CacheVerified, error) { return s.node.VerifyCache(r.Context()) })))
	mux.HandleFunc("POST /v1/cache/clear", s.owner(answer(func(r *http.Request) (CacheCleared, error) { return s.node.ClearCache(r.Context()) })))
	return mux
}

// owner lets the node's own user and root alone through: the group of a shared
// node may build, and not end it or invite others.
func (s *Server) owner(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if uid := caller(r); uid != s.uid && uid != 0 && uid != UnknownUID {
			fail(w, &Error{Kind: Forbidden, Message: fmt.Sprintf("the node belongs to user %d, you are user %d", s.uid, uid), Hint: "run the command as that user, or as root"})
			return
		}
		next(w, r)
	}
}

func (s *Server) listBuilds(r *http.Request) ([]BuildRecord, error) {
	limit := 0
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 || limit > maxBuilds {
			return nil, Errorf(Invalid, "limit %q of builds: want a number up to %d", text, maxBuilds)
		}
	}
	return s.node.Builds(r.Context(), limit)
}

// accept reads and checks what asks for a build, and counts that as one that
// begins, unless the server drains.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, q interface{ check() error }) error {
	if err := readJSON(w, r, maxBuildBody, q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	return s.admit()
}

// build runs a build; the answer is its events as they come. It ends when the
// connection does.
func (s *Server) build(w http.ResponseWriter, r *http.Request) {
	q := BuildRequest{UID: caller(r)}
	err := s.accept(w, r, &q)
	if err != nil {
		fail(w, err)
		return
	}
	defer s.finished()
	if q.Tree, err = s.treeOf(&q); err != nil {
		fail(w, err)
		return
	}
	if q.Tree != nil {
		defer q.Tree.Close()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream := &stream{w: w, control: http.NewResponseController(w), broken: cancel}
	if err := s.node.Build(ctx, q, stream.emit); err != nil {
		stream.fail(err)
	}
}

// check makes sure of what the type of a request promises.
func (q *BuildRequest) check() error {
	switch {
	case !cleanDir(q.Dir) && (q.Dir != "" || q.Attach == ""):
		return Errorf(Invalid, "directory %q of a build: want a clean absolute path", q.Dir)
	case len(q.Targets) > maxTargets:
		return Errorf(Invalid, "%d targets, the limit is %d", len(q.Targets), maxTargets)
	case q.Jobs < 0:
		return Errorf(Invalid, "%d jobs", q.Jobs)
	}
	for name, value := range q.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return Errorf(Invalid, "bad environment variable %q", name)
		}
	}
	return nil
}

// treeOf returns the tree that a request names. Who is another user than the
// node must name one: the node's own rights are not theirs.
func (s *Server) treeOf(q *BuildRequest) (io.ReadWriteCloser, error) {
	if q.TreeID != "" {
		t, err := s.trees.take(q.TreeID, q.UID)
		if err != nil {
			return nil, err // not t: an interface with a nil in it is not nil
		}
		return t, nil
	}
	if q.UID != s.uid && q.UID != UnknownUID {
		return nil, Errorf(Invalid, "the node is user %d and you are user %d: the request must name a tree that you serve", s.uid, q.UID)
	}
	return nil, nil
}

// stream writes events. Its methods are not called concurrently.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	broken  func()
	begun   bool
}

func (s *stream) emit(e event.Event) {
	line, err := event.Encode(e)
	if err != nil {
		s.broken()
		return
	}
	s.line(line)
}

func (s *stream) line(line []byte) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", ContentType)
		s.w.WriteHeader(http.StatusOK)
	}
	_, err := s.w.Write(append(line, '\n'))
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.broken()
	}
}

// fail tells of an error: as the answer if there were no events, else as the
// last line.
func (s *stream) fail(err error) {
	if !s.begun {
		fail(s.w, err)
		return
	}
	s.line(errorLine(asError(err)))
}
