package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// service is a part that runs: run returns when its ctx ends, or fails.
type service struct {
	name string
	run  func(context.Context) error
}

// runStages runs the services of all stages at once until ctx ends or one of
// them does. Then they stop stage by stage, the last stage first, so that a
// service outlives those that use it. It returns what failed first.
func runStages(ctx context.Context, stages ...[]service) error {
	ended := make(chan struct{})
	var once sync.Once
	var cause error
	fail := func(err error) {
		once.Do(func() {
			cause = err
			close(ended)
		})
	}
	stops := make([]context.CancelFunc, len(stages))
	groups := make([]sync.WaitGroup, len(stages))
	for i, stage := range stages {
		// Not a child of ctx: its end stops the stages one by one.
		stageCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i] = stop
		for _, s := range stage {
			groups[i].Go(func() {
				err := s.run(stageCtx)
				switch {
				case stageCtx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
				case err != nil:
					fail(fmt.Errorf("%s: %w", s.name, err))
				default:
					fail(fmt.Errorf("%s: %w", s.name, errEnded))
				}
			})
		}
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	for i := len(stages) - 1; i >= 0; i-- {
		stops[i]()
		groups[i].Wait()
	}
	fail(nil)
	return cause
}

// errEnded says that a service returned although nobody asked it to.
var errEnded = errors.New("stopped unexpectedly")
