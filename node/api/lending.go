package api

import (
	"context"
	"net/http"
)

// Lending is what the owner of a machine leaves to the builds of others.
type Lending interface {
	// Lend changes what the owner leaves to others, at once and for good.
	Lend(ctx context.Context, r LendRequest) (Lent, error)
}

// LendRequest changes what is not nil.
type LendRequest struct {
	// Share is the most that others may use of this machine, in (0, 1].
	Share *float64 `json:"share,omitempty"`
	// Yield gives way to the owner's own use, and on battery.
	Yield *bool `json:"yield,omitempty"`
}

// Lent is what others may use of a machine, and why no more.
type Lent struct {
	Share float64 `json:"share"`
	Yield bool    `json:"yield"`
	// Slots of Of are for the builds of others now.
	Slots int `json:"slots"`
	Of    int `json:"of"`
	// Why is "share", "in_use" or "battery"; OwnerUse is the owner's part of the
	// machine, if that is why.
	Why      string  `json:"why"`
	OwnerUse float64 `json:"owner_use,omitempty"`
	// Held work stands still until the owner leaves the machine again.
	Held bool `json:"held,omitempty"`
	// Text says all of that to people.
	Text string `json:"text"`
	// Means is how what runs for others is kept out of the owner's way, Lacking
	// what it lacks for that, and why.
	Means   string `json:"means"`
	Lacking string `json:"lacking,omitempty"`
}

func (s *Server) lending(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/lend", s.owner(ask(func(r *http.Request, q LendRequest) (Lent, error) {
		if q.Share != nil && !(*q.Share > 0 && *q.Share <= 1) {
			return Lent{}, &Error{Kind: Invalid, Message: "a share is more than 0 and at most 1", Hint: "say 0.5 for half of this machine"}
		}
		return s.node.Lend(r.Context(), q)
	})))
}
