package overhead

import (
	"context"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// pretender is an executor that starts no process: an action takes no more than
// time, and its one output is the path that its step is named after and what the
// action is.
type pretender struct {
	kind  kind
	takes time.Duration
	blobs store.Blobs
}

var _ node.Executor = pretender{}

// Isolation implements node.Executor. Where it is not full, the node works for
// nobody else.
func (p pretender) Isolation() (action.Isolation, string) {
	if p.kind == leading {
		return action.Reduced, "it is to lead and do nothing else"
	}
	return action.Full, ""
}

// Execute implements node.Executor.
func (p pretender) Execute(ctx context.Context, r exec.Request, started func()) (*action.Result, error) {
	started()
	if p.takes > 0 {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	_, path, _ := strings.Cut(r.Name, ":")
	content := path + " of " + r.Action.String() + "\n"
	d, err := p.blobs.Add(ctx, digest.BLAKE3, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	return &action.Result{
		Isolation: action.Full, Wall: p.takes, CPU: p.takes,
		Outputs: []action.Output{{Path: path, Kind: action.File, Digest: d}},
	}, nil
}

// power is a machine whose speed is known.
type power float64

// BPU implements node.Power.
func (p power) BPU() float64 { return float64(p) }

// Measure implements node.Power.
func (p power) Measure(context.Context) (float64, error) { return float64(p), nil }

// Refine implements node.Power.
func (p power) Refine(context.Context) (float64, error) { return float64(p), nil }
