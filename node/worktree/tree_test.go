package worktree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// bench is a tree with its store, as one node has it over many builds.
type bench struct {
	t     testing.TB
	root  string
	files *counting
	kv    *memory.KV
	blobs *memory.Store
	opts  Options
	*Tree
}

// counting counts the files that are opened, and may meddle.
type counting struct {
	Files
	opened atomic.Int64
	listed atomic.Int64
	stat   func(Stat) Stat
	closed func(path string, s Stat) Stat
	create func(path string) error
	list   func(dir string) error
}

func (c *counting) see(s Stat) Stat {
	if c.stat != nil && s.Kind == Regular {
		return c.stat(s)
	}
	return s
}

func (c *counting) List(ctx context.Context, dir string) ([]Entry, error) {
	c.listed.Add(1)
	if c.list != nil {
		if err := c.list(dir); err != nil {
			return nil, err
		}
	}
	entries, err := c.Files.List(ctx, dir)
	for i := range entries {
		entries[i].Stat = c.see(entries[i].Stat)
	}
	return entries, err
}

func (c *counting) Stat(ctx context.Context, paths []string) ([]Stat, error) {
	stats, err := c.Files.Stat(ctx, paths)
	for i := range stats {
		stats[i] = c.see(stats[i])
	}
	return stats, err
}

func (c *counting) Open(ctx context.Context, path string) (Source, error) {
	c.opened.Add(1)
	f, err := c.Files.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return countingSource{f, c, path}, nil
}

func (c *counting) Create(ctx context.Context, path string, mode Mode) (Temp, error) {
	if c.create != nil {
		if err := c.create(path); err != nil {
			return nil, err
		}
	}
	return c.Files.Create(ctx, path, mode)
}

type countingSource struct {
	Source
	c    *counting
	path string
}

func (s countingSource) Stat() Stat { return s.c.see(s.Source.Stat()) }

func (s countingSource) Close() (Stat, error) {
	stat, err := s.Source.Close()
	if s.c.closed != nil {
		stat = s.c.closed(s.path, stat)
	}
	return s.c.see(stat), err
}

func newBench(t *testing.T, open opener) *bench {
	root := t.TempDir()
	b := &bench{t: t, root: root, kv: &memory.KV{}, blobs: memory.New(1 << 30)}
	b.files = &counting{Files: open(t, root)}
	b.reopen()
	return b
}

