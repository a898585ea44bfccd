package build

import (
	"slices"
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
		left := &run{req: Request{ID: r.req.ID, Modes: r.req.Modes}, started: r.started, outcomes: r.outcomes}
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
// runs before one that has ended, then the latest. Where several may be meant it
// returns their names instead. It is asked from here or from elsewhere: what was to
// stay on this machine is nowhere else.
func (b *Builder) find(id string, here bool) (r *run, s stand, names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []*run
	for _, r := range b.shelf {
		if r.isFor(here) && means(id, r.req.ID) && r.told.Load() != nil {
			found = append(found, r)
		}
	}
	for r := range b.runs {
		if r.isFor(here) && means(id, r.req.ID) && r.told.Load() != nil {
			found = append(found, r)
		}
	}
	builds := make([]steal.BuildID, 0, len(found))
	for _, r := range found {
		builds = append(builds, r.req.ID)
	}
	if names = meant(id, builds); len(names) != 1 {
		return nil, unknown, names
	}
	for _, f := range found {
		at := ended
		if _, runs := b.runs[f]; runs {
			at = running
		}
		first, _ := sched.Family(f.req.ID)
		if string(first) == names[0] && (at > s || at == s && !f.started.Before(r.started)) {
			r, s = f, at
		}
	}
	return r, s, nil
}

// isFor reports whether who asks may know of the build.
func (r *run) isFor(here bool) bool { return here || !r.req.Modes.Local }

// leastID is how much of a build's ID names it.
const leastID = 4

// means reports whether a user who says id may mean a build.
func means(id string, build steal.BuildID) bool {
	first, _ := sched.Family(build)
	return id == string(build) || len(id) >= leastID && strings.HasPrefix(string(first), id)
}

// meant returns the names of the builds, without those of their heirs, that a user
// who says id may mean: one, if it is a whole name.
func meant(id string, builds []steal.BuildID) []string {
	var names []string
	for _, build := range builds {
		if !means(id, build) {
			continue
		}
		first, _ := sched.Family(build)
		if id == string(build) || id == string(first) {
			return []string{string(first)}
		}
		names = append(names, string(first))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// has reports whether this node, in this life of its, began the build.
func (b *Builder) has(id steal.BuildID, here bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r := range b.runs {
		if r.req.ID == id && r.isFor(here) {
			return true
		}
	}
	for _, r := range b.shelf {
		if r.req.ID == id && r.isFor(here) {
			return true
		}
	}
	return false
}
