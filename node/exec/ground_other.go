//go:build !linux

package exec

import "context"

// machine and ground are of sandboxes, which only Linux has.
type (
	machine struct{}
	ground  struct{}
)

func newMachine() *machine { return nil }

func (e *Executor) ownPlaces(context.Context, *job, *layout) (*ground, error) {
	return nil, ErrUnsupported
}

func (g *ground) unchanged() error { return nil }
