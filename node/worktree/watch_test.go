package worktree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestASoundWatchLooksAtNoFile(t *testing.T) {
	b := newProject(t, openLocal)
	w := b.watched(t)
	b.build()
	b.reopen()
	b.files.listed.Store(0)
	b.files.opened.Store(0)
	if _, same := b.unchanged(); !same {
		t.Fatal("changed")
	}
	b.scan()
	if n, m := b.files.listed.Load(), b.files.opened.Load(); n != 0 || m != 0 {
		t.Errorf("listed %d directories and read %d files", n, m)
	}
	w.lost(fsnotify.ErrEventOverflow)
	if _, same := b.unchanged(); !same || b.files.listed.Load() == 0 {
		t.Errorf("after lost events: unchanged %v, listed %d", same, b.files.listed.Load())
	}
	b.files.listed.Store(0)
	if _, same := b.unchanged(); !same || b.files.listed.Load() != 0 {
		t.Error("the watch did not come back")
	}
}

func TestAnOverflowOfTheQueueIsNoticed(t *testing.T) {
	b := newProject(t, openLocal)
	w := b.watched(t)
	b.build()
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Skip("no inotify here")
	}
	var n int
	if _, err := fmt.Sscan(string(limit), &n); err != nil || n > 1<<16 {
		t.Skipf("a queue of %s events", limit)
	}
	w.mu.Lock() // the reader of events stands still
	for i := range n {
		p := filepath.Join(b.root, "noise", fmt.Sprint(i%2))
		if i == 0 {
			b.write("src/a", "CONTENT")
			p = filepath.Join(b.root, "src", "x")
		}
		if i > 0 {
			p = filepath.Join(b.root, "src", fmt.Sprint("n", i%2))
		}
		if err := errors.Join(os.WriteFile(p, nil, 0o644), os.Remove(p)); err != nil {
			t.Fatal(err)
		}
	}
	b.write("src/a", "content")
	w.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if b.stale(w) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the overflow went unnoticed")
		}
	}
	if _, same := b.unchanged(); !same {
		t.Error("changed, though all is as before")
	}
}

func (b *bench) stale(w *Watcher) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trees[b.root].stale
}

func TestAWriteThroughAnotherName(t *testing.T) {
	b := newProject(t, openLocal)
	outside := filepath.Join(t.TempDir(), "name")
	if err := os.Link(filepath.Join(b.root, "src/a"), outside); err != nil {
		t.Fatal(err)
	}
	b.watched(t)
	b.build()
	if _, same := b.unchanged(); !same {
		t.Fatal("changed")
	}
	if err := os.WriteFile(outside, []byte("CONTENT"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, same := b.unchanged(); same {
		t.Error("a write through a name outside of the tree was missed")
	}
}

func TestTreesShareAWatcherWithinLimits(t *testing.T) {
	w := startWatcher(t)
	var benches []*bench
	for range maxTrees + 2 {
		b := newProject(t, openLocal)
		b.opts.Watcher = w
		b.reopen()
		b.build()
		benches = append(benches, b)
	}
	w.mu.Lock()
	trees, dirs := len(w.trees), len(w.dirs)
	w.mu.Unlock()
	if trees != maxTrees || dirs > maxTrees*10 {
		t.Errorf("%d trees and %d directories are watched", trees, dirs)
	}
	for i, b := range benches {
		b.files.listed.Store(0)
		if _, same := b.unchanged(); !same {
			t.Errorf("tree %d changed", i)
		}
		if old := i < 2; (b.files.listed.Load() > 0) != old && i < 2 {
			t.Errorf("tree %d was walked: %v", i, !old)
		}
	}
}

func TestNestedTrees(t *testing.T) {
	b := newProject(t, openLocal)
	b.watched(t)
	inner := newBench(t, openLocal)
	inner.root = filepath.Join(b.root, "other")
	inner.files = &counting{Files: openLocal(t, inner.root)}
	inner.opts = b.opts
	inner.reopen()
	b.build()
	if err := inner.Seal(t.Context(), "all", State{Snapshot: inner.scan()}); err != nil {
		t.Fatal(err)
	}
	b.write("other/new", "x")
	if _, same := b.unchanged(); same {
		t.Error("the outer tree missed a file")
	}
	if _, same := inner.unchanged(); same {
		t.Error("the inner tree missed a file")
	}
}

func TestAMovedTreeWithinATree(t *testing.T) {
	b := newProject(t, openLocal)
	b.write("other/in/f", "x")
	b.watched(t)
	inner := newBench(t, openLocal)
	inner.root = filepath.Join(b.root, "other/in")
	inner.files = &counting{Files: openLocal(t, inner.root)}
	inner.opts = b.opts
	inner.reopen()
	b.build()
	if err := inner.Seal(t.Context(), "all", State{Snapshot: inner.scan()}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(b.root, "other"), filepath.Join(b.root, "moved")); err != nil {
		t.Fatal(err)
	}
	b.build()
	if _, same := b.unchanged(); !same {
		t.Fatal("changed")
	}
	b.write("moved/in/new", "x")
	if _, same := b.unchanged(); same {
		t.Error("a file in a directory that moved was missed")
	}
}

func TestATreeUnderASecondNameOfItsDirectories(t *testing.T) {
	b := newProject(t, openLocal)
	w := b.watched(t)
	b.build()
	// As a bind mount has it: the directories are known under another name.
	w.mu.Lock()
	for id := range w.names {
		w.names[id] = "/elsewhere"
	}
	w.trees[b.root].stale = true
	w.mu.Unlock()
	for range 2 {
		b.files.listed.Store(0)
		if _, same := b.unchanged(); !same || b.files.listed.Load() == 0 {
			t.Error("a watch is trusted that gets no events")
		}
	}
	b.write("src/a", "CONTENT")
	if _, same := b.unchanged(); same {
		t.Error("an edit was missed")
	}
}

func TestASymbolicLinkToATree(t *testing.T) {
	b := newProject(t, openLocal)
	w := b.watched(t)
	b.build()
	name := filepath.Join(t.TempDir(), "name")
	if err := os.Symlink(b.root, name); err != nil {
		t.Fatal(err)
	}
	tree, err := Open(openLocal(t, name), b.kv, b.blobs, Options{Watcher: w})
	if err != nil {
		t.Fatal(err)
	}
	if _, same, err := tree.Unchanged(t.Context(), "all"); !same || err != nil {
		t.Errorf("under another name: unchanged %v, %v", same, err)
	}
}