// reopen is the next build, of the next process perhaps.
func (b *bench) reopen() {
	b.t.Helper()
	tree, err := Open(b.files, b.kv, b.blobs, b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, ok := b.files.Files.(*local); ok {
		tree.watcher = b.opts.Watcher
	}
	b.Tree = tree
}

func (b *bench) write(path, content string) {
	b.t.Helper()
	p := filepath.Join(b.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// age makes the files look as if nobody had touched them for long, so that
// their stats are to be trusted. ctime cannot be set back: so time goes on.
func (b *bench) age() {
	b.t.Helper()
	deadline := time.NewTimer(2 * granularity)
	defer deadline.Stop()
	<-deadline.C
}

func (b *bench) scan() *Snapshot {
	b.t.Helper()
	s, err := b.Scan(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) ingest(s *Snapshot, paths ...string) map[string]action.Output {
	b.t.Helper()
	outs, err := b.Ingest(b.t.Context(), s, paths, b.blobs.Lease().Hold)
	if err != nil {
		b.t.Fatal(err)
	}
	return outs
}

// out puts content into the store as the output at path.
func (b *bench) out(path, content string) action.Output {
	b.t.Helper()
	d, err := store.AddBytes(b.t.Context(), b.blobs, []byte(content))
	if err != nil {
		b.t.Fatal(err)
	}
	return action.Output{Path: path, Kind: action.File, Digest: d}
}

// dir puts files into the store as the output directory at path. A name that
// ends in "/" is an empty directory, a content that begins with "->" a link.
func (b *bench) dir(path string, files map[string]string) action.Output {
	b.t.Helper()
	tree := action.NewTree(nil, digest.Digest{})
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name[len(name)-1] == '/' {
			if err := tree.Mkdir(b.t.Context(), name[:len(name)-1]); err != nil {
				b.t.Fatal(err)
			}
			continue
		}
		o := b.out(name, files[name])
		if len(files[name]) > 2 && files[name][:2] == "->" {
			o = action.Output{Path: name, Kind: action.Symlink, Target: files[name][2:]}
		}
		if err := tree.Put(b.t.Context(), o); err != nil {
			b.t.Fatal(err)
		}
	}
	root, blobs, err := tree.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, blob := range blobs {
		if _, err := store.AddBytes(b.t.Context(), b.blobs, blob.Content); err != nil {
			b.t.Fatal(err)
		}
	}
	return action.Output{Path: path, Kind: action.Directory, Digest: root}
}

func (b *bench) place(p Placement) PlaceReport {
	b.t.Helper()
	report, err := b.Place(b.t.Context(), p)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

// lies returns what lies in the tree: paths with their content.
func (b *bench) lies() map[string]string {
	b.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(b.root, func(p string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(b.root, p)
		switch {
		case err != nil || rel == ".":
			return err
		case d.IsDir():
			found[rel+"/"] = ""
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(p)
			found[rel] = "->" + target
			return err
		default:
			content, err := os.ReadFile(p)
			found[rel] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func (b *bench) expect(want map[string]string) {
	b.t.Helper()
	if got := b.lies(); !maps.Equal(got, want) {
		b.t.Errorf("the tree holds %q, want %q", got, want)
	}
}

func TestScanSeesFilesAndLinks(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		for _, p := range []string{"z", "a/b/c", "a/.git/x", ".git/HEAD", ".buildnet/config.yaml", ".gitignore", "new\nline"} {
			b.write(p, "x")
		}
		ignored := []string{"new\nline"}
		if runtime.GOOS == "linux" { // others refuse the name
			b.write("latin\xe9", "x")
			ignored = []string{`latin\xe9`, "new\nline"}
		}
		if err := os.Symlink("a", filepath.Join(b.root, "link")); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(b.root, "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s := b.scan()
		want := []File{{Path: ".gitignore"}, {Path: "a/b/c"}, {Path: "link", Link: "a"}, {Path: "z"}}
		if got := s.Files(); !slices.Equal(got, want) {
			t.Errorf("files %v, want %v", got, want)
		}
		if got := s.Ignored(); !slices.Equal(got, ignored) {
			t.Errorf("ignored %q", got)
		}
		if c, err := b.ReadFile(t.Context(), ".buildnet/config.yaml", 10); err != nil || string(c) != "x" {
			t.Errorf("config %q, %v", c, err)
		}
		if _, err := b.ReadFile(t.Context(), ".buildnet/config.json", 10); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no config: %v", err)
		}
		b.write("long", "0123456789x")
		if _, err := b.ReadFile(t.Context(), "long", 10); err == nil {
			t.Error("read more than the limit")
		}
	})
}

func TestDirectoriesThatCannotBeRead(t *testing.T) {
	b := newBench(t, openLocal)
	b.write("open/f", "x")
	b.write("shut/f", "x")
	b.write("gone/f", "x")
	b.files.list = func(dir string) error {
		return map[string]error{"shut": os.ErrPermission, "gone": os.ErrNotExist}[dir]
	}
	s := b.scan()
	if got := s.Files(); !slices.Equal(got, []File{{Path: "open/f"}}) || !slices.Equal(s.Ignored(), []string{"shut"}) {
		t.Errorf("files %v, ignored %v", got, s.Ignored())
	}
	b.files.list = func(string) error { return os.ErrPermission }
	if _, err := b.Scan(t.Context()); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the root cannot be read: %v", err)
	}
	b.files.list = func(string) error { return errors.New("disk broken") }
	if _, err := b.Scan(t.Context()); err == nil || !strings.Contains(err.Error(), b.root) {
		t.Errorf("a broken disk: %v", err)
	}
}

func TestIngestReadsOnlyWhatChanged(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		b.write("a", "one")
		b.write("b", "two")
		if err := os.Chmod(filepath.Join(b.root, "b"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("a", filepath.Join(b.root, "l")); err != nil {
			t.Fatal(err)
		}
		b.age()
		outs := b.ingest(b.scan(), "a", "b", "l")
		want := map[string]action.Output{
			"a": {Path: "a", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("one"))},
			"b": {Path: "b", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("two")), Executable: true},
			"l": {Path: "l", Kind: action.Symlink, Target: "a"},
		}
		if !maps.Equal(outs, want) {
			t.Errorf("ingested %v, want %v", outs, want)
		}
		if got, err := store.ReadAll(t.Context(), b.blobs, outs["a"].Digest, 100); err != nil || string(got) != "one" {
			t.Errorf("the store has %q, %v", got, err)
		}
		if n := b.files.opened.Swap(0); n != 2 {
			t.Errorf("read %d files, want 2", n)
		}
		b.reopen()
		if got := b.ingest(b.scan(), "a", "b", "l"); !maps.Equal(got, want) || b.files.opened.Swap(0) != 0 {
			t.Errorf("nothing changed: ingested %v", got)
		}
		b.blobs.Drop(outs["a"].Digest)
		if got := b.ingest(b.scan(), "a", "b", "l"); !maps.Equal(got, want) || b.files.opened.Swap(0) != 1 {
			t.Errorf("a blob was lost: ingested %v", got)
		}
		b.write("a", "new")
		if got := b.ingest(b.scan(), "a", "b"); got["a"].Digest != digest.Of(digest.BLAKE3, []byte("new")) || b.files.opened.Swap(0) != 1 {
			t.Errorf("a source changed: ingested %v", got)
		}
		s := b.scan()
		if _, err := b.Ingest(t.Context(), s, []string{"none"}, func(...digest.Digest) {}); err == nil {
			t.Error("ingested a file that is not there")
		}
		if err := os.Remove(filepath.Join(b.root, "a")); err != nil {
			t.Fatal(err)
		}
		b.blobs.Drop(digest.Of(digest.BLAKE3, []byte("new")))
		if _, err := b.Ingest(t.Context(), s, []string{"a"}, func(...digest.Digest) {}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a source that went: %v", err)
		}
	})
}

func TestAFileOfTheMomentIsHashedAgain(t *testing.T) {
	b := newBench(t, openLocal)
	// A clock so coarse that the two writes are of one moment.
	now := time.Now().Add(time.Hour).UnixNano() | 1
	b.files.stat = func(s Stat) Stat { s.ModTime, s.ChangeTime = now, now; return s }
	b.write("f", "aaa")
	b.ingest(b.scan(), "f")
	b.write("f", "bbb")
	if got := b.ingest(b.scan(), "f")["f"].Digest; got != digest.Of(digest.BLAKE3, []byte("bbb")) {
		t.Error("an edit within the granularity of the clock was missed")
	}
	now = time.Now().Add(-time.Hour).UnixNano() | 1
	b.ingest(b.scan(), "f")
	b.files.opened.Store(0)
	if b.ingest(b.scan(), "f"); b.files.opened.Load() != 0 {
		t.Error("a file of an hour ago was hashed again")
	}
}

func TestRecordsAreCleanBeyondTheGranularity(t *testing.T) {
	const second = int64(time.Second)
	at := 1000*second + 1
	for name, c := range map[string]struct {
		r    record
		want bool
	}{
		"long ago":                 {record{stat: Stat{ChangeTime: at}, verified: at + int64(granularity) + 1}, true},
		"just now":                 {record{stat: Stat{ChangeTime: at}, verified: at + int64(granularity)}, false},
		"old mtime, new ctime":     {record{stat: Stat{ModTime: 1, ChangeTime: at}, verified: at + 1}, false},
		"placed":                   {record{stat: Stat{ModTime: at - int64(settle), ChangeTime: at}, verified: at + 1, placed: true}, true},
		"no ctime":                 {record{stat: Stat{ModTime: at}, verified: at + 1}, false},
		"whole seconds":            {record{stat: Stat{ChangeTime: 1000 * second}, verified: 1001 * second}, false},
		"whole seconds, long ago":  {record{stat: Stat{ChangeTime: 1000 * second}, verified: 1003 * second}, true},
		"from the future of a fix": {record{stat: Stat{ChangeTime: at + second}, verified: at}, false},
	} {
		if got := c.r.clean(); got != c.want {
			t.Errorf("%s: clean is %v", name, got)
		}
	}
}

func TestAFileThatChangesWhileItIsRead(t *testing.T) {
	b := newBench(t, openLocal)
	b.write("f", "x")
	times := 0
	b.files.closed = func(_ string, s Stat) Stat {
		if times--; times >= 0 {
			s.ModTime++
		}
		return s
	}
	times = maxAttempts - 1
	if got := b.ingest(b.scan(), "f"); got["f"].Digest.Size() != 1 {
		t.Errorf("ingested %v", got)
	}
	times = maxAttempts
	if _, err := b.Ingest(t.Context(), b.scan(), []string{"f"}, func(...digest.Digest) {}); !errors.Is(err, ErrUnstable) {
		t.Errorf("a file that never rests: %v", err)
	}
}

func TestChangedSince(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		b := newBench(t, open)
		paths := []string{"same", "touched", "edited", "gone", "exec", "link", "tolink", "odd"}
		for _, p := range paths {
			b.write(p, "content")
		}
		if err := os.Remove(filepath.Join(b.root, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("same", filepath.Join(b.root, "link")); err != nil {
			t.Fatal(err)
		}
		s := b.scan()
		b.ingest(s, paths[:7]...)
		if got, err := b.ChangedSince(t.Context(), s, paths[:7]); err != nil || len(got) != 0 {
			t.Errorf("nothing changed, but %v, %v", got, err)
		}
		b.write("touched", "content")
		b.write("edited", "CONTENT")
		err := errors.Join(
			os.Remove(filepath.Join(b.root, "gone")), os.Chmod(filepath.Join(b.root, "exec"), 0o755),
			os.Remove(filepath.Join(b.root, "link")), os.Symlink("edited", filepath.Join(b.root, "link")),
			os.Remove(filepath.Join(b.root, "tolink")), os.Symlink("same", filepath.Join(b.root, "tolink")),
		)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.ChangedSince(t.Context(), s, paths)
		if want := []string{"edited", "exec", "gone", "link", "odd", "tolink"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("changed %v, %v; want %v", got, err, want)
		}
	})
}

func BenchmarkScanRemote(b *testing.B) {
	root := b.TempDir()
	for i := range 2000 {
		p := filepath.Join(root, fmt.Sprintf("d%d/f%d", i/20, i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, nil, 0o644)); err != nil {
			b.Fatal(err)
		}
	}
	local, err := Local(root)
	if err != nil {
		b.Fatal(err)
	}
	defer local.Close()
	here, there := net.Pipe()
	go func() { _ = Serve(b.Context(), there, local) }()
	files, err := Dial(b.Context(), here)
	if err != nil {
		b.Fatal(err)
	}
	defer files.Close()
	for name, f := range map[string]Files{"local": local, "remote": files} {
		tree, err := Open(f, &memory.KV{}, memory.New(1), Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := tree.Scan(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
