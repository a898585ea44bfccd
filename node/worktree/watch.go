package worktree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxTrees bounds the trees that are watched; the one that was built
	// longest ago goes first.
	maxTrees = 64
	// maxWatches bounds the directories that are watched, all trees together: a
	// kilobyte of kernel memory each.
	maxWatches = 100_000
	// maxSeals bounds the seals that are held in memory for a tree.
	maxSeals = 64
	// cookieWait is how long an answer waits for the events that came before
	// it. A stat walk takes about as long.
	cookieWait   = 250 * time.Millisecond
	cookiePrefix = "cookie-"
)

var errNotWatching = errors.New("the watch does not run")

// Watcher watches the trees that were built, for all builds of a node. It
// counts what happens in a tree, so that "nothing happened since" is one
// comparison.
//
// inotify queues an event before the system call that caused it returns, and
// hands out the events of one instance in their order. So when the event of a
// cookie, a file made in the watcher's own directory, has come out, so have all
// that were caused before the cookie was made: an answer given then misses no
// change made before the question. Other systems promise no order between
// directories, so there nothing is watched.
type Watcher struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	notify  *fsnotify.Watcher // nil while Run does not run
	stopped chan struct{}
	cookies map[string]chan struct{}
	made    uint64 // cookies so far
	uses    uint64
	trees   map[string]*watchedTree // by root
	dirs    map[string]*watchedDir  // by path
	// names are the paths of watched directories. inotify knows a directory
	// by its inode and fsnotify names it by the first path, so that under a
	// second one, as of a bind mount, no event would come.
	names map[inode]string
}

// inode is the identity of a directory.
type inode struct{ dev, ino uint64 }

// watchedDir is a directory under watch, for all trees that it is in.
type watchedDir struct {
	inode inode
	trees []*watchedTree
}

// watchedTree is a tree under watch. All of it is guarded by Watcher.mu.
type watchedTree struct {
	root string
	used uint64
	// events counts what happened in the tree.
	events uint64
	// stale says that the watch lost track: of events, or of which directory
	// is where. All watches are then set anew.
	stale bool
	// warned says that the user knows that it is not watched.
	warned bool
	dirs   map[string]struct{}
	// info identifies the directory that the root was.
	info os.FileInfo
	// listing was true when there had been listedAt events, and so were seals.
	listing  *listing
	listedAt uint64
	seals    map[string]*seal
}

// NewWatcher returns a Watcher that keeps its cookies in dir, which is its own.
func NewWatcher(dir string, log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{
		dir: filepath.Clean(dir), log: log, cookies: map[string]chan struct{}{},
		trees: map[string]*watchedTree{}, dirs: map[string]*watchedDir{}, names: map[inode]string{},
	}
}

// Run watches until ctx ends. Without it, or when it fails, trees are walked.
func (w *Watcher) Run(ctx context.Context) error {
	if !canWatch {
		<-ctx.Done()
		return ctx.Err()
	}
	notify, err := w.start()
	if err != nil {
		return fmt.Errorf("watch trees: %w; raise fs.inotify.max_user_instances if there are too many", err)
	}
	defer w.stop(notify)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-notify.Errors:
			w.lost(err)
		case e := <-notify.Events:
			w.happened(e)
		}
	}
}

func (w *Watcher) start() (*fsnotify.Watcher, error) {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(w.dir, cookiePrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, cookie := range left { // of a node that was killed
		_ = os.Remove(cookie)
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := notify.Add(w.dir); err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notify, w.stopped = notify, make(chan struct{})
	return notify, nil
}

func (w *Watcher) stop(notify *fsnotify.Watcher) {
	w.mu.Lock()
	close(w.stopped)
	w.notify = nil
	clear(w.trees)
	clear(w.dirs)
	clear(w.names)
	w.mu.Unlock()
	_ = notify.Close()
}

// lost says that events were lost, of which trees nobody knows.
func (w *Watcher) lost(err error) {
	w.log.Warn("tree watch lost events; trees are walked at their next build", "err", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.trees {
		t.events++
		t.stale = true
	}
}

// happened counts an event.
func (w *Watcher) happened(e fsnotify.Event) {
	if e.Name == "" {
		return // the end of a watch
	}
	dir, name := filepath.Split(e.Name)
	dir = filepath.Clean(dir)
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir == w.dir {
		if seen, ok := w.cookies[name]; ok && e.Has(fsnotify.Create) {
			close(seen)
			delete(w.cookies, name)
		}
		return
	}
	if d, ok := w.dirs[e.Name]; ok { // a directory itself
		for _, t := range d.trees {
			t.events++
			t.stale = t.stale || moved(e)
		}
		if moved(e) {
			delete(w.names, d.inode)
			w.movedWith(e.Name)
		}
	}
	if d, ok := w.dirs[dir]; ok && !hidden(name) && !isTemp(name) {
		for _, t := range d.trees {
			t.events++
		}
	}
}

// moved reports whether what the event is of is no longer there.
func moved(e fsnotify.Event) bool { return e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) }

// movedWith notes that the trees below a directory are not where they were.
func (w *Watcher) movedWith(dir string) {
	for _, t := range w.trees {
		if strings.HasPrefix(t.root, dir+string(filepath.Separator)) {
			t.events++
			t.stale = true
		}
	}
}

// sync returns when every event that was caused before the call is counted.
func (w *Watcher) sync(ctx context.Context) error {
	w.mu.Lock()
	if w.notify == nil {
		w.mu.Unlock()
		return errNotWatching
	}
	w.made++
	name, seen, stopped := cookiePrefix+strconv.FormatUint(w.made, 10), make(chan struct{}), w.stopped
	w.cookies[name] = seen
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.cookies, name)
	}()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }()
	timeout := time.NewTimer(cookieWait)
	defer timeout.Stop()
	select {
	case <-seen:
		return nil
	case <-stopped:
		return errNotWatching
	case <-timeout.C:
		return errors.New("the watch lags behind")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget drops the seal of a key.
func (w *Watcher) forget(root, key string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.trees[root]; t != nil {
		delete(t.seals, key)
	}
}
