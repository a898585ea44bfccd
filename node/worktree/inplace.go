package worktree

import (
	"context"
	"fmt"
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
	q, err := t.question(ctx, outs)
	if err == nil {
		err = q.ask(ctx, t)
	}
	if err != nil {
		return nil, fmt.Errorf("look at outputs: %w", err)
	}
	return q.there, t.stats.save()
}

// placeQuestion asks for all that outputs put anywhere at once: the tree may
// be at the other end of a stream.
type placeQuestion struct {
	there []bool // by output
	paths []string
	want  []identity
	of    []int // the output of each path
	stale []string
	ofs   []int // the output of each stale path
}

func (t *Tree) question(ctx context.Context, outs []action.Output) (*placeQuestion, error) {
	q := &placeQuestion{there: make([]bool, len(outs))}
	var placed []string
	if slices.ContainsFunc(outs, func(o action.Output) bool { return o.Kind == action.Directory }) {
		placed = t.placed.paths()
	}
	expansions := make([]*expansion, len(outs))
	err := t.each(ctx, len(outs), func(ctx context.Context, i int) error {
		e, err := t.expand(ctx, outs[i:i+1])
		if err == nil { // what cannot be resolved is not in place
			expansions[i], q.there[i] = e, true
		}
		return ctx.Err()
	})
	for i, e := range expansions {
		if e == nil {
			continue
		}
		for _, p := range e.paths() {
			q.add(i, p, e.items[p])
		}
		for p := range e.dirs {
			q.add(i, p, identity{kind: Directory})
		}
		if outs[i].Kind == action.Directory {
			for _, p := range stalePaths(placed, e, outs[i].Path) {
				q.stale, q.ofs = append(q.stale, p), append(q.ofs, i)
			}
		}
	}
	return q, err
}

func (q *placeQuestion) add(out int, path string, want identity) {
	q.paths, q.want, q.of = append(q.paths, path), append(q.want, want), append(q.of, out)
}

func (q *placeQuestion) ask(ctx context.Context, t *Tree) error {
	stats, err := t.files.Stat(ctx, q.paths)
	if err != nil {
		return err
	}
	same, _, err := t.compareAll(ctx, q.paths, stats, q.want)
	if err != nil {
		return err
	}
	for k, ok := range same {
		q.there[q.of[k]] = q.there[q.of[k]] && ok
	}
	unmodified, _, err := t.leftovers(ctx, q.stale)
	leaving := newPathSet(unmodified)
	for k, p := range q.stale {
		if leaving.covers(p) {
			q.there[q.ofs[k]] = false
		}
	}
	return err
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

// Made returns the files that builds put into the tree and nobody has edited
// since, sorted.
func (t *Tree) Made(ctx context.Context) ([]string, error) {
	if err := t.load(); err != nil {
		return nil, err
	}
	unmodified, _, err := t.leftovers(ctx, t.placed.paths())
	if err != nil {
		return nil, fmt.Errorf("look for what builds made: %w", err)
	}
	slices.Sort(unmodified)
	return unmodified, nil
}
