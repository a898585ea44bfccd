package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxIntents bounds how many contents of a path are known as a build's, after
// builds that died while they placed.
const maxIntents = 4

// Placement is what a build puts into its tree.
type Placement struct {
	// Outputs are what its steps made. Their blobs, Directory messages
	// included, are in the store.
	Outputs []action.Output
	// Dirs are directories that are to hold exactly what Outputs has in them,
	// beside what no build made. Outputs that are directories are so anyway.
	Dirs []string
	// Declared are all outputs and output directories of the configuration,
	// built now or not. What builds placed elsewhere is removed, unless
	// Declared is nil.
	Declared []string
}

// PlaceReport says what Place did. Paths are sorted.
type PlaceReport struct {
	Written int
	Equal   int
	// Bytes counts what was written.
	Bytes   int64
	Removed []string
	// Foreign are files in exact directories that no build made: kept.
	Foreign []string
	// Modified are files that a build made, that are to go, and that somebody
	// edited: kept.
	Modified []string
}

// placing is one Place under way.
type placing struct {
	t     *Tree
	p     Placement
	want  *expansion
	exact pathSet

	mu     sync.Mutex
	report PlaceReport
}

// Place makes the tree hold the outputs. Each file whose bytes differ is
// written under a hidden name and renamed; the others are not touched. It
// returns ErrBlocked, before anything is written, if something that no build
// made lies where an output goes.
func (t *Tree) Place(ctx context.Context, p Placement) (PlaceReport, error) {
	if err := t.load(); err != nil {
		return PlaceReport{}, err
	}
	want, err := t.expand(ctx, p.Outputs)
	if err != nil {
		return PlaceReport{}, fmt.Errorf("place outputs: %w", err)
	}
	x := &placing{t: t, p: p, want: want, exact: newPathSet(p.Dirs)}
	for _, o := range p.Outputs {
		x.exact[o.Path] = struct{}{}
	}
	if err := x.run(ctx); err != nil {
		// What was placed before the error stays known as a build's.
		_ = errors.Join(t.placed.save(), t.stats.save())
		return x.report, fmt.Errorf("place outputs: %w", err)
	}
	return x.report, errors.Join(t.placed.save(), t.stats.save())
}

func (x *placing) run(ctx context.Context) error {
	leaving, err := x.leaving(ctx)
	if err != nil {
		return err
	}
	paths := x.want.paths()
	stats, err := x.t.files.Stat(ctx, paths)
	if err != nil {
		return err
	}
	if err := x.unblocked(ctx, paths, stats, leaving); err != nil {
		return err
	}
	differ, err := x.differing(ctx, paths, stats)
	if err != nil {
		return err
	}
	if err := x.intend(paths, differ); err != nil {
		return err
	}
	if err := x.remove(ctx, leaving, paths, stats); err != nil {
		return err
	}
	if err := x.mkdirs(ctx, paths); err != nil {
		return err
	}
	err = x.t.each(ctx, len(differ), func(ctx context.Context, k int) error {
		i := differ[k]
		return x.placeOne(ctx, paths[i], stats[i])
	})
	if err != nil {
		return err
	}
	x.settle(paths)
	return x.foreign(ctx)
}

// leaving returns what earlier builds placed and is to go.
func (x *placing) leaving(ctx context.Context) ([]string, error) {
	var gone []string
	declared := newPathSet(x.p.Declared)
	for _, p := range x.t.placed.paths() {
		if _, made := x.want.items[p]; made {
			continue
		}
		if x.exact.covers(p) || x.p.Declared != nil && !declared.covers(p) {
			gone = append(gone, p)
		}
	}
	leaving, modified, err := x.t.leftovers(ctx, gone)
	x.report.Modified = modified
	return leaving, err
}

// unblocked returns ErrBlocked if a directory that does not go away lies where
// a file goes, or something else where a directory goes.
func (x *placing) unblocked(ctx context.Context, paths []string, stats []Stat, leaving []string) error {
	going := map[string]struct{}{}
	for _, p := range leaving {
		going[p] = struct{}{}
	}
	var blocked []error
	for i, p := range paths {
		if stats[i].Kind != Directory {
			continue
		}
		in, err := x.t.holds(ctx, p, going)
		if err != nil {
			return err
		}
		if in {
			blocked = append(blocked, fmt.Errorf("%w: %s is a directory where an output file goes; move it away or change the outputs", ErrBlocked, x.t.name(p)))
		}
	}
	dirs := x.directories(paths)
	dirStats, err := x.t.files.Stat(ctx, dirs)
	if err != nil {
		return err
	}
	for i, dir := range dirs {
		_, goes := going[dir]
		if kind := dirStats[i].Kind; !goes && kind != Absent && kind != Directory {
			blocked = append(blocked, fmt.Errorf("%w: %s is no directory, and an output goes below it; move it away or change the outputs", ErrBlocked, x.t.name(dir)))
		}
	}
	return errors.Join(blocked...)
}

