package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener opens the files of a root for one test.
type opener func(t *testing.T, root string) Files

func openLocal(t *testing.T, root string) Files {
	files, err := Local(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}

// openRemote serves the root over a stream.
func openRemote(t *testing.T, root string) Files {
	here, there := socketPair(t)
	served := make(chan error, 1)
	local := openLocal(t, root)
	go func() { served <- Serve(context.Background(), there, local) }()
	files, err := Dial(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		files.Close()
		if err := <-served; err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("serve: %v", err)
		}
	})
	return files
}

func socketPair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// onBoth runs a test over the process' own file system and over a stream.
func onBoth(t *testing.T, f func(t *testing.T, open opener)) {
	t.Run("local", func(t *testing.T) { f(t, openLocal) })
	t.Run("remote", func(t *testing.T) { f(t, openRemote) })
}

func write(t *testing.T, root, path, content string) {
	t.Helper()
	p := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readSource(t *testing.T, files Files, path string) (string, Stat, Stat) {
	t.Helper()
	f, err := files.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	after, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(b), f.Stat(), after
}

func TestFilesReadAndWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		root := t.TempDir()
		files := open(t, root)
		if files.Root() != root {
			t.Errorf("root %q, want %q", files.Root(), root)
		}
		if err := files.Mkdir(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
			content := strings.Repeat("x", size)
			temp, err := files.Create(t.Context(), "a/b/f", Exec)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(temp, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			s, err := temp.Commit()
			if err != nil {
				t.Fatal(err)
			}
			temp.Abort()
			got, before, after := readSource(t, files, "a/b/f")
			if got != content || before != after || before != s || s.Size != int64(size) || !s.Executable {
				t.Errorf("size %d: read %d bytes, committed %+v, before %+v, after %+v", size, len(got), s, before, after)
			}
		}
		s, err := files.Chmod(t.Context(), "a/b/f", Plain)
		if err != nil || s.Executable {
			t.Errorf("chmod: %+v, %v", s, err)
		}
		if s, err = files.Link(t.Context(), "a/l", "b/f"); err != nil || s.Kind != Symlink || s.Target != "b/f" {
			t.Errorf("link: %+v, %v", s, err)
		}
		entries, err := files.List(t.Context(), "a")
		if err != nil || len(entries) != 2 || entries[0].Name != "b" || entries[0].Kind != Directory || entries[1].Target != "b/f" {
			t.Errorf("list: %+v, %v", entries, err)
		}
		stats, err := files.Stat(t.Context(), []string{"a/l", "", "none", "a/b/f/x", "a/b/f"})
		if err != nil || !slices.Equal(kinds(stats), []Kind{Symlink, Directory, Absent, Absent, Regular}) {
			t.Errorf("stat: %+v, %v", stats, err)
		}
		if err := files.Remove(t.Context(), "a/b"); err == nil {
			t.Error("removed a directory with a file in it")
		}
		if err := files.Remove(t.Context(), "a/l"); err != nil {
			t.Error(err)
		}
	})
}

func kinds(stats []Stat) []Kind {
	var all []Kind
	for _, s := range stats {
		all = append(all, s.Kind)
	}
	return all
}

func TestFilesStayInside(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		outside, root := t.TempDir(), t.TempDir()
		write(t, outside, "secret", "s")
		write(t, root, "in/f", "f")
		write(t, root, ".buildnet/config.yaml", "version: 1")
		for link, target := range map[string]string{"out": outside, "up": "../" + filepath.Base(outside), "side": "in", "secret": filepath.Join(outside, "secret")} {
			if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
				t.Fatal(err)
			}
		}
		files := open(t, root)
		for _, dir := range []string{"out", "up", "side"} {
			if err := files.Mkdir(t.Context(), dir+"/sub"); !errors.Is(err, ErrBlocked) {
				t.Errorf("mkdir below %s: %v", dir, err)
			}
			if err := put(t.Context(), files, dir+"/new"); !errors.Is(err, ErrBlocked) {
				t.Errorf("create below %s: %v", dir, err)
			}
			if _, err := files.Link(t.Context(), dir+"/new", "x"); !errors.Is(err, ErrBlocked) {
				t.Errorf("link below %s: %v", dir, err)
			}
			if err := files.Remove(t.Context(), dir+"/secret"); err == nil {
				t.Errorf("removed through %s", dir)
			}
			stats, err := files.Stat(t.Context(), []string{dir + "/secret", dir + "/f"})
			if err != nil || stats[0].Kind != Absent || stats[1].Kind != Absent {
				t.Errorf("stat through %s: %v %v", dir, stats, err)
			}
		}
		for _, p := range []string{"secret", "out/secret", "../x", "/etc/passwd"} {
			if _, err := files.Open(t.Context(), p); err == nil {
				t.Errorf("opened %s", p)
			}
		}
		for _, p := range []string{".git/hooks/pre-commit", "in/.git", ".buildnet/config.yaml", "../x", "/x", ""} {
			if err := put(t.Context(), files, p); err == nil {
				t.Errorf("wrote %q", p)
			}
			if err := files.Mkdir(t.Context(), p); err == nil {
				t.Errorf("made directory %q", p)
			}
		}
		if got, _ := os.ReadDir(outside); len(got) != 1 {
			t.Errorf("outside now holds %v", got)
		}
	})
}

