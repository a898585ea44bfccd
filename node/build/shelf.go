package build

import (
	"strings"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/steal"
)

// maxShelf is how many builds that have ended can still be attached to.
const maxShelf = 16

// enter notes a build that runs.
func (b *Builder) enter(r *run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs[r] = struct{}{}
}

// leave notes that a build has ended, and keeps it for a while unless it went
// on elsewhere: who follows it then has to look there.
func (b *Builder) leave(r *run, keep bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.runs, r)
	j := r.told.Load()
	if keep {
		left := &run{req: Request{ID: r.req.ID}, started: r.started, outcomes: r.outcomes}
		left.told.Store(j)
		b.shelf = append(b.shelf, left)
		b.shelf = b.shelf[max(0, len(b.shelf)-maxShelf):]
	}
	if j == nil {
		return
	}
	var gone error
	if !keep {
		gone = errElsewhere
	}
	j.close(gone)
}

// stand is how a build is on a node.
type stand uint8

const (
	unknown stand = iota
	// ended builds can be followed to their end, and their outputs fetched.
	ended
	running
)

// find returns the build that is meant, or that an heir goes on with: one that
// runs before one that has ended, then the latest.
func (b *Builder) find(id string) (*run, stand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found *run
	for r := range b.runs {
		if means(id, r.req.ID) && r.told.Load() != nil && (found == nil || r.started.After(found.started)) {
			found = r
		}
	}
	if found != nil {
		return found, running
	}
	for i := len(b.shelf) - 1; i >= 0; i-- {
		if r := b.shelf[i]; means(id, r.req.ID) && r.told.Load() != nil {
			return r, ended
		}
	}
	return nil, unknown
}

// leastID is how much of a build's ID names it.
const leastID = 4

// means reports whether a user who says id may mean a build.
func means(id string, build steal.BuildID) bool {
	first, _ := sched.Family(build)
	return id == string(build) || len(id) >= leastID && strings.HasPrefix(string(first), id)
}

// has reports whether this node, in this life of its, began the build.
func (b *Builder) has(id steal.BuildID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r := range b.runs {
		if r.req.ID == id {
			return true
		}
	}
	for _, r := range b.shelf {
		if r.req.ID == id {
			return true
		}
	}
	return false
}