// holds reports whether a directory holds anything but what is going.
func (t *Tree) holds(ctx context.Context, dir string, going map[string]struct{}) (bool, error) {
	entries, err := t.files.List(ctx, dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		p := join(dir, e.Name)
		if _, goes := going[p]; goes {
			continue
		}
		if e.Kind != Directory || hidden(e.Name) {
			return true, nil
		}
		if in, err := t.holds(ctx, p, going); in || err != nil {
			return in, err
		}
	}
	return false, nil
}

// directories returns every directory that has to be there, those above first.
func (x *placing) directories(paths []string) []string {
	all := maps.Clone(x.want.dirs)
	for _, p := range append(slices.Collect(maps.Keys(x.want.dirs)), paths...) {
		for dir, _ := split(p); dir != ""; dir, _ = split(dir) {
			if _, ok := all[dir]; ok {
				break
			}
			all[dir] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// differing returns the indices of the paths that do not lie there yet.
func (x *placing) differing(ctx context.Context, paths []string, stats []Stat) ([]int, error) {
	want := make([]identity, len(paths))
	for i, p := range paths {
		want[i] = x.want.items[p]
	}
	same, _, err := x.t.compareAll(ctx, paths, stats, want)
	var at []int
	for i := range paths {
		if !same[i] {
			at = append(at, i)
		}
	}
	x.report.Equal = len(paths) - len(at)
	return at, err
}

// intend writes down what is about to lie where, so that after a crash the
// old and the new content are both known as a build's.
func (x *placing) intend(paths []string, differ []int) error {
	for _, p := range paths {
		if ids, _ := x.t.placed.get(p); !slices.Contains(ids, x.want.items[p]) {
			x.t.placed.put(p, append(slices.Clone(ids[max(0, len(ids)-maxIntents+1):]), x.want.items[p]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return x.t.placed.save()
}

// settle forgets what lay there before: now it is an edit if somebody makes it
// so again.
func (x *placing) settle(paths []string) {
	for _, p := range paths {
		if ids, _ := x.t.placed.get(p); len(ids) > 1 {
			x.t.placed.put(p, []identity{x.want.items[p]})
		}
	}
}

// remove removes files that are going and the directories that this empties.
func (x *placing) remove(ctx context.Context, leaving, paths []string, stats []Stat) error {
	for _, p := range leaving {
		if err := x.t.files.Remove(ctx, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; allow its removal or remove it yourself", err)
		}
		x.t.placed.delete(p)
		x.t.stats.delete(p)
		x.t.removed[p] = struct{}{}
		x.report.Removed = append(x.report.Removed, p)
		x.removeEmpty(ctx, p)
	}
	for i, p := range paths {
		if stats[i].Kind == Directory {
			x.removeHollow(ctx, p)
		}
	}
	return nil
}

// removeEmpty removes the directories above p that are empty and not wanted.
func (x *placing) removeEmpty(ctx context.Context, p string) {
	for dir, _ := split(p); dir != ""; dir, _ = split(dir) {
		if _, wanted := x.want.dirs[dir]; wanted || x.t.files.Remove(ctx, dir) != nil {
			return // not empty, or needed
		}
	}
}

// removeHollow removes a directory that holds nothing but empty directories.
// What fails here fails again, with a reason, when a file is to go there.
func (x *placing) removeHollow(ctx context.Context, dir string) {
	entries, err := x.t.files.List(ctx, dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		x.removeHollow(ctx, join(dir, e.Name))
	}
	_ = x.t.files.Remove(ctx, dir)
}

func (x *placing) mkdirs(ctx context.Context, paths []string) error {
	for _, dir := range x.directories(paths) {
		if err := x.t.files.Mkdir(ctx, dir); err != nil {
			return advise(err)
		}
	}
	return nil
}

// advise adds what to do about errors that the user can do something about.
func advise(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; make the directory writable for you", err)
	}
	return err
}

func (x *placing) placeOne(ctx context.Context, path string, s Stat) error {
	want := x.want.items[path]
	var err error
	switch {
	case want.kind == Symlink:
		_, err = x.t.files.Link(ctx, path, want.target)
	case s.Kind == Regular && x.onlyMode(ctx, path, s, want):
		err = x.chmod(ctx, path, want)
	default:
		err = x.write(ctx, path, want)
	}
	if err != nil {
		return advise(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Written++
	return nil
}

// onlyMode reports whether the bytes are right and the permissions are not.
func (x *placing) onlyMode(ctx context.Context, path string, s Stat, want identity) bool {
	want.executable = s.Executable
	return x.t.still(ctx, path, s, want)
}

func (x *placing) chmod(ctx context.Context, path string, want identity) error {
	before, known := x.t.stats.get(path)
	s, err := x.t.files.Chmod(ctx, path, modeOf(want))
	if err == nil && known {
		before.stat = s // of the bytes that were looked at just now
		x.t.stats.put(path, before)
	}
	return err
}

func modeOf(i identity) Mode {
	if i.executable {
		return Exec
	}
	return Plain
}

// write puts a blob into its place.
func (x *placing) write(ctx context.Context, path string, want identity) error {
	r, err := x.t.blobs.Open(ctx, want.digest)
	if err != nil {
		return fmt.Errorf("output %s: %w", path, err)
	}
	defer r.Close()
	temp, err := x.t.files.Create(ctx, path, modeOf(want))
	if err != nil {
		return err
	}
	defer temp.Abort()
	// The store verifies what comes into it; a disk may change it there.
	got, err := copyHashed(ctx, temp, r, want.digest)
	if err != nil {
		return fmt.Errorf("write %s: %w", x.t.name(path), err)
	}
	if got != want.digest {
		_ = store.Recheck(ctx, x.t.blobs, want.digest) // what it found is known
		return fmt.Errorf("output %s: blob %v: %w; build again, and it is made again", path, want.digest, store.ErrCorrupt)
	}
	s, err := temp.Commit()
	if err != nil {
		return err
	}
	x.t.stats.put(path, record{stat: s, digest: want.digest, verified: time.Now().UnixNano(), placed: true})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Bytes += got.Size()
	return nil
}

// copyBytes are copied at once; what has no more is hashed in one piece.
const copyBytes = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// copyHashed copies what should be want and returns what it was.
func copyHashed(ctx context.Context, w io.Writer, r io.Reader, want digest.Digest) (digest.Digest, error) {
	pooled := copyBuffers.Get().(*[copyBytes]byte)
	defer copyBuffers.Put(pooled)
	buffer := pooled[:]
	if want.Size() >= copyBytes {
		h := digest.NewHasher(want.Function())
		// Hidden methods would pass by the buffer and the context.
		_, err := io.CopyBuffer(io.MultiWriter(h, w), contextReader{ctx, r}, buffer)
		return h.Sum(), err
	}
	// One byte more than there should be shows that there is too much.
	n, err := io.ReadFull(contextReader{ctx, r}, buffer[:want.Size()+1])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return digest.Digest{}, err
	}
	_, err = w.Write(buffer[:n])
	return digest.Of(want.Function(), buffer[:n]), err
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// foreign names the files in exact directories that no build made.
func (x *placing) foreign(ctx context.Context) error {
	roots := slices.Clone(x.p.Dirs)
	for _, o := range x.p.Outputs {
		if o.Kind == action.Directory {
			roots = append(roots, o.Path)
		}
	}
	slices.Sort(roots)
	seen := map[string]struct{}{}
	for _, dir := range roots {
		if err := x.foreignIn(ctx, dir, seen); err != nil {
			return err
		}
	}
	x.report.Foreign = slices.Sorted(maps.Keys(seen))
	return nil
}

func (x *placing) foreignIn(ctx context.Context, dir string, seen map[string]struct{}) error {
	entries, err := x.t.files.List(ctx, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		p := join(dir, e.Name)
		if e.Kind == Directory {
			if err := x.foreignIn(ctx, p, seen); err != nil {
				return err
			}
			if _, wanted := x.want.dirs[p]; !wanted {
				_ = x.t.files.Remove(ctx, p) // if it is empty
			}
			continue
		}
		_, wanted := x.want.items[p]
		if _, ours := x.t.placed.get(p); !wanted && !ours {
			seen[p] = struct{}{}
		}
	}
	return nil
}