func put(ctx context.Context, files Files, path string) error {
	temp, err := files.Create(ctx, path, Plain)
	if err != nil {
		return err
	}
	defer temp.Abort()
	if _, err := temp.Write([]byte("x")); err != nil {
		return err
	}
	_, err = temp.Commit()
	return err
}

func TestLeftoversOfADeadProcessGo(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		root := t.TempDir()
		dead := tempPrefix + "999999999.abc.1"
		old := tempPrefix + fmt.Sprint(os.Getpid()) + ".othertoken.1"
		mine := tempName()
		parent := tempPrefix + fmt.Sprint(os.Getppid()) + ".abc.1"
		for _, name := range []string{dead, old, mine, parent, "kept"} {
			write(t, root, "d/"+name, "x")
		}
		entries, err := open(t, root).List(t.Context(), "d")
		if err != nil || len(entries) != 1 || entries[0].Name != "kept" {
			t.Errorf("list: %v, %v", entries, err)
		}
		for name, want := range map[string]bool{dead: false, old: false, mine: true, parent: true, "kept": true} {
			if _, err := os.Lstat(filepath.Join(root, "d", name)); (err == nil) != want {
				t.Errorf("%s is there: %v, want %v", name, err == nil, want)
			}
		}
	})
}

func TestAbandonedByAge(t *testing.T) {
	name := tempPrefix + fmt.Sprint(os.Getppid()) + ".abc.1"
	now := time.Unix(1e9, 0)
	if abandoned(name, now.Add(-tempAge), now) || !abandoned(name, now.Add(-tempAge-1), now) {
		t.Error("the age of a temporary file is not what decides")
	}
	for _, odd := range []string{tempPrefix + "x.y.z", tempPrefix + "1", tempPrefix + "-1.a.b"} {
		if abandoned(odd, time.Time{}, now) {
			t.Errorf("%s is not ours to remove", odd)
		}
	}
}

func TestListOfManyEntriesComesInPages(t *testing.T) {
	root := t.TempDir()
	long := strings.Repeat("n", 200)
	const n = 4000
	for i := range n {
		if err := os.Symlink(strings.Repeat("t", 1000), filepath.Join(root, fmt.Sprint(long, i))); err != nil {
			t.Fatal(err)
		}
	}
	want, err := openLocal(t, root).List(t.Context(), "")
	if err != nil || len(want) != n {
		t.Fatalf("%d entries, %v", len(want), err)
	}
	got, err := openRemote(t, root).List(t.Context(), "")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d entries, %v; want %d", len(got), err, n)
	}
}

func TestHooks(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		root := t.TempDir()
		write(t, root, "pkg/f", "x")
		files := open(t, root)
		r, err := files.RunHook(t.Context(), Hook{Command: `pwd; echo "$GREETING" >&2; false; echo not here`, Dir: "pkg", Env: []string{"GREETING=hello"}})
		if err != nil || r.ExitCode != 1 || r.Output != filepath.Join(root, "pkg")+"\nhello\n" {
			t.Errorf("%+v, %v", r, err)
		}
		r, err = files.RunHook(t.Context(), Hook{Command: "head -c 2000000 /dev/zero"})
		if err != nil || len(r.Output) != MaxHookOutput || r.Lost != 2000000-MaxHookOutput {
			t.Errorf("%d bytes, %d lost, %v", len(r.Output), r.Lost, err)
		}
		if _, err := files.RunHook(t.Context(), Hook{Command: "true", Dir: "none"}); err == nil {
			t.Error("a hook ran in no directory")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for ctx.Err() == nil {
				if _, err := os.Stat(filepath.Join(root, "started")); err == nil {
					cancel()
				}
			}
		}()
		if _, err := files.RunHook(ctx, Hook{Command: "touch started; sleep 60"}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		cancel()
	})
}

func TestServerRemovesWhatADeadNodeWasWriting(t *testing.T) {
	root := t.TempDir()
	here, there := socketPair(t)
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), there, openLocal(t, root)) }()
	files, err := Dial(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	temp, err := files.Create(t.Context(), "f", Plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := temp.Write(bytes.Repeat([]byte("x"), 3*chunk)); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadDir(root); len(got) != 1 {
		t.Fatalf("while writing: %v", got)
	}
	files.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadDir(root); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestCallsEndWithTheStream(t *testing.T) {
	here, there := socketPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, there, openLocal(t, t.TempDir())) }()
	files, err := Dial(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("serve: %v", err)
	}
	if _, err := files.List(t.Context(), ""); err == nil {
		t.Error("a call on a dead stream came back")
	}
}
