package build

import (
	"context"
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/node/event"
)

// queue lets one build at a time work on a tree.
type queue struct {
	mu      sync.Mutex
	running map[string]string // root to build
	changed chan struct{}     // closed and replaced when a build leaves
}

// enter waits until no other build of root runs, and says so if it has to
// wait. The caller calls leave when it is done.
func (q *queue) enter(ctx context.Context, root, build string, emit func(event.Event)) (leave func(), err error) {
	told := ""
	for {
		behind, changed := q.try(root, build)
		if behind == "" {
			return func() { q.leave(root) }, nil
		}
		if behind != told {
			emit(event.BuildQueued{Build: build, Behind: behind})
			told = behind
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for build %s of the same tree: %w", behind, ctx.Err())
		}
	}
}

func (q *queue) try(root, build string) (behind string, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if other, busy := q.running[root]; busy {
		return other, q.changed
	}
	q.running[root] = build
	return "", nil
}

func (q *queue) leave(root string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.running, root)
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) busy(root string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, busy := q.running[root]
	return busy
}
