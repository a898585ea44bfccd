package worktree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// counting counts what is read into the store.
type counting struct {
	*memory.Store
	adds int
}

func (c *counting) Add(ctx context.Context, fn digest.Function, r io.Reader) (digest.Digest, error) {
	c.adds++
	return c.Store.Add(ctx, fn, r)
}

type machine struct {
	*worktree.Machine
	blobs *counting
	kv    *memory.KV
	dir   string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{blobs: &counting{Store: memory.New(1 << 20)}, kv: &memory.KV{}, dir: dir}
	m.open(t)
	return m
}

func (m *machine) open(t *testing.T) {
	t.Helper()
	var err error
	if m.Machine, err = worktree.OpenMachine(m.kv, m.blobs, worktree.Options{Parallel: 1}); err != nil {
		t.Fatal(err)
	}
	closing := m.Machine
	t.Cleanup(func() { _ = closing.Close() })
}

// write makes a file that was written a while ago.
func (m *machine) write(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(m.dir, name)
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func (m *machine) ingest(t *testing.T, paths ...string) []action.Output {
	t.Helper()
	outs, err := m.Ingest(t.Context(), paths, func(...digest.Digest) {})
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

func TestFilesOfTheMachineAreReadOnce(t *testing.T) {
	m := newMachine(t)
	a, b := m.write(t, "a", "1"), m.write(t, "b", "2")
	if err := os.Chmod(b, 0o755); err != nil {
		t.Fatal(err)
	}
	outs := m.ingest(t, a, b)
	if outs[0].Path != a[1:] || outs[0].Executable || !outs[1].Executable || outs[1].Digest != digest.Of(digest.BLAKE3, []byte("2")) {
		t.Errorf("%+v", outs)
	}
	settled(t, m, a, b)
	before := m.blobs.adds
	m.ingest(t, b, a)
	if m.blobs.adds != before {
		t.Error("a file that has not changed is read again")
	}
	m.blobs.Drop(outs[0].Digest)
	m.ingest(t, a)
	if m.blobs.adds != before+1 {
		t.Error("a file that the store has lost is not read again")
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	m.ingest(t, a, b)
	if m.blobs.adds != before+1 {
		t.Error("what was remembered is read again by the next process")
	}
}

// settled reads files until their changes are so long ago that their stat tells
// the next one.
func settled(t *testing.T, m *machine, paths ...string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		before := m.blobs.adds
		m.ingest(t, paths...)
		if m.blobs.adds == before {
			return
		}
	}
	t.Fatal("files are read again and again")
}

func TestFilesOfTheMachineThatChange(t *testing.T) {
	m := newMachine(t)
	a, b, c := m.write(t, "a", "1"), m.write(t, "b", "2"), m.write(t, "c", "3")
	outs := m.ingest(t, a, b, c)
	if changed, err := m.Changed(t.Context(), outs); err != nil || len(changed) > 0 {
		t.Errorf("changed: %v, %v", changed, err)
	}
	m.write(t, "b", "5") // as long as before, and within one tick of the clock
	if err := os.Remove(c); err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Changed(t.Context(), outs); err != nil || !slices.Equal(changed, []string{b, c}) {
		t.Errorf("changed: %v, %v", changed, err)
	}
	if got := m.ingest(t, b)[0].Digest; got != digest.Of(digest.BLAKE3, []byte("5")) {
		t.Error("a changed file is not read again")
	}
	if changed, err := m.Changed(t.Context(), outs[:2]); err != nil || !slices.Equal(changed, []string{b}) {
		t.Errorf("read again it is not what it was: %v, %v", changed, err)
	}
	for _, p := range []string{c, m.dir} {
		if _, err := m.Ingest(t.Context(), []string{p}, func(...digest.Digest) {}); err == nil {
			t.Errorf("%s is read", p)
		}
	}
}

func TestPlacesOnTheMachine(t *testing.T) {
	m := newMachine(t)
	d, err := store.AddBytes(t.Context(), m.blobs, []byte("made"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(m.dir, filepath.Join(m.dir, "l")); err != nil {
		t.Fatal(err)
	}
	old := m.write(t, "x", "old")
	open, err := os.Open(old)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	outs := []action.Output{{Path: old[1:], Kind: action.File, Digest: d}, {Path: m.dir[1:] + "/l/y", Kind: action.File, Digest: d, Executable: true}}
	if err := m.Place(t.Context(), outs, nil); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"x": 0, "y": 0o100} {
		p := filepath.Join(m.dir, name)
		content, err := os.ReadFile(p)
		info, err2 := os.Lstat(p)
		if errors.Join(err, err2) != nil || string(content) != "made" || info.Mode()&0o100 != mode {
			t.Errorf("%s: %q, %v, %v", name, content, info, err)
		}
	}
	if was, _ := io.ReadAll(open); string(was) != "old" {
		t.Errorf("who has the old file open reads %q", was)
	}
	lost := digest.Of(digest.BLAKE3, []byte("lost"))
	for name, o := range map[string]action.Output{
		"LostBlob":    {Path: old[1:], Kind: action.File, Digest: lost},
		"NoDirectory": {Path: m.dir[1:] + "/nowhere/x", Kind: action.File, Digest: d},
		"Link":        {Path: m.dir[1:] + "/z", Kind: action.Symlink, Target: "/"},
		"OnADir":      {Path: m.dir[1:], Kind: action.File, Digest: d},
	} {
		if err := m.Place(t.Context(), []action.Output{o}, nil); err == nil {
			t.Errorf("%s: placed", name)
		}
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestPermissionsOnTheMachine(t *testing.T) {
	m := newMachine(t)
	d, err := store.AddBytes(t.Context(), m.blobs, []byte("made"))
	if err != nil {
		t.Fatal(err)
	}
	outs := []action.Output{{Path: m.dir[1:] + "/x", Kind: action.File, Digest: d}, {Path: m.dir[1:] + "/y", Kind: action.File, Digest: d, Executable: true}}
	for _, umask := range []fs.FileMode{0, 0o002, 0o022, 0o027, 0o077} {
		if err := m.Place(t.Context(), outs, &umask); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{"x": 0o666 &^ umask, "y": 0o777 &^ umask} {
			if info, err := os.Stat(filepath.Join(m.dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: %s: %v, %v; want %v", umask, name, info.Mode(), err, want)
			}
		}
	}
}

// All are whole before the first one is in its place, so that none is when one of
// them cannot be had.
func TestAllOrNothingIsPlaced(t *testing.T) {
	m := newMachine(t)
	d, err := store.AddBytes(t.Context(), m.blobs, []byte("made"))
	if err != nil {
		t.Fatal(err)
	}
	lost := action.Output{Path: m.dir[1:] + "/lost", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("lost"))}
	if err := m.Place(t.Context(), []action.Output{{Path: m.dir[1:] + "/x", Kind: action.File, Digest: d}, lost}, nil); err == nil {
		t.Error("placed")
	}
	if entries, err := os.ReadDir(m.dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What a process that died has left is removed by the next one that writes there.
func TestWhatDeadWritersLeaveIsSwept(t *testing.T) {
	m := newMachine(t)
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	left := m.write(t, fmt.Sprintf(".buildnet-tmp.%d.abcdefabcdef.1", ended.Process.Pid), "half")
	kept := m.write(t, fmt.Sprintf(".buildnet-tmp.%d.abcdefabcdef.1", os.Getppid()), "half")
	d, err := store.AddBytes(t.Context(), m.blobs, []byte("made"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Place(t.Context(), []action.Output{{Path: m.dir[1:] + "/x", Kind: action.File, Digest: d}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a dead process left: %v", err)
	}
	if _, err := os.Lstat(kept); err != nil {
		t.Errorf("what another process writes: %v", err)
	}
}
