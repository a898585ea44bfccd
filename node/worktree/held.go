package worktree

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// Held returns the first of files, by absolute path, of which it is not certain
// that it had these bytes from since until now, "" if there is none. The files
// were ingested before since. One that changed so short a time before since that
// a change after may have the same stat is not certain.
func (m *Machine) Held(ctx context.Context, files []action.Output, since time.Time) string {
	for _, f := range files {
		if !m.held(ctx, f, since) {
			return "/" + f.Path
		}
	}
	return ""
}

// Settling returns how long it takes until a change of files, which were ingested,
// would show in their stat.
func (m *Machine) Settling(files []action.Output) time.Duration {
	var last time.Duration
	now := time.Now().UnixNano()
	for _, f := range files {
		r, ok := m.t.stats.get(f.Path)
		if !ok {
			return coarseGranularity
		}
		last = max(last, time.Duration(r.shows()-now))
	}
	return last
}

func (m *Machine) held(ctx context.Context, f action.Output, since time.Time) bool {
	now, err := statPath("/" + f.Path)
	r, ok := m.t.stats.get(f.Path)
	if err != nil || !ok || !r.stat.same(now) || r.digest != f.Digest || now.Executable != f.Executable {
		return false
	}
	// Somebody else may have read it since: what it was then is not what it was
	// all the time.
	begun := r
	begun.verified = since.UnixNano()
	if !begun.clean() {
		return false
	}
	// Where it was read within a tick of its last change, what came after that in
	// the same tick was there before since, and is still.
	return r.clean() || m.t.still(ctx, f.Path, now, identity{kind: Regular, executable: f.Executable, digest: f.Digest})
}
