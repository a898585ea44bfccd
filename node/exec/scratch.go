package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// scratchDirs makes directories for actions below one that is the executor's
// alone.
type scratchDirs struct {
	path    string
	next    atomic.Uint64
	lasting func() lasting

	mu     sync.Mutex
	spare  []*scratchDir // that no action has
	closed bool
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
	s.lasting = sync.OnceValue(func() lasting {
		l, err := tryLasting(path)
		if err != nil {
			return lasting{} // making a directory for an action says what is wrong
		}
		return l
	})
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
// work holds the inputs, tmp and home are what their names say. The action sees the
// latter three.
type scratchDir struct {
	path  string
	owner int
	// id is of this action alone among all of this executor.
	id string
	// made is about how many entries were made in it, for this action and others.
	made int
	// work, tmp and home are directories that may be kept for another action.
	work, tmp, home *keptTree
	// settled says that all processes of the action are gone, and nobody else can
	// have any of its directories open.
	settled bool
	// folds says that names which differ in case are one to its file system.
	folds bool
	// odd says that a new directory has another mode than it is to have, as by this
	// process's umask or a set-group-ID bit: an action would see one that it does not
	// see on other machines.
	odd bool
}

// dirMode is that of directories as actions see them.
const dirMode = 0o755

func (s *scratchDirs) make(level action.Isolation) (*scratchDir, error) {
	d, err := s.begin(level)
	if err == nil {
		if err = d.furnish(s.keeping(level)); err != nil {
			err = errors.Join(err, d.remove())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	return d, nil
}

// keeping is what may be kept after an action.
type keeping struct{ inputs, own bool }

// keeping says what may be kept at a level: where no sandbox is, processes may have
// outlived their action.
func (s *scratchDirs) keeping(level action.Isolation) keeping {
	if level != action.Full || !s.lasting().exact {
		return keeping{}
	}
	return keeping{inputs: s.lasting().unordered, own: true}
}

// begin returns a scratch directory that may lack those that the action sees.
func (s *scratchDirs) begin(level action.Isolation) (*scratchDir, error) {
	id := strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(s.next.Add(1), 36)
	if d := s.take(level); d != nil {
		d.id = id
		return d, nil
	}
	d := &scratchDir{id: id, owner: owner(level)}
	base := s.path
	if level == action.Reduced && d.owner >= 0 {
		var err error
		if base, err = s.reachable(); err != nil {
			return nil, err
		}
	}
	d.at(filepath.Join(base, id))
	if err := d.mkdir(d.path); err != nil {
		return nil, err
	}
	if err := d.found(); err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

// found makes the root of the sandbox, and finds out by that how directories are made
// here.
func (d *scratchDir) found() error {
	made, err := os.Lstat(d.path)
	if err != nil {
		return err
	}
	d.odd = made.Mode() != os.ModeDir|dirMode
	root := filepath.Join(d.path, "root")
	if err := os.Mkdir(root, dirMode); err != nil {
		return err
	}
	d.folds = folds(root)
	return d.even(d.path, root)
}

// take returns a spare directory, or nil.
func (s *scratchDirs) take(level action.Isolation) *scratchDir {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.spare) - 1
	if level != action.Full || last < 0 {
		return nil
	}
	d := s.spare[last]
	s.spare = s.spare[:last]
	return d
}

// release removes a directory, or what an action has left in it.
func (s *scratchDirs) release(d *scratchDir) error {
	if !d.settled || d.made > maxMade {
		return d.remove()
	}
	if err := d.settle(s.lasting().size); err != nil {
		return errors.Join(err, d.remove())
	}
	if !s.keep(d) {
		return d.remove()
	}
	return nil
}

func (s *scratchDirs) keep(d *scratchDir) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.spare) >= maxSpare {
		return false
	}
	s.spare = append(s.spare, d)
	return true
}

// close removes what is kept. From now on nothing is.
func (s *scratchDirs) close() error {
	s.mu.Lock()
	spare := s.spare
	s.spare, s.closed = nil, true
	s.mu.Unlock()
	var all error
	for _, d := range spare {
		all = errors.Join(all, d.remove())
	}
	return all
}

// at is where the directory will be.
func (d *scratchDir) at(path string) {
	d.path = path
	tree := func(name string) *keptTree { return &keptTree{path: filepath.Join(path, name), mkdir: d.mkdir} }
	d.work, d.tmp, d.home = tree("work"), tree("tmp"), tree("home")
}

// furnish makes the directories that the action sees, where there are none that
// are as new.
func (d *scratchDir) furnish(keep keeping) error {
	d.settled = false
	if err := d.work.furnish(keep.inputs); err != nil {
		return err
	}
	if err := d.tmp.furnish(keep.own); err != nil {
		return err
	}
	return d.home.furnish(keep.own)
}

// settle removes what the action has left, except for directories that are as new.
func (d *scratchDir) settle(empty int64) error {
	for _, t := range []*keptTree{d.work, d.tmp, d.home} {
		if err := t.settle(empty); err != nil {
			return err
		}
	}
	return nil
}

func (d *scratchDir) mkdir(p string) error {
	if err := os.Mkdir(p, dirMode); err != nil {
		return d.collision(p, err)
	}
	return errors.Join(d.even(p), d.give(p))
}

// even gives new directories the mode that they are to have.
func (d *scratchDir) even(made ...string) error {
	if !d.odd {
		return nil
	}
	for _, p := range made {
		if err := os.Chmod(p, dirMode); err != nil {
			return err
		}
	}
	return nil
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

// give gives a path to the user that the action runs as.
func (d *scratchDir) give(p string) error {
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
