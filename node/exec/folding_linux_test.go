package exec

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

func TestAFileSystemFoldsNamesIfADirectoryIsFoundByAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if folds(dir) {
		t.Skip("the temporary directory folds names")
	}
	if err := os.Symlink("made", filepath.Join(filepath.Dir(dir), "MADE")); err != nil {
		t.Fatal(err)
	}
	if !folds(dir) {
		t.Error("a directory that is found by another name as well is said to be told from it")
	}
}

func TestAnEntryThatIsThereUnderAnotherNameIsACollision(t *testing.T) {
	d := &scratchDir{path: t.TempDir(), folds: true}
	if err := os.Mkdir(filepath.Join(d.path, "Name"), 0o755); err != nil {
		t.Fatal(err)
	}
	exists := &os.PathError{Op: "mkdir", Err: syscall.EEXIST}
	err := d.collision(filepath.Join(d.path, "nAME"), exists)
	if !errors.Is(err, ErrUnable) || os.IsExist(err) || !strings.Contains(err.Error(), `"nAME"`) || !strings.Contains(err.Error(), "home") {
		t.Errorf("another spelling: %v", err)
	}
	if err := d.collision(filepath.Join(d.path, "Name"), exists); !os.IsExist(err) {
		t.Errorf("the same: %v", err)
	}
	if err := d.collision(filepath.Join(d.path, "nAME"), syscall.ENOSPC); err != syscall.ENOSPC {
		t.Errorf("another error: %v", err)
	}
	if err := d.collision(filepath.Join(d.path, "nAME"), nil); err != nil {
		t.Errorf("none: %v", err)
	}
	d.folds = false
	if err := d.collision(filepath.Join(d.path, "nAME"), exists); !os.IsExist(err) {
		t.Errorf("names are told apart: %v", err)
	}
}

func TestNothingIsKeptWhereNamesAreFolded(t *testing.T) {
	dir := folding(t)
	if l, err := tryLasting(dir); err != nil || l != (lasting{}) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestInputsWhoseNamesAreFoldedAreRefused(t *testing.T) {
	dir := folding(t)
	blobs := memory.New(1 << 20)
	e, err := New(Options{Dir: dir, Blobs: blobs, Log: slog.New(slog.DiscardHandler), Isolation: action.Reduced})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	put := func(b action.Blob, err error) digest.Digest {
		t.Helper()
		if err == nil {
			_, err = store.AddBytes(t.Context(), blobs, b.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Digest
	}
	empty := action.ReapiDigest(put(action.EncodeBlob(&repb.Directory{})))
	file := action.ReapiDigest(put(action.Blob{Digest: digest.Of(digest.BLAKE3, nil)}, nil))
	lower := []*repb.DirectoryNode{{Name: "name", Digest: empty}}
	for name, c := range map[string]struct {
		root    *repb.Directory
		outputs []string
		refused bool
	}{
		"directories":              {root: &repb.Directory{Directories: append([]*repb.DirectoryNode{{Name: "Name", Digest: empty}}, lower...)}, refused: true},
		"a file and a directory":   {root: &repb.Directory{Files: []*repb.FileNode{{Name: "NAME", Digest: file}}, Directories: lower}, refused: true},
		"files":                    {root: &repb.Directory{Files: []*repb.FileNode{{Name: "NAME", Digest: file}, {Name: "name", Digest: file}}}, refused: true},
		"links":                    {root: &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "NAME", Target: "x"}, {Name: "name", Target: "x"}}}, refused: true},
		"the directory of outputs": {root: &repb.Directory{Directories: lower}, outputs: []string{"Name/out"}, refused: true},
		"one directory of outputs": {root: &repb.Directory{Directories: lower}, outputs: []string{"name/out"}},
	} {
		d, err := e.scratch.make(action.None)
		if err != nil {
			t.Fatal(err)
		}
		j := &job{root: put(action.EncodeBlob(c.root)), outputs: c.outputs}
		if _, err = e.layOut(context.Background(), j, d); errors.Is(err, ErrUnable) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e.discard(d)
	}
}

// folding is a directory in which names that differ in case are one.
func folding(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts file systems")
	}
	base := t.TempDir()
	image, at := filepath.Join(base, "image"), filepath.Join(base, "mounted")
	for _, argv := range [][]string{
		{"mkdir", at},
		{"truncate", "-s", "16M", image},
		{"mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8", image},
		{"mount", "-o", "loop", image, at},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system that folds names here: %v: %s", argv, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	dir := filepath.Join(at, "folding")
	for _, argv := range [][]string{{"mkdir", dir}, {"chattr", "+F", dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", argv, out)
		}
	}
	return dir
}
