package api

import (
	"context"
	"net/http"
	"time"
)

// Dead is what became of steps that were given up.
type Dead interface {
	// DeadLetters returns the steps of this node's builds that were given up though
	// their commands did not fail, the newest first: those of one user's builds, or
	// all for who may see all. A step is taken off when a build has a good result of
	// it.
	DeadLetters(ctx context.Context, uid int) ([]DeadLetter, error)
}

// DeadLetter is a step that was given up.
type DeadLetter struct {
	// ID is that of the step in its tree.
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Build string    `json:"build"`
	Root  string    `json:"root"`
	Step  string    `json:"step"`
	Cause string    `json:"cause"`
	Tries []DeadTry `json:"tries"`
	// Again asks for the step once more as it was asked for, but for the
	// environment.
	Again BuildRequest `json:"again"`
}

// DeadTry is a try that came to nothing.
type DeadTry struct {
	At   time.Time `json:"at"`
	Peer string    `json:"peer"`
	// Name is the peer's host name.
	Name  string `json:"name,omitempty"`
	Cause string `json:"cause"`
}

func (s *Server) dead(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/queue/dead", answer(func(r *http.Request) ([]DeadLetter, error) {
		return s.node.DeadLetters(r.Context(), caller(r))
	}))
}
