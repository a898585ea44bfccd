package toolchain

import (
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grip has the programs of a record open, and the directories on the way to them. As long
// as no stat of an open file is another, a look at each path would come to what it came to
// when the grip was taken, and to look at what is open costs a quarter: no path is walked,
// directories are shared, and links and files that must stay absent need no look of their
// own.
//
// A name in a directory, also that of a link, cannot come, go, or lead elsewhere without
// the directory's times changing, which file systems write before the change can be
// seen. A file's are written before its new content can be read. So a change is noticed as
// soon as a stat of the path would notice it: inotify tells of it later (see
// docs/design/2026-11-27-looking-at-what-is-open.md).
//
// Each directory is looked at before anything is looked up in it. What changed while the
// grip was taken therefore makes it one that never holds.
type grip struct {
	reads uint64 // of the mount table, before
	nodes []node
	rest  []*fact // what could not be opened is looked at by its path
	// partial says that more may be opened later: something had just changed.
	partial bool
	users   atomic.Int32 // looks that use it, and the entry that has it
}

type node struct {
	fd   int
	stat stat
}

// take opens what r's programs are, at most room files; nil says that r does not hold.
// reads is that of the mount table, before.
func take(r *record, reads uint64, room int) *grip {
	w := walk{grip: &grip{reads: reads}, began: time.Now(), room: room, dirs: map[string]bool{}, files: map[string]stat{}}
	w.grip.retain()
	for _, f := range r.programs {
		held, there := w.fact(f)
		if !there {
			w.grip.release()
			return nil
		}
		if !held {
			w.grip.rest = append(w.grip.rest, f)
		}
	}
	return w.grip
}

// holds reports whether nothing has changed since r was seen to hold. reads is that of the
// mount table, before.
func (g *grip) holds(reads uint64) bool {
	if g.reads != reads {
		return false
	}
	for i := range g.nodes {
		if now, _ := statOfOpen(g.nodes[i].fd); now != g.nodes[i].stat {
			return false
		}
	}
	return !slices.ContainsFunc(g.rest, func(f *fact) bool { return !f.holds() })
}

// size is how many files it has open.
func (g *grip) size() int { return len(g.nodes) }

func (g *grip) retain() { g.users.Add(1) }

// release closes what is open once nobody uses it.
func (g *grip) release() {
	if g.users.Add(-1) > 0 {
		return
	}
	for _, n := range g.nodes {
		_ = unix.Close(n.fd)
	}
}

// walk is the taking of a grip.
type walk struct {
	grip  *grip
	began time.Time
	room  int
	dirs  map[string]bool // by path without links: whether it is open
	files map[string]stat // that are open, by path without links
}

// fact opens what f is of, if that is needed. held says that a look at f's path can be
// spared; there is false if it is no more what it was.
func (w *walk) fact(f *fact) (held, there bool) {
	at, ok := w.way(f.Path)
	if now, _ := statOf(f.Path); now != f.Stat {
		return false, false
	}
	switch {
	case !ok:
		return false, true
	case f.Stat == stat{}, f.Stat.Mode&syscall.S_IFMT == syscall.S_IFLNK:
		return true, true // what a link says cannot change; another one is another name
	}
	st, ok := w.files[at]
	if !ok {
		if st, ok = w.openAt(at, 0); !ok {
			return false, true
		}
		w.files[at] = st
	}
	return true, st == f.Stat
}

// granularity is racy for file systems that count whole seconds.
const granularity = 2 * time.Second

// distinct reports whether what changes from now on gets another time than a former change.
func distinct(changed, now time.Time) bool {
	if changed.Nanosecond() == 0 {
		return now.Sub(changed) >= granularity
	}
	return now.Sub(changed) >= racy
}

// dir opens a directory whose path has no links, and reports whether it is open. One that
// changed just now is not opened: another change may give it the same times.
func (w *walk) dir(p string) bool {
	open, known := w.dirs[p]
	if known {
		return open
	}
	st, open := w.openAt(p, unix.O_DIRECTORY)
	if open && !distinct(time.Unix(0, st.CTime), w.began) {
		w.drop()
		w.grip.partial, open = true, false
	}
	w.dirs[p] = open
	return open
}

// openAt opens p, whose directory is open, if that shows all changes.
func (w *walk) openAt(p string, flags int) (stat, bool) {
	if len(w.grip.nodes) >= w.room {
		return stat{}, false
	}
	fd, err := unix.Open(p, flags|unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, false
	}
	st, ok := statOfOpen(fd)
	if !ok || !timely(fd) {
		_ = unix.Close(fd)
		return stat{}, false
	}
	w.grip.nodes = append(w.grip.nodes, node{fd, st})
	return st, true
}

// drop closes what was opened last.
func (w *walk) drop() {
	last := len(w.grip.nodes) - 1
	_ = unix.Close(w.grip.nodes[last].fd)
	w.grip.nodes = w.grip.nodes[:last]
}

// timelySystems are the file systems of this machine alone, whose stat of what is open
// says at once what a walk to it would. On others, network file systems and FUSE, others
// change files, and attributes and names are cached for different times. ZFS and bcachefs
// are not among them because nobody has looked at the order of what they do.
var timelySystems = []int64{
	unix.EXT4_SUPER_MAGIC, // of ext2 and ext3 as well
	unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
}

func timely(fd int) bool {
	var f unix.Statfs_t
	return unix.Fstatfs(fd, &f) == nil && slices.Contains(timelySystems, int64(f.Type)) //nolint:unconvert // its type differs between architectures
}
