package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Profiling is what the API offers about profiles. Profiles themselves are
// files in the form of docs/config.md, or the same as JSON.
type Profiling interface {
	// Profiles returns what the node knows of profiles, besides those that come
	// with the program.
	Profiles(ctx context.Context) (Profiles, error)
	// SaveProfile keeps a profile in the node's home.
	SaveProfile(ctx context.Context, r ProfileFile) (ProfileFile, error)
	// UseProfile makes the builds of this machine use a profile.
	UseProfile(ctx context.Context, r UseProfileRequest) (Profiles, error)
	// Distribute makes the builds of all members use a profile.
	Distribute(ctx context.Context, r DistributeRequest) (Profiles, error)
}

// Profiles are those that a node knows.
type Profiles struct {
	// Own are those of its home, by name.
	Own []ProfileFile `json:"own"`
	// Used is the name of the one that builds of this machine use; empty if
	// nobody said so.
	Used string `json:"used,omitempty"`
	// Mesh is what holds for the mesh; nil if nobody laid anything down.
	Mesh *MeshProfile `json:"mesh,omitempty"`
}

// ProfileFile is a profile as its owner wrote it. SaveProfile takes the name
// from the text.
type ProfileFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// MeshProfile is what a member laid down for the whole mesh.
type MeshProfile struct {
	Profile json.RawMessage `json:"profile"`
	By      string          `json:"by"` // a peer
	ByName  string          `json:"by_name,omitempty"`
	At      time.Time       `json:"at"` // by the clock of By
}

// UseProfileRequest names a profile; an empty name ends its use.
type UseProfileRequest struct {
	Name string `json:"name"`
}

// DistributeRequest has a profile as a whole; an empty text takes back what
// holds.
type DistributeRequest struct {
	Text string `json:"text"`
}

func (s *Server) profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/profiles", answer(func(r *http.Request) (Profiles, error) { return s.node.Profiles(r.Context()) }))
	mux.HandleFunc("POST /v1/profiles", s.owner(ask(func(r *http.Request, q ProfileFile) (ProfileFile, error) {
		return s.node.SaveProfile(r.Context(), q)
	})))
	mux.HandleFunc("POST /v1/profiles/use", s.owner(ask(func(r *http.Request, q UseProfileRequest) (Profiles, error) {
		return s.node.UseProfile(r.Context(), q)
	})))
	mux.HandleFunc("POST /v1/mesh/profile", s.owner(ask(func(r *http.Request, q DistributeRequest) (Profiles, error) {
		return s.node.Distribute(r.Context(), q)
	})))
}
