package worktree

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxRemembered bounds the files of a machine whose content is remembered: some
// 200 bytes each.
const maxRemembered = 500_000

// Machine is all files of this machine, with the rights of this process: for
// commands that say themselves where they read and write, wherever that is.
// What it remembers of a file's content it remembers as a Tree does. Its methods
// may be called concurrently.
type Machine struct {
	t *Tree

	mu sync.Mutex
	// swept are the directories in which nothing is left of writers that died.
	swept map[string]bool
}

// OpenMachine returns the files of this machine.
func OpenMachine(kv store.KV, blobs store.Blobs, opts Options) (*Machine, error) {
	files, err := Local("/")
	if err != nil {
		return nil, err
	}
	opts.Watcher = nil
	t, err := Open(files, kv, blobs, opts)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return &Machine{t: t, swept: map[string]bool{}}, nil
}

// Close ends the use of the files.
func (m *Machine) Close() error { return m.t.files.Close() }

// relative is an absolute path as seen from the root.
func relative(p string) string { return p[1:] }

// Ingest brings the content of files into the store and says what each is, in
// order. Paths are absolute, clean, and lead through no link. A file is read
// only if its stat changed, or if the store has lost it. hold is called with
// every digest before the store is asked whether it has it.
func (m *Machine) Ingest(ctx context.Context, paths []string, hold func(...digest.Digest)) ([]action.Output, error) {
	if err := m.t.stats.load(); err != nil {
		return nil, err
	}
	s := &Snapshot{listing: &listing{stats: make(map[string]Stat, len(paths))}}
	from := make([]string, len(paths))
	for i, p := range paths {
		from[i] = relative(p)
		st, err := statPath(p)
		if err == nil && st.Kind != Regular {
			err = errors.New("not a regular file")
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		s.listing.stats[from[i]] = st
	}
	ids, err := m.t.ingest(ctx, s, from, hold)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	outs := make([]action.Output, len(paths))
	for i, id := range ids {
		outs[i] = id.output(from[i])
	}
	return outs, nil
}

// Changed returns those of files, which were ingested, that are not what they were
// then, by absolute path and in order.
func (m *Machine) Changed(ctx context.Context, files []action.Output) ([]string, error) {
	paths, stats, want := make([]string, len(files)), make([]Stat, len(files)), make([]identity, len(files))
	for i, f := range files {
		paths[i], want[i] = f.Path, identityOf(f)
		st, err := statPath("/" + f.Path)
		if err == nil {
			stats[i] = st // else it is gone
		}
	}
	same, _, err := m.t.compareAll(ctx, paths, stats, want)
	if err != nil {
		return nil, fmt.Errorf("look for changed files: %w", err)
	}
	var changed []string
	for i, p := range paths {
		if !same[i] {
			changed = append(changed, "/"+p)
		}
	}
	return changed, nil
}

// Save keeps what is remembered for the next run of this process.
func (m *Machine) Save() error {
	left := maxRemembered
	m.t.stats.keep(func(string) bool { left--; return left >= 0 })
	return errors.Join(m.t.stats.save(), m.t.used())
}
