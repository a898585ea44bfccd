package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// scratchDirs makes directories for actions below one that is the executor's
// alone.
type scratchDirs struct {
	path string
	next atomic.Uint64
}

func openScratch(path string) (*scratchDirs, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	spread(path)
	s := &scratchDirs{path: path}
	if err := sweep(path); err != nil {
		return nil, err
	}
	if other, err := s.reachable(); err == nil {
		if err := sweep(other); err != nil {
			return nil, err
		}
		_ = os.Remove(other) // made again when it is needed
	}
	return s, nil
}

// sweep removes what a killed node's actions left in a directory.
func sweep(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The processes may still be dying, and a later start tries again.
		if err := removeAll(filepath.Join(path, e.Name())); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("remove leftovers: %w", err)
		}
	}
	return nil
}

// scratchDir is one action's: root is where the sandbox is mounted together,
// work holds the inputs, tmp and home are what their names say.
type scratchDir struct {
	path  string
	owner int
}

func (s *scratchDirs) make(level action.Isolation) (*scratchDir, error) {
	owner := owner(level)
	base := s.path
	if level == action.Reduced && owner >= 0 {
		var err error
		if base, err = s.reachable(); err != nil {
			return nil, fmt.Errorf("make scratch directory: %w", err)
		}
	}
	d := &scratchDir{path: filepath.Join(base, strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(s.next.Add(1), 36)), owner: owner}
	for _, sub := range []string{"", "root", "work", "tmp", "home"} {
		p := filepath.Join(d.path, sub)
		if err := os.Mkdir(p, 0o755); err != nil {
			return nil, fmt.Errorf("make scratch directory: %w", err)
		}
		if sub != "root" {
			if err := d.own(p); err != nil {
				return nil, fmt.Errorf("make scratch directory: %w", err)
			}
		}
	}
	return d, nil
}

// reachable returns a directory that an ordinary process of another user can
// reach: root's node keeps its own to itself, and without a mount namespace
// the action needs the path.
func (s *scratchDirs) reachable() (string, error) {
	name := digest.Of(digest.BLAKE3, []byte(s.path)).Short()
	p := filepath.Join(os.TempDir(), "buildnet-scratch-"+name)
	if err := os.Mkdir(p, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(p)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !mine(info) {
		return "", fmt.Errorf("%s is not a directory of this user: remove it", p)
	}
	spread(p)
	return p, os.Chmod(p, 0o711)
}

func (d *scratchDir) work() string { return filepath.Join(d.path, "work") }

// own gives a path to the user that the action runs as.
func (d *scratchDir) own(p string) error {
	if d.owner < 0 {
		return nil
	}
	return os.Lchown(p, d.owner, d.owner)
}

func (d *scratchDir) remove() error { return removeAll(d.path) }

// removeAll removes also what an action has taken the permissions of.
func removeAll(p string) error {
	if err := os.RemoveAll(p); err == nil || !errors.Is(err, os.ErrPermission) {
		return err
	}
	unlock(p)
	return os.RemoveAll(p)
}

func unlock(dir string) {
	_ = os.Chmod(dir, 0o700) // what fails here fails in RemoveAll again, which says so
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			unlock(filepath.Join(dir, e.Name()))
		}
	}
}

// noSpace makes a full disk an ErrNoSpace.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
