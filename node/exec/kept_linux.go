package exec

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// lasting says what can be kept of directories on a file system.
type lasting struct {
	// exact says that each change gives a directory another time of change, however
	// soon it comes after one that was looked at: with the multigrain timestamps of
	// Linux 6.13. A coarse clock ticks once in as long as a small action takes.
	exact bool
	// unordered says that the order in which a directory is read does not come of
	// what was in it before, or of when its entries were made.
	unordered bool
	// size is that of an empty directory.
	size int64
}

// reviewed are the file systems whose every way to change a directory is known to
// give it another time of change: entries, mode, owner, attributes, lists of rights
// and flags.
var reviewed = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC}

// tries are the changes in a row that must all have times of their own.
const tries = 32

// tryLasting finds out by trying, in a directory of its own.
func tryLasting(dir string) (lasting, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || !slices.Contains(reviewed, int64(fs.Type)) { //nolint:unconvert // the type differs by architecture
		return lasting{}, err
	}
	at := filepath.Join(dir, "lasting")
	defer func() { _ = removeAll(at) }()
	if err := os.Mkdir(at, 0o755); err != nil {
		return lasting{}, err
	}
	if folds(at) { // what is known of a name says nothing of its other spellings
		return lasting{}, nil
	}
	l := lasting{exact: true, size: look(at).size}
	for i := range tries {
		before := look(at)
		if err := os.Chmod(at, os.FileMode(0o755-i%2)); err != nil {
			return lasting{}, err
		}
		l.exact = l.exact && look(at).ctime != before.ctime
	}
	var err error
	l.unordered, err = unordered(at)
	return l, err
}

// unordered reports whether two directories whose entries were made in different
// orders are read in the same one.
func unordered(dir string) (bool, error) {
	const entries = 16
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, d := range []string{a, b} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return false, err
		}
	}
	for i := range entries {
		if err := os.Symlink("x", filepath.Join(a, strconv.Itoa(i))); err != nil {
			return false, err
		}
		if err := os.Symlink("x", filepath.Join(b, strconv.Itoa(entries-1-i))); err != nil {
			return false, err
		}
	}
	first, err := names(a)
	if err != nil {
		return false, err
	}
	second, err := names(b)
	return slices.Equal(first, second), err
}

// sized reports whether a directory is as large as one that is empty.
func (s stamp) sized(empty int64) bool { return s.size == empty }
