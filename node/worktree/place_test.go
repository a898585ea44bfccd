package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

func (b *bench) modified(path string) time.Time {
	b.t.Helper()
	info, err := os.Lstat(filepath.Join(b.root, path))
	if err != nil {
		b.t.Fatal(err)
	}
	return info.ModTime()
}

func (b *bench) inPlace(outs ...action.Output) []bool {
	b.t.Helper()
	there, err := b.InPlace(b.t.Context(), outs)
	if err != nil {
		b.t.Fatal(err)
	}
	return there
}

func TestPlaceWritesOnlyWhatDiffers(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		a, c := b.out("obj/a.o", "a"), b.out("c", "c")
		c.Executable = true
		l := action.Output{Path: "obj/l", Kind: action.Symlink, Target: "a.o"}
		d := b.dir("dist", map[string]string{"x/y": "y", "empty/": "", "z": "->x/y"})
		outs := []action.Output{a, c, l, d}
		if got := b.inPlace(outs...); slices.Contains(got, true) {
			t.Errorf("before: in place %v", got)
		}
		if r := b.place(Placement{Outputs: outs}); r.Written != 5 || r.Equal != 0 || r.Bytes != 3 {
			t.Errorf("report %+v", r)
		}
		want := map[string]string{"obj/": "", "obj/a.o": "a", "c": "c", "obj/l": "->a.o", "dist/": "", "dist/x/": "", "dist/x/y": "y", "dist/empty/": "", "dist/z": "->x/y"}
		b.expect(want)
		b.reopen()
		b.files.opened.Store(0)
		if got := b.inPlace(outs...); slices.Contains(got, false) || b.files.opened.Load() != 0 {
			t.Errorf("after: in place %v, %d read", got, b.files.opened.Load())
		}
		before := b.modified("obj/a.o")
		if err := os.Chmod(filepath.Join(b.root, "c"), 0o644); err != nil {
			t.Fatal(err)
		}
		b.write("dist/x/y", "edited")
		if got := b.inPlace(outs...); !slices.Equal(got, []bool{true, false, true, false}) {
			t.Errorf("edited: in place %v", got)
		}
		if r := b.place(Placement{Outputs: outs}); r.Written != 2 || r.Equal != 3 || r.Bytes != 1 {
			t.Errorf("report %+v", r)
		}
		b.expect(want)
		if info, err := os.Stat(filepath.Join(b.root, "c")); err != nil || info.Mode()&0o111 != 0o111 {
			t.Errorf("c has mode %v, %v", info.Mode(), err)
		}
		if !b.modified("obj/a.o").Equal(before) {
			t.Error("an equal output got a new time")
		}
		if err := os.Remove(filepath.Join(b.root, "dist/empty")); err != nil {
			t.Fatal(err)
		}
		if got := b.inPlace(d); got[0] {
			t.Error("an empty directory is missing, but all is in place")
		}
	})
}

func TestEqualBytesThatNoBuildWroteStay(t *testing.T) {
	b := newBench(t, openLocal)
	b.write("f", "same")
	before := b.modified("f")
	if r := b.place(Placement{Outputs: []action.Output{b.out("f", "same")}}); r.Equal != 1 || r.Written != 0 {
		t.Errorf("report %+v", r)
	}
	if !b.modified("f").Equal(before) {
		t.Error("the file got a new time")
	}
}

func TestAnExactDirectory(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		first := b.dir("dist", map[string]string{"a": "a", "sub/b": "b", "sub/deep/c": "c", "edited": "e", "stays": "s"})
		b.place(Placement{Outputs: []action.Output{first}})
		b.write("dist/mine", "mine")
		b.write("dist/own/file", "mine")
		b.write("dist/edited", "by hand")
		b.reopen()
		second := b.dir("dist", map[string]string{"a": "A", "stays": "s"})
		if got := b.inPlace(second); got[0] {
			t.Error("stale files lie there, but all is in place")
		}
		r := b.place(Placement{Outputs: []action.Output{second}})
		if !slices.Equal(r.Removed, []string{"dist/sub/b", "dist/sub/deep/c"}) ||
			!slices.Equal(r.Foreign, []string{"dist/mine", "dist/own/file"}) || !slices.Equal(r.Modified, []string{"dist/edited"}) {
			t.Errorf("report %+v", r)
		}
		b.expect(map[string]string{"dist/": "", "dist/a": "A", "dist/stays": "s", "dist/mine": "mine", "dist/own/": "", "dist/own/file": "mine", "dist/edited": "by hand"})
		if got := b.inPlace(second); !got[0] {
			t.Error("what was edited or is foreign keeps the directory from being in place")
		}
	})
}

