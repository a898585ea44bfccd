package worktree

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// InPlace says for each output, in order, whether it lies in the tree with
// these bytes and permissions, and, if a directory, with nothing beside that an
// earlier build put there and nobody edited.
func (t *Tree) InPlace(ctx context.Context, outs []action.Output) ([]bool, error) {
	if err := t.load(); err != nil {
		return nil, err
	}
	there := make([]bool, len(outs))
	var placed []string
	if slices.ContainsFunc(outs, func(o action.Output) bool { return o.Kind == action.Directory }) {
		placed = t.placed.paths()
	}
	err := t.each(ctx, len(outs), func(ctx context.Context, i int) error {
		e, err := t.expand(ctx, outs[i:i+1])
		if err != nil {
			return nil //nolint:nilerr // what cannot be resolved is not in place
		}
		there[i], err = t.inPlace(ctx, e)
		if err == nil && there[i] && outs[i].Kind == action.Directory {
			var stale []string
			stale, _, err = t.leftovers(ctx, stalePaths(placed, e, outs[i].Path))
			there[i] = len(stale) == 0
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at outputs: %w", err)
	}
	return there, t.stats.save()
}

func (t *Tree) inPlace(ctx context.Context, e *expansion) (bool, error) {
	paths := e.paths()
	dirs := slices.Sorted(maps.Keys(e.dirs))
	stats, err := t.files.Stat(ctx, append(slices.Clone(paths), dirs...))
	if err != nil {
		return false, err
	}
	for i := range dirs {
		if stats[len(paths)+i].Kind != Directory {
			return false, nil
		}
	}
	want := make([]identity, len(paths))
	for i, p := range paths {
		want[i] = e.items[p]
	}
	same, _, err := t.compareAll(ctx, paths, stats[:len(paths)], want)
	return !slices.Contains(same, false), err
}

// stalePaths returns those of placed, which is sorted, that are dir or lie
// below it and are none of the expansion's.
func stalePaths(placed []string, e *expansion, dir string) []string {
	var stale []string
	from, _ := slices.BinarySearch(placed, dir)
	for _, p := range placed[from:] {
		if !strings.HasPrefix(p, dir) {
			break
		}
		if _, made := e.items[p]; within(p, dir) && !made {
			stale = append(stale, p)
		}
	}
	return stale
}

// leftovers sorts paths that builds placed: those that are still as placed, and
// those that were edited since. Of what is gone the record is forgotten.
func (t *Tree) leftovers(ctx context.Context, paths []string) (unmodified, modified []string, err error) {
	stats, err := t.files.Stat(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range paths {
		ids, _ := t.placed.get(p)
		switch {
		case stats[i].Kind == Absent || stats[i].Kind == Directory:
			t.placed.delete(p)
		case t.isOne(ctx, p, stats[i], ids):
			unmodified = append(unmodified, p)
		default:
			modified = append(modified, p)
		}
	}
	return unmodified, modified, nil
}

// isOne reports whether the content at path is one of ids.
func (t *Tree) isOne(ctx context.Context, path string, s Stat, ids []identity) bool {
	return slices.ContainsFunc(ids, func(want identity) bool {
		want.executable = s.Executable
		return t.still(ctx, path, s, want)
	})
}
