package worktree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/sched/action"
)

// watched gives a bench a Watcher that runs until the test ends.
func (b *bench) watched(t *testing.T) *Watcher {
	t.Helper()
	w := startWatcher(t)
	b.opts.Watcher = w
	b.reopen()
	return w
}

func startWatcher(t *testing.T) *Watcher {
	t.Helper()
	w := NewWatcher(filepath.Join(t.TempDir(), "watch"), nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watcher: %v", err)
		}
	})
	for w.sync(t.Context()) != nil {
		if t.Context().Err() != nil {
			t.Fatal("the watcher does not start")
		}
	}
	return w
}

// build is a success: sources are ingested, outputs placed, the state sealed.
func (b *bench) build() {
	b.t.Helper()
	if err := b.tryBuild(nil); err != nil {
		b.t.Fatal(err)
	}
}

// tryBuild calls meanwhile after the outputs are in place.
func (b *bench) tryBuild(meanwhile func()) error {
	b.t.Helper()
	s := b.scan()
	sources := slices.DeleteFunc([]string{"src/a", "src/b", "link"}, func(p string) bool { _, ok := s.listing.stats[p]; return !ok })
	b.ingest(s, sources...)
	outs := []action.Output{b.out("obj/a.o", "object"), b.dir("dist", map[string]string{"x": "x", "sub/y": "y", "empty/": ""})}
	b.place(Placement{Outputs: outs, Declared: []string{"obj/a.o", "dist"}})
	if meanwhile != nil {
		meanwhile()
	}
	return b.Seal(b.t.Context(), "all", State{Snapshot: s, Sources: sources, Outputs: outs, Opaque: []byte("opaque")})
}

func (b *bench) unchanged() (State, bool) {
	b.t.Helper()
	state, same, err := b.Unchanged(b.t.Context(), "all")
	if err != nil {
		b.t.Fatal(err)
	}
	return state, same
}

func newProject(t *testing.T, open opener) *bench {
	b := newBench(t, open)
	for _, p := range []string{"src/a", "src/b", "other/c", ".buildnet/config.yaml", ".git/HEAD"} {
		b.write(p, "content")
	}
	if err := os.Symlink("src/a", filepath.Join(b.root, "link")); err != nil {
		t.Fatal(err)
	}
	return b
}

// onAll runs a test on a walked, a watched and a remote tree.
func onAll(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Run("walked", func(t *testing.T) { f(t, newProject(t, openLocal)) })
	t.Run("remote", func(t *testing.T) { f(t, newProject(t, openRemote)) })
	t.Run("watched", func(t *testing.T) {
		b := newProject(t, openLocal)
		b.watched(t)
		f(t, b)
	})
}

func TestUnchanged(t *testing.T) {
	onAll(t, func(t *testing.T, b *bench) {
		if _, same := b.unchanged(); same {
			t.Fatal("unchanged before any build")
		}
		b.build()
		for range 3 {
			state, same := b.unchanged()
			if !same || string(state.Opaque) != "opaque" || len(state.Sources) != 3 || len(state.Outputs) != 2 {
				t.Fatalf("unchanged %v, %+v", same, state)
			}
			b.reopen()
		}
		if _, same, err := b.Unchanged(t.Context(), "another"); same || err != nil {
			t.Errorf("another key: %v, %v", same, err)
		}
	})
}

