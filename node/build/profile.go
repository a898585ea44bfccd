package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/steal"
)

// projectProfiles is where a project has profiles of its own, from its root.
const projectProfiles = ".buildnet/profiles/"

// Profiles are what the node knows of profiles.
type Profiles interface {
	// Source returns the text of a profile of the node's home, or
	// profile.ErrUnknown.
	Source(name string) ([]byte, error)
	// Used names the profile that this node's builds use, or is "".
	Used() (string, error)
	// Mesh returns the profile that holds for the mesh; nil if there is none.
	Mesh() *profile.Profile
}

// noProfiles knows none.
type noProfiles struct{}

// Source implements Profiles.
func (noProfiles) Source(string) ([]byte, error) { return nil, profile.ErrUnknown }

// Used implements Profiles.
func (noProfiles) Used() (string, error) { return "", nil }

// Mesh implements Profiles.
func (noProfiles) Mesh() *profile.Profile { return nil }

// Wish is what whoever asks for a build says of its profile; the zero Wish is
// nothing.
type Wish struct {
	Profile   string
	Strategy  *place.Strategy
	Partition *place.Partition
}

// loadProfile returns a profile by its name.
func (r *run) loadProfile(ctx context.Context, name string) (profile.Profile, error) {
	return profile.Find(name, func(name string) ([]byte, error) { return r.projectProfile(ctx, name) }, r.opts.Profiles.Source)
}

func (r *run) projectProfile(ctx context.Context, name string) ([]byte, error) {
	src, err := r.tree.ReadFile(ctx, projectProfiles+name+".yaml", profile.MaxBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, profile.ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", name, err)
	}
	return src, nil
}

// checkWish makes sure of a profile that was asked for by name, also where
// there is nothing to do.
func (r *run) checkWish(ctx context.Context) error {
	if r.req.Wish.Profile == "" {
		return nil
	}
	if _, err := r.loadProfile(ctx, r.req.Wish.Profile); err != nil {
		return fmt.Errorf("%w: profile of the flag: %w", ErrRequest, err)
	}
	return nil
}

// chooseProfile settles how the build uses the mesh.
func (r *run) chooseProfile(ctx context.Context) error {
	used, err := r.opts.Profiles.Used()
	if err == nil {
		r.profile, err = profile.Choose(profile.Wishes{
			Flag: r.req.Wish.Profile, Project: r.config.Profile(), Node: used, Mesh: r.opts.Profiles.Mesh(),
			Strategy: r.req.Wish.Strategy, Partition: r.req.Wish.Partition,
		}, func(name string) (profile.Profile, error) { return r.loadProfile(ctx, name) })
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	m := &r.req.Modes
	r.localBy = "--local was given"
	if !m.Local && r.profile.CPU == profile.LocalOnly {
		m.Local, r.localBy = true, fmt.Sprintf("cpu_strategy of profile %s", r.profile.Name)
	}
	m.Policy, m.Exchange, m.Copies = r.profile.Policy(), r.profile.Exchange(), r.profile.Copies()
	return nil
}

// modes are what the leader is told: what was asked for, and what the profile
// makes of the mesh as it is.
func (r *run) modes() steal.Modes {
	m := r.req.Modes
	if r.profile.CPU == profile.EfficiencyCores {
		if half := halfTheSlots(r.opts.Members()); m.Jobs == 0 || half < m.Jobs {
			m.Jobs = half
		}
	}
	return m
}

// halfTheSlots is half of what the members that are alive run at once, at
// least one.
func halfTheSlots(members []peer.Member) int {
	slots := 0
	for _, m := range members {
		if m.State == peer.Alive || m.Self {
			slots += min(max(m.Caps.Slots, 0), steal.MaxWant)
		}
	}
	return max(slots/2, 1)
}

// policy tells what the build went by; nil where this node goes on with the
// build of another and knows of its profile only what a leader has to.
func (r *run) policy() *event.Policy {
	if r.profile.From == "" {
		return nil
	}
	return r.profile.Event()
}
