package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/reapi/invocations"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/history"
)

// chronicle is the builds of this node and the invocations of its clients, which have
// a history of their own: however many come of them, they drive out no build.
type chronicle struct {
	own     *history.History
	clients *invocations.Book
}

func (p *parts) chronicle() chronicle { return chronicle{p.history, p.clients} }

// List returns the newest n records of both without their events; all if n is 0.
func (c chronicle) List(n int) ([]history.Record, error) {
	own, err := c.own.List(n)
	if err != nil {
		return nil, err
	}
	clients, err := c.clients.List(n)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(own, clients)
	slices.SortStableFunc(all, func(a, b history.Record) int { return b.Started.Compare(a.Started) })
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all, nil
}

// Get returns the record of the build that id means, as History.Get does.
func (c chronicle) Get(id string) (history.Record, error) {
	own, err := c.own.Get(id)
	if err == nil && own.ID == id || err != nil && !errors.Is(err, store.ErrNotFound) {
		return own, err
	}
	client, missing := c.clients.Get(id)
	switch {
	case errors.Is(missing, store.ErrNotFound):
		return own, err
	case missing != nil || err != nil:
		return client, missing
	case client.ID == id:
		return client, nil
	default:
		return own, fmt.Errorf("build %s: %w: %s and %s", id, history.ErrAmbiguous, own.ID, client.ID)
	}
}

// Recording returns the record of a build as Get does, with its recording and without
// its events. Clients' invocations have none.
func (c chronicle) Recording(id string) (history.Record, error) {
	r, err := c.Get(id)
	if err != nil {
		return r, err
	}
	if r.Client != "" {
		r.Events = nil
		return r, fmt.Errorf("recording of build %s: %w", r.ID, history.ErrNoRecording)
	}
	return c.own.Recording(r.ID)
}