func TestWhatChangesATree(t *testing.T) {
	at := func(b *bench, p string) string { return filepath.Join(b.root, p) }
	same := map[string]func(b *bench) error{
		"other file edited": func(b *bench) error { b.write("other/c", "edited"); return nil },
		"config edited":     func(b *bench) error { b.write(".buildnet/config.yaml", "edited"); return nil },
		"git works":         func(b *bench) error { b.write(".git/index", "i"); return nil },
		"source touched":    func(b *bench) error { b.write("src/a", "content"); return nil },
		"output touched":    func(b *bench) error { b.write("obj/a.o", "object"); return nil },
		"source renamed twice": func(b *bench) error {
			return errors.Join(os.Rename(at(b, "src/a"), at(b, "t")), os.Rename(at(b, "t"), at(b, "src/a")))
		},
		"empty directory": func(b *bench) error { return os.Mkdir(at(b, "new"), 0o755) },
	}
	changed := map[string]func(b *bench) error{
		"source edited": func(b *bench) error { b.write("src/a", "CONTENT"); return nil },
		"source edited, mtime kept": func(b *bench) error {
			before := b.modified("src/a")
			b.write("src/a", "CONTENT")
			return os.Chtimes(at(b, "src/a"), before, before)
		},
		"source replaced": func(b *bench) error { b.write("tmp", "CONTENT"); return os.Rename(at(b, "tmp"), at(b, "src/a")) },
		"source removed":  func(b *bench) error { return os.Remove(at(b, "src/b")) },
		"source chmod":    func(b *bench) error { return os.Chmod(at(b, "src/a"), 0o755) },
		"link turned": func(b *bench) error {
			return errors.Join(os.Remove(at(b, "link")), os.Symlink("src/b", at(b, "link")))
		},
		"file added":              func(b *bench) error { b.write("src/new", ""); return nil },
		"file added in a new dir": func(b *bench) error { b.write("new/deep/f", ""); return nil },
		"other file removed":      func(b *bench) error { return os.Remove(at(b, "other/c")) },
		"output removed":          func(b *bench) error { return os.Remove(at(b, "obj/a.o")) },
		"output edited":           func(b *bench) error { b.write("dist/sub/y", "Y"); return nil },
		"output chmod":            func(b *bench) error { return os.Chmod(at(b, "dist/x"), 0o755) },
		"output directory gone":   func(b *bench) error { return os.RemoveAll(at(b, "dist")) },
		"empty output dir gone":   func(b *bench) error { return os.Remove(at(b, "dist/empty")) },
		"file among outputs":      func(b *bench) error { b.write("dist/sub/mine", ""); return nil },
		"directory renamed":       func(b *bench) error { return os.Rename(at(b, "src"), at(b, "source")) },
		"directory swapped": func(b *bench) error {
			b.write("src2/a", "content")
			b.write("src2/b", "other!!")
			return errors.Join(os.Rename(at(b, "src"), at(b, "old")), os.Rename(at(b, "src2"), at(b, "src")), os.RemoveAll(at(b, "old")))
		},
		"root swapped": func(b *bench) error {
			return errors.Join(os.Rename(b.root, b.root+".old"), os.CopyFS(b.root, os.DirFS(b.root+".old")), os.WriteFile(at(b, "src/a"), []byte("CONTENT"), 0o644))
		},
	}
	onAll(t, func(t *testing.T, b *bench) {
		b.build()
		for name, change := range same {
			if err := change(b); err != nil {
				t.Fatal(err)
			}
			if _, ok := b.unchanged(); !ok {
				t.Errorf("%s: changed", name)
			}
		}
	})
	for name, change := range changed {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(t *testing.T, b *bench) {
				b.build()
				if err := change(b); err != nil {
					t.Fatal(err)
				}
				if name == "root swapped" {
					b.files.Files = openLocal(t, b.root)
				}
				b.reopen()
				for range 2 {
					if _, ok := b.unchanged(); ok {
						t.Fatal("the change was missed")
					}
				}
				if name == "root swapped" || strings.HasPrefix(name, "directory") {
					return
				}
				b.build()
				if _, ok := b.unchanged(); !ok {
					t.Error("changed right after the next build")
				}
			})
		})
	}
}

