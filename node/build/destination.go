package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/sched/action"
)

// destination is where the outputs of a build of another machine go.
type destination struct {
	*run
	// mine are the outputs that the project there declares; nil where there is no
	// project, but an empty directory.
	mine map[string]struct{}
}

// destination looks at what lies there now.
func (f *follower) destination(ctx context.Context) (*destination, error) {
	d := &destination{run: &run{
		opts: f.b.opts, req: Request{Root: f.a.Root, Files: f.a.Files}, trees: &f.b.trees, lease: f.lease, exp: f.b.experience(),
	}}
	err := d.open(ctx)
	switch {
	case errors.Is(err, config.ErrNoProject):
		return d, d.checkEmpty(ctx)
	case err != nil:
		return nil, err
	}
	if err := d.choose(ctx); err != nil {
		return nil, err
	}
	d.mine = map[string]struct{}{}
	for i := range d.plan.Steps {
		for _, path := range d.plan.Steps[i].Outputs {
			d.mine[path] = struct{}{}
		}
	}
	return d, nil
}

func (d *destination) checkEmpty(ctx context.Context) error {
	empty, err := d.tree.Empty(ctx)
	if err == nil && !empty {
		err = fmt.Errorf("%w: %s is not empty, and no project; name a directory that is empty or not there yet", ErrPlace, d.req.Root)
	}
	return err
}

// allows reports an output that does not belong there.
func (d *destination) allows(outs []action.Output) error {
	if d.mine == nil {
		return nil
	}
	for _, o := range outs {
		if _, ok := d.mine[o.Path]; !ok {
			return fmt.Errorf("%w: %q is no output of the project %s; to see what the build made, bring it to an empty directory with --output-dir", ErrPlace, o.Path, d.req.Root)
		}
	}
	return nil
}
