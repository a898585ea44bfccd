package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lock takes the directory for this process. The lock file is empty; who holds
// it is written beside it.
func lock(fs vfs.FS, dir string) (func(), error) {
	holder := filepath.Join(dir, "holder")
	held, err := fs.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		if pid, ok := readSmall(fs, holder); ok {
			return nil, fmt.Errorf("%w: process %s holds it; stop that node with `buildnet node down`, or choose another --home", ErrLocked, pid)
		}
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	f, err := fs.Create(holder, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d", os.Getpid())
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		_ = held.Close()
		return nil, fmt.Errorf("name the holder: %w", full(err))
	}
	return func() { _ = held.Close() }, nil
}

func readSmall(fs vfs.FS, path string) (string, bool) {
	f, err := fs.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	var b [32]byte
	n, _ := f.Read(b[:])
	return strings.TrimSpace(string(b[:n])), n > 0
}
