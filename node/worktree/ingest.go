package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// sink consumes a file and returns the digest of what it consumed.
type sink func(ctx context.Context, r io.Reader) (digest.Digest, error)

// hash is the sink that keeps nothing.
func (t *Tree) hash(_ context.Context, r io.Reader) (digest.Digest, error) {
	h := digest.NewHasher(digest.BLAKE3)
	_, err := io.Copy(h, r)
	return h.Sum(), err
}

// keep is the sink that puts the bytes into the store.
func (t *Tree) keep(ctx context.Context, r io.Reader) (digest.Digest, error) {
	return t.blobs.Add(ctx, digest.BLAKE3, r)
}

// read reads a file until it did not change meanwhile, and remembers its stat.
func (t *Tree) read(ctx context.Context, path string, into sink) (identity, error) {
	for range maxAttempts {
		r, err := t.readOnce(ctx, path, into)
		if errors.Is(err, fs.ErrPermission) {
			return identity{}, fmt.Errorf("read %s: %w; make it readable for you, or exclude it with a ! pattern", path, err)
		}
		if err != nil {
			return identity{}, fmt.Errorf("read %s: %w", path, err)
		}
		if r != nil {
			t.stats.put(path, *r)
			return identity{kind: Regular, executable: r.stat.Executable, digest: r.digest}, nil
		}
	}
	return identity{}, fmt.Errorf("read %s: %w; stop what writes it and build again", t.name(path), ErrUnstable)
}

// readOnce returns nil if the file changed while it was read.
func (t *Tree) readOnce(ctx context.Context, path string, into sink) (*record, error) {
	now := time.Now()
	f, err := t.files.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	before := f.Stat()
	d, err := into(ctx, f)
	after, closeErr := f.Close()
	if err == nil {
		err = closeErr
	}
	if err != nil || !before.same(after) || d.Size() != before.Size {
		return nil, err
	}
	return &record{stat: before, digest: d, verified: now.UnixNano()}, nil
}

// name is the path as the user writes it.
func (t *Tree) name(path string) string { return filepath.Join(t.Root(), filepath.FromSlash(path)) }

// Ingest brings the content of paths, which are of the snapshot, into the
// store and says what each is. A file is read only if its stat changed, or if
// the store has lost it; the read that hashes it also stores it. hold is called
// with every digest before the store is asked whether it has it.
func (t *Tree) Ingest(ctx context.Context, s *Snapshot, paths []string, hold func(...digest.Digest)) (map[string]action.Output, error) {
	if err := t.stats.load(); err != nil {
		return nil, err
	}
	ids, err := t.ingest(ctx, s, paths, hold)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	t.stats.keep(func(p string) bool { _, ok := s.listing.stats[p]; return ok })
	if err := errors.Join(t.stats.save(), t.used()); err != nil {
		return nil, err
	}
	outs := make(map[string]action.Output, len(paths))
	for i, p := range paths {
		s.remember(p, ids[i])
		outs[p] = ids[i].output(p)
	}
	return outs, nil
}

func (t *Tree) ingest(ctx context.Context, s *Snapshot, paths []string, hold func(...digest.Digest)) ([]identity, error) {
	ids := make([]identity, len(paths))
	todo := make([]int, 0, len(paths))
	for i, p := range paths {
		stat, ok := s.listing.stats[p]
		if !ok {
			return nil, fmt.Errorf("source %s: no such file in the tree", t.name(p))
		}
		if id, ok := t.known(p, stat); ok {
			ids[i] = id
			continue
		}
		todo = append(todo, i)
	}
	// A blob may be collected between its coming and its being held: so what
	// was read is looked for like what was known, and read again if it went.
	for range maxAttempts {
		err := t.each(ctx, len(todo), func(ctx context.Context, k int) error {
			id, err := t.read(ctx, paths[todo[k]], t.keep)
			ids[todo[k]] = id
			return err
		})
		if err != nil {
			return nil, err
		}
		if todo, err = t.lost(ctx, ids, hold); err != nil || len(todo) == 0 {
			return ids, err
		}
	}
	return nil, fmt.Errorf("the store does not keep %s: is it too small for this project?", paths[todo[0]])
}

// lost returns the indices of the files that the store does not have.
func (t *Tree) lost(ctx context.Context, ids []identity, hold func(...digest.Digest)) ([]int, error) {
	var ds []digest.Digest
	var at []int
	for i, id := range ids {
		if id.kind == Regular {
			ds, at = append(ds, id.digest), append(at, i)
		}
	}
	hold(ds...)
	here, err := t.blobs.Has(ctx, ds)
	if err != nil {
		return nil, err
	}
	var todo []int
	for k, ok := range here {
		if !ok {
			todo = append(todo, at[k])
		}
	}
	return todo, nil
}

// ChangedSince returns those of paths, which were ingested, whose content is no
// longer what was ingested, sorted.
func (t *Tree) ChangedSince(ctx context.Context, s *Snapshot, paths []string) ([]string, error) {
	stats, err := t.files.Stat(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("look for changed sources: %w", err)
	}
	want := make([]identity, len(paths))
	for i, p := range paths {
		want[i], _ = s.recall(p)
	}
	same, _, err := t.compareAll(ctx, paths, stats, want)
	var changed []string
	for i, p := range paths {
		if !same[i] || want[i].kind == Absent {
			changed = append(changed, p)
		}
	}
	slices.Sort(changed)
	return changed, err
}

// compareAll says for each path, which has this stat, whether it is what is
// wanted there, and whether it had to be read to say so.
func (t *Tree) compareAll(ctx context.Context, paths []string, stats []Stat, want []identity) (same, reread []bool, err error) {
	same, reread = make([]bool, len(paths)), make([]bool, len(paths))
	var unsure []int
	for i, p := range paths {
		var sure bool
		if same[i], sure = t.decide(p, stats[i], want[i]); !sure {
			unsure = append(unsure, i)
		}
	}
	err = t.each(ctx, len(unsure), func(ctx context.Context, k int) error {
		i := unsure[k]
		same[i], reread[i] = t.still(ctx, paths[i], stats[i], want[i]), true
		return ctx.Err()
	})
	return same, reread, err
}

// decide reports whether the file at path, with this stat, is want, and whether
// that is sure without reading it.
func (t *Tree) decide(path string, s Stat, want identity) (same, sure bool) {
	if s.Kind != want.kind || s.Executable != want.executable || s.Kind == Regular && s.Size != want.digest.Size() {
		return false, true
	}
	id, known := t.known(path, s)
	return known && id == want, known
}

// still is decide that reads the file if it has to. One that cannot be read is
// not what is wanted.
func (t *Tree) still(ctx context.Context, path string, s Stat, want identity) bool {
	same, sure := t.decide(path, s, want)
	if sure {
		return same
	}
	id, err := t.read(ctx, path, t.hash)
	return err == nil && id == want
}
