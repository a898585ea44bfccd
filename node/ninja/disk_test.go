package ninja

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTree covers DiskInterfaceTest. Its cases of a cache of directories are for
// Windows, where ninja has one; there is none here.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	d := tree{dir}
	at := func(path string) string { return filepath.Join(dir, path) }
	if err := d.WriteFile("file", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(at("sub/dir"), 0o700), os.Symlink("file", at("link")), os.Symlink("nowhere", at("broken"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(at("link"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"file": "1", "link": "1", "broken": "0", "nosuchfile": "0", "nosuchdir/file": "0", "file/below": "0", at("file"): "1",
		strings.Repeat("x", 512): "stat(" + strings.Repeat("x", 512) + "): File name too long",
	} {
		got := "0"
		mtime, err := d.Stat(path)
		switch {
		case err != nil:
			got = err.Error()
		case mtime > 0:
			got = "1"
		}
		if got != want {
			t.Errorf("stat of %s: %s (%d), want %s", path, got, mtime, want)
		}
	}
	for _, path := range []string{".", "..", "sub", "sub/dir", "sub/..", "sub/dir/.."} {
		if mtime, err := d.Stat(path); err != nil || mtime <= 1 {
			t.Errorf("stat of %s: %d, %v", path, mtime, err)
		}
	}
	if text, err := d.ReadFile("file"); err != nil || text != "text" {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := d.ReadFile("nosuchfile"); !errors.Is(err, fs.ErrNotExist) || err.Error() != "No such file or directory" {
		t.Errorf("read of no file: %v", err)
	}
}

func TestTreeMakeDirs(t *testing.T) {
	d := tree{t.TempDir()}
	for _, path := range []string{"path/with/double//slash/", "a/b/c", "a/b/d", "here", "./x"} {
		if err := d.MakeDirs(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, there := range map[string]bool{"path/with/double/slash": true, "a/b": true, "a/b/c": false, "here": false, d.dir + "/a": true} {
		if mtime, err := d.Stat(path); err != nil || (mtime > 0) != there {
			t.Errorf("%s: %d, %v", path, mtime, err)
		}
	}
	if err := d.WriteFile("file", nil); err != nil {
		t.Fatal(err)
	}
	if err := d.MakeDirs("file/sub/out"); err == nil || err.Error() != "mkdir(file/sub): Not a directory" {
		t.Errorf("below a file: %v", err)
	}
}

func TestTreeRemove(t *testing.T) {
	d := tree{t.TempDir()}
	if err := errors.Join(d.WriteFile("file", nil), d.WriteFile("read-only", nil), d.MakeDirs("full/sub/x"), d.MakeDirs("empty/x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.at("read-only"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path  string
		there bool
		err   string
	}{
		{path: "file", there: true}, {path: "file"}, {path: "read-only", there: true}, {path: "does not exist"},
		{path: "empty", there: true}, {path: "full", err: "remove(full): Directory not empty"},
	} {
		there, err := d.Remove(tc.path)
		if there != tc.there || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("%s: %v, %v; want %v, %q", tc.path, there, err, tc.there, tc.err)
		}
	}
}

// TestTreeWrites covers how records are written: a header once, additions, a new
// content in one step, a cut.
func TestTreeWrites(t *testing.T) {
	d := tree{t.TempDir()}
	steps := errors.Join(
		d.Append("log", []byte("head;"), []byte("one;")),
		d.Append("log", []byte("head;"), []byte("two;")),
		d.Append("empty", []byte("head;"), nil),
		d.Replace("empty", []byte("new")),
		d.Truncate("log", 9),
	)
	if steps != nil {
		t.Fatal(steps)
	}
	for path, want := range map[string]string{"log": "head;one;", "empty": "new"} {
		if text, err := d.ReadFile(path); err != nil || text != want {
			t.Errorf("%s holds %q, %v; want %q", path, text, err, want)
		}
	}
	for name, err := range map[string]error{
		"WriteFile(no/file): Unable to create file. No such file or directory": d.WriteFile("no/file", nil),
		"No such file or directory": errors.Join(d.Append("no/file", nil, nil)),
	} {
		if err == nil || err.Error() != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if err := d.Replace("no/file", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replace: %v", err)
	}
	if err := d.Truncate("nosuchfile", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("truncate: %v", err)
	}
}

// A pipe is read to its end, and one to which nobody writes is a fault at once.
func TestReadingPipes(t *testing.T) {
	disk := tree{t.TempDir()}
	if err := syscall.Mkfifo(disk.at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := disk.ReadFile("pipe"); err == nil {
		t.Errorf("read %q, and nobody writes", text)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := fmt.Sprintf("/dev/fd/%d", r.Fd())
	go func() {
		for range 3 {
			_, _ = w.WriteString("text ")
			runtime.Gosched()
		}
		w.Close()
	}()
	if text, err := disk.ReadFile(at); text != "text text text " || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}