func TestOutputDirOfSteps(t *testing.T) {
	b := newBench(t, openLocal)
	p := Placement{Outputs: []action.Output{b.out("dist/a", "a"), b.out("dist/b", "b")}, Dirs: []string{"dist"}, Declared: []string{"dist", "dist/a", "dist/b"}}
	b.place(p)
	b.write("dist/mine", "mine")
	p.Outputs = p.Outputs[:1]
	if r := b.place(p); !slices.Equal(r.Removed, []string{"dist/b"}) || !slices.Equal(r.Foreign, []string{"dist/mine"}) {
		t.Errorf("report %+v", r)
	}
	b.expect(map[string]string{"dist/": "", "dist/a": "a", "dist/mine": "mine"})
}

func TestOutputsThatLeftTheConfiguration(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		outs := []action.Output{b.out("x/old", "o"), b.out("x/edited", "e"), b.out("y/other", "y"), b.out("z", "z")}
		b.place(Placement{Outputs: outs, Declared: []string{"x/old", "x/edited", "y/other", "z"}})
		b.write("x/edited", "by hand")
		b.reopen()
		// Only z is built, and y/other is still declared.
		r := b.place(Placement{Outputs: outs[3:], Declared: []string{"y", "z"}})
		if !slices.Equal(r.Removed, []string{"x/old"}) || !slices.Equal(r.Modified, []string{"x/edited"}) {
			t.Errorf("report %+v", r)
		}
		b.expect(map[string]string{"x/": "", "x/edited": "by hand", "y/": "", "y/other": "y", "z": "z"})
		if err := os.Remove(filepath.Join(b.root, "y/other")); err != nil {
			t.Fatal(err)
		}
		if r := b.place(Placement{Declared: []string{}}); !slices.Equal(r.Removed, []string{"z"}) {
			t.Errorf("report %+v", r)
		}
	})
}

func TestNothingLeavesAnUnknownConfiguration(t *testing.T) {
	b := newBench(t, openLocal)
	b.place(Placement{Outputs: []action.Output{b.out("a", "a")}, Declared: []string{"a"}})
	if r := b.place(Placement{Outputs: []action.Output{b.out("b", "b")}}); len(r.Removed) != 0 {
		t.Errorf("report %+v", r)
	}
	b.expect(map[string]string{"a": "a", "b": "b"})
}

func TestFilesAndDirectoriesChangePlaces(t *testing.T) {
	b := newBench(t, openLocal)
	asDir := []action.Output{b.dir("out", map[string]string{"a/b": "b", "e/": ""})}
	asFile := []action.Output{b.out("out", "file")}
	for range 2 {
		b.place(Placement{Outputs: asDir, Declared: []string{"out"}})
		b.expect(map[string]string{"out/": "", "out/a/": "", "out/a/b": "b", "out/e/": ""})
		b.place(Placement{Outputs: asFile, Declared: []string{"out"}})
		b.expect(map[string]string{"out": "file"})
	}
}

func TestBlockedPaths(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		outside := t.TempDir()
		b := newBench(t, open)
		b.write("f/mine", "mine")
		b.write("d", "mine")
		for link, target := range map[string]string{"away": outside, "side": "f"} {
			if err := os.Symlink(target, filepath.Join(b.root, link)); err != nil {
				t.Fatal(err)
			}
		}
		before := b.lies()
		for _, o := range []action.Output{b.out("f", "x"), b.out("d/x", "x"), b.out("away/x", "x"), b.out("side/x", "x"), b.dir("away", map[string]string{"x": "x"}), b.dir("d", nil)} {
			_, err := b.Place(t.Context(), Placement{Outputs: []action.Output{b.out("fine", "x"), o}, Declared: []string{"fine", o.Path}})
			if !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), b.root) || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("%s: %v", o.Path, err)
			}
		}
		b.expect(before)
		if got, _ := os.ReadDir(outside); len(got) != 0 {
			t.Errorf("outside now holds %v", got)
		}
		// A link where a file goes is replaced, not followed.
		b.place(Placement{Outputs: []action.Output{b.out("away", "x")}, Declared: []string{"away"}})
		if got := b.lies()["away"]; got != "x" {
			t.Errorf("away is %q", got)
		}
	})
}

func TestAttackByAPeersDirectory(t *testing.T) {
	b := newBench(t, openLocal)
	for _, name := range []string{"..", "../x", "a/b", ".", "", ".git", ".buildnet", tempPrefix + "1.a.1", "a\nb"} {
		evil := b.rawDir(name)
		if _, err := b.Place(t.Context(), Placement{Outputs: []action.Output{evil}}); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
		if b.inPlace(evil)[0] {
			t.Errorf("name %q is in place", name)
		}
	}
	for _, p := range []string{"../x", ".git/hooks/x", "a/.buildnet/config.yaml", "/etc/x", ""} {
		if _, err := b.Place(t.Context(), Placement{Outputs: []action.Output{b.out(p, "x")}}); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("path %q: %v", p, err)
		}
	}
	b.expect(map[string]string{})
}

