//go:build unix

package worktree

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFilesRefusePipesWithoutWaiting(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		root := t.TempDir()
		if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
			t.Fatal(err)
		}
		files := open(t, root)
		if _, err := files.Open(t.Context(), "pipe"); err == nil {
			t.Error("opened a pipe")
		}
		if _, err := files.Open(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of nothing: %v", err)
		}
	})
}
