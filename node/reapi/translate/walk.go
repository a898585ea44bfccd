package translate

import (
	"context"

	"github.com/buildnet/buildnet/store/digest"
)

// walk is one look at one tree.
type walk struct {
	t    *Translator
	fn   digest.Function
	hold func(...digest.Digest)

	dirs map[digest.Digest]*dir
	// at is where a directory was seen first, for people.
	at      map[digest.Digest]string
	entries int  // by weight
	alone   bool // has the turn of large trees
	// post are the directories, those below first.
	post    []digest.Digest
	sizes   map[digest.Digest]size
	missing []digest.Digest
	gone    map[digest.Digest]struct{} // those of missing
}

// size is of a directory with all below it.
type size struct{ depth, nodes int }

func newWalk(t *Translator, fn digest.Function) *walk {
	return &walk{
		t: t, fn: fn, hold: func(...digest.Digest) {}, dirs: map[digest.Digest]*dir{}, at: map[digest.Digest]string{},
		sizes: map[digest.Digest]size{}, gone: map[digest.Digest]struct{}{},
	}
}

func (w *walk) miss(d digest.Digest) {
	if _, twice := w.gone[d]; !twice {
		w.gone[d] = struct{}{}
		w.missing = append(w.missing, d)
	}
}

// read reads the directories level by level, so that each level is one batch.
func (w *walk) read(ctx context.Context, root digest.Digest) error {
	limits := w.t.limits
	w.at[root] = "."
	level := []digest.Digest{root}
	for depth := 1; len(level) > 0; depth++ {
		if depth > limits.Depth {
			return w.placed(tooLarge(level[0], "more than %d directories deep", limits.Depth))
		}
		dirs, err := w.t.gather(ctx, level)
		if err != nil {
			return w.placed(err)
		}
		var next []digest.Digest
		for i, dir := range dirs {
			if dir == nil {
				w.miss(level[i])
				continue
			}
			w.dirs[level[i]] = dir
			next = append(next, w.below(dir)...)
		}
		if len(w.at) > limits.Directories {
			return w.placed(tooLarge(root, "more than %d directories", limits.Directories))
		}
		if w.entries > limits.Entries {
			return w.placed(tooLarge(root, "more than %d entries", limits.Entries))
		}
		if err := w.turn(ctx); err != nil {
			return err
		}
		level = next
	}
	return nil
}

// turn waits until no other large tree is walked, if this is one.
func (w *walk) turn(ctx context.Context) error {
	if w.alone || w.entries <= largeWeight {
		return nil
	}
	select {
	case w.t.walkingLarge <- struct{}{}:
		w.alone = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end lets go of what is one walk's at a time.
func (w *walk) end() {
	if w.alone {
		<-w.t.walkingLarge
	}
}

// below returns the directories of d that are new.
func (w *walk) below(d *dir) []digest.Digest {
	w.entries += d.weight()
	var fresh []digest.Digest
	for _, s := range d.subs {
		if _, seen := w.at[s.digest]; seen {
			continue
		}
		w.at[s.digest] = w.at[d.digest] + "/" + s.name
		fresh = append(fresh, s.digest)
	}
	return fresh
}

// measure orders the directories and bounds what they come to when laid out: a small
// message may stand for 2^100 files.
func (w *walk) measure(root digest.Digest) error {
	_, err := w.size(root, 1)
	return err
}

// size recurses no deeper than the limit.
func (w *walk) size(d digest.Digest, depth int) (size, error) {
	if depth > w.t.limits.Depth {
		return size{}, w.placed(tooLarge(d, "more than %d directories deep", w.t.limits.Depth))
	}
	dir := w.dirs[d]
	if dir == nil {
		return size{depth: 1, nodes: 1}, nil // missing
	}
	if known, ok := w.sizes[d]; ok {
		if depth+known.depth-1 > w.t.limits.Depth {
			return size{}, w.placed(tooLarge(d, "more than %d directories deep", w.t.limits.Depth))
		}
		return known, nil
	}
	sum := size{depth: 1, nodes: 1 + len(dir.files) + len(dir.links)}
	for _, s := range dir.subs {
		below, err := w.size(s.digest, depth+1)
		if err != nil {
			return size{}, err
		}
		sum.depth = max(sum.depth, below.depth+1)
		if sum.nodes += below.nodes; sum.nodes > w.t.limits.Nodes {
			return size{}, w.placed(tooLarge(d, "more than %d files and directories when laid out", w.t.limits.Nodes))
		}
	}
	w.sizes[d] = sum
	w.post = append(w.post, d)
	return sum, nil
}

// files notes what is missing of the files.
func (w *walk) files(ctx context.Context) error {
	var natives, names []digest.Digest
	asked := map[digest.Digest]struct{}{}
	for _, d := range w.post {
		dir := w.dirs[d]
		of, err := dir.resolve(ctx, w.t.blobs)
		if err != nil {
			return err
		}
		for i, n := range of {
			if n.IsZero() {
				w.miss(dir.files[i].digest)
				continue
			}
			if _, twice := asked[n]; !twice {
				asked[n] = struct{}{}
				natives, names = append(natives, n), append(names, dir.files[i].digest)
			}
		}
	}
	w.hold(natives...)
	here, err := w.t.here(ctx, natives)
	if err != nil {
		return err
	}
	for i, ok := range here {
		if !ok {
			w.miss(names[i])
		}
	}
	return nil
}