func TestPlaceWithoutTheBlobs(t *testing.T) {
	b := newBench(t, openLocal)
	gone := action.Output{Path: "f", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("gone"))}
	dir := action.Output{Path: "d", Kind: action.Directory, Digest: gone.Digest}
	for _, o := range []action.Output{gone, dir} {
		if _, err := b.Place(t.Context(), Placement{Outputs: []action.Output{o}}); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), o.Path) {
			t.Errorf("%s: %v", o.Path, err)
		}
		if b.inPlace(o)[0] {
			t.Errorf("%s is in place", o.Path)
		}
	}
	b.expect(map[string]string{})
}

// sealedOff are files that the user may not read.
type sealedOff struct{ Files }

func (sealedOff) Open(_ context.Context, path string) (Source, error) {
	return nil, fmt.Errorf("open %s: %w", path, fs.ErrPermission)
}

func TestASourceThatMayNotBeReadSaysWhatToDo(t *testing.T) {
	b := newBench(t, openLocal)
	b.write("a", "x")
	s := b.scan()
	tree, err := Open(sealedOff{b.files}, b.kv, b.blobs, b.opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.Ingest(t.Context(), s, []string{"a"}, func(...digest.Digest) {})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "make it readable") {
		t.Errorf("error %v", err)
	}
}

// rotten is a store whose disk has changed the bytes.
type rotten struct{ store.Blobs }

func (r rotten) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	return r.Blobs.Open(ctx, digest.Of(digest.BLAKE3, bytes.Repeat([]byte("x"), int(d.Size()))))
}

func TestDamagedBlobsAreNotPlaced(t *testing.T) {
	b := newBench(t, openLocal)
	o := b.out("f", "good")
	if _, err := store.AddBytes(t.Context(), b.blobs, []byte("xxxx")); err != nil {
		t.Fatal(err)
	}
	tree, err := Open(b.files, b.kv, rotten{b.blobs}, b.opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.Place(t.Context(), Placement{Outputs: []action.Output{o}})
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "build again") {
		t.Errorf("error %v", err)
	}
	b.expect(map[string]string{})
}

func TestAPlaceThatFailedHalfwayIsFinishedByTheNext(t *testing.T) {
	b := newBench(t, openLocal)
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprint("f", i)] = "old"
	}
	b.place(Placement{Outputs: []action.Output{b.dir("dist", files)}, Declared: []string{"dist"}})
	for name := range files {
		files[name] = "new"
	}
	b.files.create = func(path string) error {
		if path == "dist/f7" {
			return fmt.Errorf("write %s: %w", path, fs.ErrPermission)
		}
		return nil
	}
	b.opts.Parallel = 1
	b.reopen()
	_, err := b.Place(t.Context(), Placement{Outputs: []action.Output{b.dir("dist", files)}, Declared: []string{"dist"}})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "make the directory writable") {
		t.Errorf("error %v", err)
	}
	for p, content := range b.lies() {
		if content != "" && content != "old" && content != "new" {
			t.Errorf("%s is half written: %q", p, content)
		}
	}
	b.files.create = nil
	b.reopen()
	// Whatever of the two is there now, a build made it: all of it goes.
	r := b.place(Placement{Outputs: []action.Output{b.dir("dist", map[string]string{"g": "g"})}, Declared: []string{"dist"}})
	if len(r.Modified) != 0 || len(r.Foreign) != 0 || len(r.Removed) != 20 {
		t.Errorf("report %+v", r)
	}
	b.expect(map[string]string{"dist/": "", "dist/g": "g"})
}

func TestACancelledPlaceLeavesNothingHalfWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		b.files.create = func(string) error { cancel(); return nil }
		big := b.out("big", strings.Repeat("x", 4*chunk))
		if _, err := b.Place(ctx, Placement{Outputs: []action.Output{big}}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		b.expect(map[string]string{})
	})
}

func TestPlacedFilesAreTrustedAtOnceAndEditsOfTheMomentSeen(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		for i := range 20 {
			o := b.out("f", fmt.Sprintf("%03d", i))
			b.place(Placement{Outputs: []action.Output{o}})
			b.files.opened.Store(0)
			if !b.inPlace(o)[0] || b.files.opened.Load() != 0 {
				t.Fatal("a file that was just placed had to be read")
			}
			f, err := os.OpenFile(filepath.Join(b.root, "f"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("xyz"); err != nil {
				t.Fatal(err)
			}
			f.Close()
			if b.inPlace(o)[0] {
				t.Fatal("an edit right after the placing was missed")
			}
		}
	})
}

func TestAnEditBackToAnEarlierOutputIsAnEdit(t *testing.T) {
	b := newBench(t, openLocal)
	first, second := b.out("o", "first"), b.out("o", "second")
	b.place(Placement{Outputs: []action.Output{first}, Declared: []string{"o"}})
	b.write("o", "second")
	b.place(Placement{Outputs: []action.Output{second}, Declared: []string{"o"}})
	b.write("o", "first")
	if r := b.place(Placement{Declared: []string{}}); !slices.Equal(r.Modified, []string{"o"}) {
		t.Errorf("report %+v", r)
	}
}
