package toolchain

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// whileSeen is a change of the file tool in a directory.
type whileSeen struct {
	prepare, change func(dir string) error
	inPlace         bool // the file shows it; if not, the directory does
}

var whilesSeen = map[string]whileSeen{
	"Replaced": {
		prepare: func(dir string) error { return os.WriteFile(dir+"/new", nil, 0o755) },
		change:  func(dir string) error { return os.Rename(dir+"/new", dir+"/tool") },
	},
	"Appeared": {
		prepare: func(dir string) error { return os.Remove(dir + "/tool") },
		change:  func(dir string) error { return os.WriteFile(dir+"/tool", nil, 0o755) },
	},
	"Linked": {
		prepare: func(dir string) error { return os.Rename(dir+"/tool", dir+"/was") },
		change:  func(dir string) error { return os.Link(dir+"/was", dir+"/tool") },
	},
	"Removed": {
		prepare: func(string) error { return nil },
		change:  func(dir string) error { return os.Remove(dir + "/tool") },
	},
	"Written": {
		prepare: func(dir string) error { return os.WriteFile(dir+"/tool", make([]byte, written), 0o755) },
		change:  func(dir string) error { return write(dir+"/tool", os.O_RDWR) }, inPlace: true,
	},
	"Truncated": {
		prepare: func(dir string) error { return os.WriteFile(dir+"/tool", make([]byte, written), 0o755) },
		change:  func(dir string) error { return write(dir+"/tool", os.O_RDWR|os.O_TRUNC) }, inPlace: true,
	},
}

// written is how many bytes are, enough to take a while.
const written = 1 << 20

func write(p string, flags int) error {
	f, err := os.OpenFile(p, flags, 0)
	if err != nil {
		return err
	}
	content := make([]byte, written)
	content[written/2] = 1
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// TestTimesAreNotBehindWhatIsSeen has a change be looked for while it is made: once it can
// be seen, what is open says that something has changed. inotify does not: of renames it
// tells late in one of twenty cases, of a write when all of it is done.
func TestTimesAreNotBehindWhatIsSeen(t *testing.T) {
	for name, tc := range whilesSeen {
		t.Run("Disk/"+name, func(t *testing.T) {
			root := newQuietBench(t).root
			tc.lower(t, root)
			tc.look(t, root)
		})
		t.Run("Memory/"+name, func(t *testing.T) {
			root := t.TempDir()
			mounted(t, "tmpfs", root, "")
			tc.lower(t, root)
			tc.look(t, root)
		})
		t.Run("Overlay/"+name, func(t *testing.T) {
			root, over := t.TempDir(), t.TempDir()
			mounted(t, "tmpfs", root, "")
			for _, dir := range []string{"/lower", "/upper", "/work"} {
				if err := os.Mkdir(root+dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			tc.lower(t, root+"/lower")
			mounted(t, "overlay", over, "lowerdir="+root+"/lower,upperdir="+root+"/upper,workdir="+root+"/work")
			tc.look(t, over)
		})
	}
}

func mounted(t *testing.T, system, dir, options string) {
	t.Helper()
	if err := unix.Mount("none", dir, system, 0, options); err != nil {
		t.Skipf("mount %s: %v", system, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// rounds is how often each change is made.
const rounds = 50

func (c *whileSeen) lower(t *testing.T, root string) {
	t.Helper()
	for i := range rounds {
		dir := filepath.Join(root, strconv.Itoa(i))
		err := os.Mkdir(dir, 0o755)
		if err = errors.Join(err, os.WriteFile(dir+"/tool", nil, 0o755), c.prepare(dir)); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(racy)
}

func (c *whileSeen) look(t *testing.T, root string) {
	t.Helper()
	for i := range rounds {
		if !c.noticed(t, filepath.Join(root, strconv.Itoa(i))) {
			t.Fatalf("change %d could be seen, and no time had changed", i)
		}
	}
}

// noticed makes the change in dir, and reports whether what is open tells of it as soon as
// it is seen.
func (c *whileSeen) noticed(t *testing.T, dir string) bool {
	t.Helper()
	tool := dir + "/tool"
	p := dir
	if c.inPlace {
		p = tool
	}
	open, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(open)
	before, _ := statOfOpen(open)
	file, _ := statOf(tool)
	seen := func() bool {
		now, _ := statOf(tool)
		return now.Ino != file.Ino
	}
	if c.inPlace {
		seen = func() bool { return middle(tool) != 0 }
	}
	done := make(chan error, 1)
	go func() { done <- c.change(dir) }()
	for !seen() { //nolint:revive // it looks as often as it can
	}
	now, _ := statOfOpen(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return now != before
}

// middle is 0 in a file that is as it was.
func middle(p string) byte {
	b := []byte{0xff} // of what is beyond its end
	f, err := os.Open(p)
	if err == nil {
		_, _ = f.ReadAt(b, written/2)
		_ = f.Close()
	}
	return b[0]
}

// Drivers are asked before all is looked at: what comes meanwhile may not be in what they
// said.
func TestADirectoryThatChangesDuringALookIsLookedAtAgain(t *testing.T) {
	b := newBench(t)
	began := time.Now()
	b.write("include/later.h", "", 0o644)
	st, _ := statOf(b.path("include"))
	r := &record{Facts: []fact{{Path: b.path("include"), Stat: st}, {Path: b.path("absent")}}}
	if !r.holds() {
		t.Error("what is as it was does not hold")
	}
	r.settle(began)
	if r.holds() {
		t.Error("a directory that changed since the look began holds")
	}
	<-time.After(racy)
	r.Facts[0].Stat = st
	if r.settle(time.Now()); !r.holds() {
		t.Error("one that changed before it does not")
	}
	r.Facts[0].Stat.CTime = time.Now().Add(time.Hour).UnixNano()
	was := r.Facts[0]
	if r.settle(time.Now()); r.Facts[0] != was {
		t.Error("one that changed while the clock was wrong never will")
	}
}
