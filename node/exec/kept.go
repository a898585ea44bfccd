package exec

import (
	"path/filepath"
	"time"
)

// Limits of what is kept of an action's directories for the next.
const (
	// maxMade bounds the entries that were made in one scratch directory before it
	// is removed. ext4 puts files near their directory, and gives no inode to one for
	// some time after it was freed: those it passes over one by one.
	maxMade = 500
	// maxSpare bounds the scratch directories that no action has: there are no
	// more than actions were running at once.
	maxSpare = 64
	// maxKept bounds the inputs of an action whose directories are kept. What the
	// next does not want is removed while it waits.
	maxKept = 1000
)

// keptTree is one of the directories that an action sees, which the next may have
// again with the directories in it: the places below it, as far as they are known.
// It is of one scratch directory, and so of one action at a time.
//
// What is kept: directories, never files. When the time of a file that is mapped
// and written to changes is the kernel's choice; see mmap(2).
//
// When it is trusted: while a directory has the stamp that it had when the node was
// done with it. Whatever is done to a directory, or is made or removed in it, gives
// it another time of change, which no process can set (see lasting). That it was
// read alone leaves a trace otherwise, the time of access, which is set each time.
// The stamp is looked at twice: by settle when all processes of its action are gone,
// and by furnish and site.mkdir when the next action gets the directory.
//
// When it is dropped: a directory is removed with all that is in it by settle, if
// its action changed it or it has grown; by furnish or site.mkdir, if somebody
// changed it since; by site.free, if the next action has a file or link of that
// name; by ready, if the next action did not ask for it. All of the tree is, once
// forget was called: after its action.
//
//	furnish -> inputs: site.mkdir, site.free, mkdirs -> ready -> the action -> settle
//	                                        \-> forget ---------> the action -> settle
type keptTree struct {
	path  string
	mkdir func(path string) error // makes a directory of the action's
	// root is nil where nothing is kept after the action.
	root *keptDir
}

// furnish makes the directory, where there is none that is as new. keep says that it
// may be kept after its action.
func (t *keptTree) furnish(keep bool) error {
	if t.root != nil && !t.root.same(t.path) {
		t.root = nil
		if err := removeAll(t.path); err != nil {
			return err
		}
	}
	if t.root == nil {
		if err := t.mkdir(t.path); err != nil || !keep {
			return err
		}
		t.root = &keptDir{}
	}
	return t.root.mark(t.path, time.Now())
}

// site is where the inputs go.
func (t *keptTree) site() site { return site{t.path, t.root} }

// mkdirs makes a directory and those above it, from the root, unless there is
// something else than known directories on the way: then it makes nothing more, and
// done is false.
func (t *keptTree) mkdirs(dir string) (done bool, err error) {
	at := t.site()
	for name := range elements(dir) {
		if name == "." {
			continue
		}
		if at.kept == nil || at.kept.others[name] {
			return false, nil
		}
		if sub := at.kept.dirs[name]; sub != nil && sub.used {
			at = site{filepath.Join(at.path, name), sub}
			continue
		}
		if at, err = at.mkdir(name, t.mkdir); err != nil {
			return false, err
		}
	}
	return at.kept != nil, nil
}

// ready ends what is made in the tree, and gives its directories the time of inputs.
// From now on nobody has to change anything there.
func (t *keptTree) ready() error {
	if t.root == nil {
		return nil
	}
	return t.root.ready(t.path)
}

// forget has all of the tree removed after the action. What is there from one
// before, and this one has not asked for, is removed at once.
func (t *keptTree) forget() error {
	defer func() { t.root = nil }()
	return t.ready()
}

// settle removes what the action has left, but for directories that are as new: all
// its processes are gone, and nobody else can have any of them open. empty is the
// size of a directory without entries.
func (t *keptTree) settle(empty int64) error {
	if t.root != nil {
		if kept, err := t.root.settle(t.path, empty); kept || err != nil {
			return err
		}
	}
	t.root = nil
	return removeAll(t.path)
}

// site is a directory that inputs go into.
type site struct {
	path string
	// kept is nil if the directory is removed after the action.
	kept *keptDir
}

// mkdir makes a directory, if there is none from an action before. anew fails where
// something is already, which may be a link.
func (at site) mkdir(name string, anew func(path string) error) (sub site, err error) {
	sub.path = filepath.Join(at.path, name)
	if sub.kept, err = at.kept.reuse(name, sub.path); sub.kept != nil || err != nil {
		return sub, err
	}
	if err := anew(sub.path); err != nil {
		return sub, err
	}
	sub.kept = at.kept.add(name)
	return sub, nil
}

// free returns the path of a file or link that is to be made, where nothing of an
// action before is any more.
func (at site) free(name string) (string, error) {
	p, err := entry(at.path, name)
	if err == nil {
		err = at.kept.vacate(name, p)
	}
	at.kept.note(name)
	return p, err
}

// timed reports whether the directory gets its time by ready.
func (at site) timed() bool { return at.kept != nil }
