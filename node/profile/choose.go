package profile

import (
	"errors"
	"fmt"

	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/sched/place"
)

// From says who chose the profile of a build.
type From string

// Who chooses, the strongest first.
const (
	FromFlag     From = "flag"     // whoever asks for the build
	FromProject  From = "project"  // the project's configuration
	FromNode     From = "node"     // `profile use` on this machine
	FromMesh     From = "mesh"     // `distribute` on any member
	FromStandard From = "standard" // nobody
)

// Wishes are what each of them says; the zero value of each says nothing.
type Wishes struct {
	// Flag, Project and Node are names.
	Flag, Project, Node string
	// Mesh is whole: other members may not have it under its name.
	Mesh *Profile
	// Strategy and Partition are wishes of whoever asks for the build, over any
	// profile's; nil says nothing.
	Strategy  *place.Strategy
	Partition *place.Partition
}

// Chosen is the profile of a build, and who chose it. What a flag has changed
// of it is in it.
type Chosen struct {
	Profile
	From From
}

// Choose returns the profile that holds. load returns one by its name, with
// ErrUnknown where there is none.
func Choose(w Wishes, load func(name string) (Profile, error)) (Chosen, error) {
	c, err := w.base(load)
	if err != nil {
		return Chosen{}, err
	}
	if w.Strategy != nil {
		if c.Distribution = *w.Strategy; c.Distribution != place.Smart {
			c.Weights = nil
		}
	}
	if w.Partition != nil {
		c.Partition = *w.Partition
	}
	return c, nil
}

func (w Wishes) base(load func(string) (Profile, error)) (Chosen, error) {
	for _, said := range []struct {
		name string
		from From
	}{{w.Flag, FromFlag}, {w.Project, FromProject}, {w.Node, FromNode}} {
		if said.name == "" {
			continue
		}
		p, err := load(said.name)
		if err != nil {
			return Chosen{}, fmt.Errorf("profile of the %s: %w", said.from, err)
		}
		return Chosen{p, said.from}, nil
	}
	if w.Mesh != nil {
		return Chosen{*w.Mesh, FromMesh}, nil
	}
	return Chosen{Standard(), FromStandard}, nil
}

// Source returns the text of a profile's file, or ErrUnknown.
type Source func(name string) ([]byte, error)

// Find returns a profile by its name: one that comes with the program, or that
// of the first source that has it.
func Find(name string, sources ...Source) (Profile, error) {
	if err := CheckName(name); err != nil {
		return Profile{}, err
	}
	if IsBuiltin(name) {
		return Builtin(name)
	}
	for _, source := range sources {
		src, err := source(name)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return Profile{}, err
		}
		return Named(name, src)
	}
	advice := near.DidYouMean(name, Builtins(), "see `buildnet profile list`")
	return Profile{}, fmt.Errorf("%q: %w; %s", name, ErrUnknown, advice)
}

// Named reads a file that has to be of a profile called so.
func Named(name string, src []byte) (Profile, error) {
	p, err := Parse(name+".yaml", src)
	if err == nil && p.Name != name {
		return Profile{}, fmt.Errorf("%s.yaml: the profile in it is called %q; give file and profile one name", name, p.Name)
	}
	return p, err
}
