package exec

import (
	"errors"
	"path/filepath"
	"syscall"
	"time"
)

// keptDir is a directory of a keptTree: it is as the node left it if it has its
// stamp. The tree's comment says when that is looked at.
type keptDir struct {
	stamp stamp
	// used says that the action which is laid out wants it.
	used bool
	dirs map[string]*keptDir
	// others are the entries that are no kept directories.
	others map[string]bool
}

// note adds an entry that is not kept. k may be nil.
func (k *keptDir) note(name string) {
	if k == nil {
		return
	}
	if k.others == nil {
		k.others = map[string]bool{}
	}
	k.others[name] = true
}

// add adds a directory that was made. k may be nil, then the answer is.
func (k *keptDir) add(name string) *keptDir {
	if k == nil {
		return nil
	}
	if k.dirs == nil {
		k.dirs = map[string]*keptDir{}
	}
	sub := &keptDir{used: true}
	k.dirs[name] = sub
	return sub
}

// reuse returns the directory called name, which is at p, or nil if none that is
// as it was left. What else is there from an action before is removed.
func (k *keptDir) reuse(name, p string) (*keptDir, error) {
	if k == nil {
		return nil, nil
	}
	sub := k.dirs[name]
	if sub == nil || sub.used { // one that is used is an entry of that name
		return nil, nil
	}
	if !sub.same(p) {
		return nil, k.drop(name, p)
	}
	sub.used = true
	return sub, nil
}

// vacate removes a directory that is there from an action before.
func (k *keptDir) vacate(name, p string) error {
	if k == nil || k.dirs[name] == nil || k.dirs[name].used {
		return nil
	}
	return k.drop(name, p)
}

func (k *keptDir) drop(name, p string) error {
	delete(k.dirs, name)
	return removeAll(p)
}

// ready removes the directories below at that no action has asked for, and gives
// the others the time of inputs. From now on nobody has to change anything there.
func (k *keptDir) ready(at string) error {
	for name, sub := range k.dirs {
		p := filepath.Join(at, name)
		if !sub.used {
			if err := k.drop(name, p); err != nil {
				return err
			}
			continue
		}
		if err := sub.ready(p); err != nil {
			return err
		}
	}
	return k.mark(at, fixedTime)
}

// mark gives the directory a time, and remembers how it is.
func (k *keptDir) mark(at string, t time.Time) error {
	if err := setTime(at, t); err != nil {
		return err
	}
	k.stamp = look(at)
	return nil
}

// same reports whether nobody has changed the directory.
func (k *keptDir) same(at string) bool {
	now := look(at)
	return now.isDir() && now == k.stamp
}

// settle removes what is not kept of what is in a directory, and reports whether
// that itself is: its action is gone. empty is the size of an empty directory, which
// one on ext4 does not have any more once it had many entries.
func (k *keptDir) settle(at string, empty int64) (kept bool, err error) {
	if !k.same(at) || !k.stamp.sized(empty) {
		return false, nil
	}
	removed := len(k.others) > 0
	for name := range k.others {
		if err := unlink(filepath.Join(at, name)); err != nil {
			return false, err
		}
	}
	clear(k.others)
	for name, sub := range k.dirs {
		p := filepath.Join(at, name)
		same, err := sub.settle(p, empty)
		if err != nil {
			return false, err
		}
		if !same {
			removed = true
			if err := k.drop(name, p); err != nil {
				return false, err
			}
		}
	}
	k.used = false
	if removed {
		k.stamp = look(at)
	}
	return true, nil
}

// unlink removes what is most often a file.
func unlink(p string) error {
	if err := syscall.Unlink(p); err == nil || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return removeAll(p)
}