func TestATouchIsReadAndReported(t *testing.T) {
	onAll(t, func(t *testing.T, b *bench) {
		b.age()
		b.build()
		b.unchanged()
		b.write("src/a", "content")
		if state, same := b.unchanged(); !same || !slices.Equal(state.Rehashed, []string{"src/a"}) {
			t.Errorf("unchanged %v, rehashed %v", same, state.Rehashed)
		}
		b.age()
		b.unchanged()
		if state, same := b.unchanged(); !same || len(state.Rehashed) != 0 {
			t.Errorf("unchanged %v, rehashed %v again", same, state.Rehashed)
		}
	})
}

func TestSealRefusesATreeThatMoved(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *bench)
		named  string
	}{
		"source edited":  {func(b *bench) { b.write("src/a", "CONTENT") }, "src/a"},
		"source added":   {func(b *bench) { b.write("src/new", "") }, "src/new"},
		"source removed": {func(b *bench) { os.Remove(filepath.Join(b.root, "src/b")) }, "src/b"},
		"file removed":   {func(b *bench) { os.Remove(filepath.Join(b.root, "other/c")) }, "other/c"},
		"output edited":  {func(b *bench) { b.write("dist/x", "edited") }, "dist/x"},
	} {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(t *testing.T, b *bench) {
				b.build()
				err := b.tryBuild(func() { c.change(b) })
				if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), c.named) {
					t.Errorf("seal: %v", err)
				}
				if _, same := b.unchanged(); same {
					t.Error("a seal of before still counts")
				}
			})
		})
	}
}

func TestSealAfterOutputsLeft(t *testing.T) {
	onAll(t, func(t *testing.T, b *bench) {
		b.place(Placement{Outputs: []action.Output{b.out("old/o", "o")}, Declared: []string{"old/o"}})
		b.build()
		if _, err := os.Lstat(filepath.Join(b.root, "old")); err == nil {
			t.Error("an output of before is still there")
		}
		if _, same := b.unchanged(); !same {
			t.Error("changed")
		}
	})
}

func TestWithoutARunningWatcher(t *testing.T) {
	b := newProject(t, openLocal)
	b.opts.Watcher = NewWatcher(filepath.Join(t.TempDir(), "w"), nil)
	b.reopen()
	b.build()
	if _, same := b.unchanged(); !same {
		t.Error("changed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.opts.Watcher.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.write("src/a", "CONTENT")
	if _, same := b.unchanged(); same {
		t.Error("an edit was missed")
	}
}

func TestACorruptStateIsNone(t *testing.T) {
	b := newProject(t, openLocal)
	b.build()
	var keys [][]byte
	_ = b.kv.Scan(nil, func(key, _ []byte) bool { keys = append(keys, key); return true })
	for _, key := range keys {
		if err := b.kv.Put(key, []byte{sealVersion, 0xff, 0xff, 3}); err != nil {
			t.Fatal(err)
		}
	}
	b.reopen()
	if _, same := b.unchanged(); same {
		t.Error("unchanged by a corrupt state")
	}
	b.build()
	if _, same := b.unchanged(); !same {
		t.Error("changed")
	}
}

func BenchmarkUnchanged(b *testing.B) {
	for _, mode := range []string{"watched", "walked"} {
		b.Run(mode, func(b *testing.B) { benchmarkUnchanged(b, mode) })
	}
}

func TestCollectForgetsTheOldestTrees(t *testing.T) {
	b, other := newProject(t, openLocal), newProject(t, openLocal)
	other.kv = b.kv
	other.reopen()
	b.build()
	other.build()
	// The time is in seconds: make the first one older.
	if err := b.kv.Put([]byte(usedPrefix+b.prefix), make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keep     int
		b, other bool
	}{{2, true, true}, {1, false, true}, {0, false, false}} {
		if err := Collect(b.kv, c.keep); err != nil {
			t.Fatal(err)
		}
		_, one := b.unchanged()
		if _, two := other.unchanged(); one != c.b || two != c.other {
			t.Errorf("keep %d: remembered %v and %v", c.keep, one, two)
		}
	}
	_ = b.kv.Scan(nil, func(key, _ []byte) bool { t.Errorf("%q is left", key); return true })
}
