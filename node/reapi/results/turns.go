package results

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
)

const (
	// smallBytes is up to what size records, and trees of results, are read
	// smallTurns at a time; larger ones one at a time.
	smallBytes = 1 << 20
	smallTurns = 16
)

// turns bound what looking through results takes in memory.
type turns struct{ small, large chan struct{} }

func newTurns() turns {
	return turns{small: make(chan struct{}, smallTurns), large: make(chan struct{}, 1)}
}

// take waits for the turn of something of so many bytes.
func (t turns) take(ctx context.Context, bytes int64) (release func(), err error) {
	turn := t.small
	if bytes > smallBytes {
		turn = t.large
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// treeBytes is what the trees of a result have. What is known by its root alone may be
// of any size.
func treeBytes(r *repb.ActionResult) (bytes int64) {
	for _, d := range r.GetOutputDirectories() {
		if d.GetTreeDigest() == nil {
			return maxTreeBytes
		}
		bytes += min(max(d.GetTreeDigest().GetSizeBytes(), 0), maxTreeBytes)
	}
	return bytes
}
