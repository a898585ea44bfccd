package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// watching is one question to the watch on a tree, asked when there had been a
// number of events. A nil watching knows nothing.
type watching struct {
	w      *Watcher
	tree   *watchedTree
	notify notifier
	events uint64
	info   os.FileInfo
	// failed says that not all of the tree is under watch.
	failed atomic.Bool
}

// begin counts what happened in the tree so far. From then on nothing that
// happens in a directory that is added escapes.
func (w *Watcher) begin(ctx context.Context, root string) *watching {
	if w == nil || !canWatch {
		return nil
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil
	}
	tree, notify, unwatched := w.tree(root, info)
	if notify == nil {
		return nil
	}
	for _, dir := range unwatched {
		_ = notify.Remove(dir) // it may be gone
	}
	if err := w.sync(ctx); err != nil {
		w.log.Debug("tree watch gives no answer", "root", root, "err", err)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return &watching{w: w, tree: tree, notify: notify, events: tree.events, info: info}
}

// notifier sets watches and takes them away: fsnotify's.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
}

// tree returns the tree at root and the directories whose watch is to go: those
// of a tree that makes room, and its own if it is stale.
func (w *Watcher) tree(root string, info os.FileInfo) (*watchedTree, notifier, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.notify == nil {
		return nil, nil, nil
	}
	t, ok := w.trees[root]
	var unwatched []string
	if !ok {
		t = &watchedTree{root: root, info: info, dirs: map[string]struct{}{}, seals: map[string]*seal{}}
		w.trees[root] = t
		if len(w.trees) > maxTrees {
			unwatched = w.dropOldest(t)
		}
	}
	w.uses++
	t.used = w.uses
	if t.stale || !os.SameFile(info, t.info) {
		unwatched = append(unwatched, w.clear(t)...)
		unwatched = append(unwatched, w.clearStale()...)
		t.info, t.stale = info, false
	}
	return t, w.notify, unwatched
}

// clearStale clears all trees that are stale: a watch that one of them shared
// would go on under the name that the directory had.
func (w *Watcher) clearStale() []string {
	var unwatched []string
	for _, t := range w.trees {
		if t.stale {
			unwatched = append(unwatched, w.clear(t)...)
		}
	}
	return unwatched
}

func (w *Watcher) dropOldest(but *watchedTree) []string {
	var oldest *watchedTree
	for _, t := range w.trees {
		if t != but && (oldest == nil || t.used < oldest.used) {
			oldest = t
		}
	}
	delete(w.trees, oldest.root)
	return w.clear(oldest)
}

// clear forgets all about a tree but its name, and returns the directories that
// no other tree has watched. Answers under way become worthless.
func (w *Watcher) clear(t *watchedTree) []string {
	var unwatched []string
	for dir := range t.dirs {
		if w.leave(t, dir) {
			unwatched = append(unwatched, dir)
		}
	}
	t.events++
	t.listing = nil
	clear(t.dirs)
	clear(t.seals)
	return unwatched
}

// leave takes a tree from a directory and reports whether it was the last.
func (w *Watcher) leave(t *watchedTree, dir string) bool {
	d := w.dirs[dir]
	d.trees = slices.DeleteFunc(d.trees, func(o *watchedTree) bool { return o == t })
	if len(d.trees) > 0 {
		return false
	}
	delete(w.dirs, dir)
	if w.names[d.inode] == dir {
		delete(w.names, d.inode)
	}
	return true
}

// add puts a directory under watch.
func (a *watching) add(dir string) {
	if a == nil || a.failed.Load() {
		return
	}
	abs := filepath.Join(a.tree.root, native(dir))
	if a.has(abs) {
		return
	}
	id, err := watchable(abs, a.info)
	if err == nil {
		err = a.register(abs, id)
	}
	if err == nil {
		// The event of whatever happens from here on finds the tree registered.
		err = a.notify.Add(abs)
	}
	if err != nil && !a.failed.Swap(true) && !errors.Is(err, fs.ErrNotExist) && a.firstFailure() {
		a.w.log.Warn("tree is not watched; it is walked at each build", "root", a.tree.root, "dir", abs, "err", err)
	}
}

// firstFailure reports whether the user does not know yet.
func (a *watching) firstFailure() bool {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	first := !a.tree.warned
	a.tree.warned = true
	return first
}

func (a *watching) has(abs string) bool {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	_, ok := a.tree.dirs[abs]
	return ok
}

// register gives the events of a directory to the tree.
func (a *watching) register(abs string, id inode) error {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if name, ok := a.w.names[id]; ok && name != abs {
		return fmt.Errorf("the directory is watched as %s", name)
	}
	d, ok := a.w.dirs[abs]
	switch {
	case ok && d.inode != id:
		return errors.New("the directory is another one than before")
	case !ok && len(a.w.dirs) >= maxWatches:
		return fmt.Errorf("%d directories are watched", len(a.w.dirs))
	case !ok:
		d = &watchedDir{inode: id}
		a.w.dirs[abs], a.w.names[id] = d, abs
	}
	a.tree.dirs[abs] = struct{}{}
	if !slices.Contains(d.trees, a.tree) {
		d.trees = append(d.trees, a.tree)
	}
	return nil
}

// valid reports whether nothing happened since begin that was counted.
// The caller holds the Watcher's lock.
func (a *watching) valid() bool {
	return !a.failed.Load() && !a.tree.stale && a.tree.events == a.events
}

// current returns what lies in the tree, or nil if that is not known.
func (a *watching) current() *listing {
	if a == nil {
		return nil
	}
	a.w.mu.Lock()
	l := a.tree.listing
	known := l != nil && a.valid() && a.tree.listedAt == a.events
	a.w.mu.Unlock()
	if !known || !a.linkedSame(l) {
		return nil
	}
	return l
}

// linkedSame looks at the files that have further names: what is written
// through a name outside of the tree causes no event in it.
func (a *watching) linkedSame(l *listing) bool {
	for _, p := range l.linked {
		info, err := os.Lstat(filepath.Join(a.tree.root, native(p)))
		if err != nil || !sameInfo(l.stats[p], info) {
			return false
		}
	}
	return true
}

// sealed returns the seal of key if the tree is known to be as it says.
func (a *watching) sealed(key string) *seal {
	if a.current() == nil {
		return nil
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	return a.tree.seals[key]
}

// settle says that l is what lay in the tree, all of it added, at begin or
// since.
func (a *watching) settle(l *listing) {
	if a == nil {
		return
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if a.failed.Load() {
		a.tree.stale = true
		return
	}
	if !a.valid() || a.tree.listing == l {
		return
	}
	a.tree.listing, a.tree.listedAt = l, a.events
	clear(a.tree.seals)
}

// seal says that s was true of the listing that was settled.
func (a *watching) seal(key string, s *seal) {
	if a == nil {
		return
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if !a.valid() || a.tree.listing == nil || a.tree.listedAt != a.events {
		return
	}
	if len(a.tree.seals) >= maxSeals {
		clear(a.tree.seals)
	}
	a.tree.seals[key] = s
}
