package toolchain

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newQuietBench is where nobody else makes files, on a file system whose times are trusted.
func newQuietBench(t *testing.T) *bench {
	t.Helper()
	t.Setenv("TMPDIR", "/var/tmp")
	b := newBench(t)
	root, err := unix.Open(b.root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	if !timely(root) {
		t.Skip("/var/tmp is on a file system that is looked at by paths")
	}
	return b
}

// whole returns a grip of all of r's programs, that holds.
func whole(t *testing.T, r *record) *grip {
	t.Helper()
	var g *grip
	root, _ := statOf("/")
	eventually(t, "all is open and holds", func() bool {
		_, reads := mountsRead()
		if g = take(r, reads, maxOpen); g == nil {
			t.Fatal("the programs have changed")
		}
		if !slices.ContainsFunc(g.nodes, func(n node) bool { return n.stat.Ino == root.Ino && n.stat.Dev == root.Dev }) {
			t.Fatal("the root is not open")
		}
		if !g.partial && len(g.rest) == 0 && g.holds(reads) {
			return true
		}
		g.release()
		return false
	})
	t.Cleanup(g.release)
	return g
}

func (b *bench) link(target, p string) {
	b.t.Helper()
	next := b.path(p + ".next")
	if err := errors.Join(os.Symlink(target, next), os.Rename(next, b.path(p))); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	if err := os.Rename(b.path(from), b.path(to)); err != nil {
		b.t.Fatal(err)
	}
}

// inPlace writes as a program does that had the file open before anybody watched it.
func inPlace(b *bench, open *os.File) {
	b.t.Helper()
	if _, err := open.WriteAt([]byte("x"), 0); err != nil {
		b.t.Fatal(err)
	}
}

// TestAGripShowsEachChange has each look that follows a change notice it, without a watch
// and without waiting, and none that follows what is no change.
func TestAGripShowsEachChange(t *testing.T) {
	for name, change := range map[string]func(b *bench, open *os.File){
		"WrittenInPlace":      inPlace,
		"WrittenWithOldTimes": func(b *bench, open *os.File) { inPlace(b, open); _ = os.Chtimes(open.Name(), old, old) },
		"Truncated":           func(b *bench, _ *os.File) { _ = os.Truncate(b.path("one/tool"), 0) },
		"Mode":                func(b *bench, _ *os.File) { _ = os.Chmod(b.path("one/tool"), 0o700) },
		"WrittenByOtherName": func(b *bench, _ *os.File) {
			b.write("elsewhere/tool", "x", 0o755)
		},
		"Replaced":             func(b *bench, _ *os.File) { b.write("new", "tool", 0o755); b.rename("new", "one/tool") },
		"Removed":              func(b *bench, _ *os.File) { _ = os.Remove(b.path("one/tool")) },
		"LinkTurned":           func(b *bench, _ *os.File) { b.link(b.path("two/tool"), "alternatives/tool") },
		"LinkRemoved":          func(b *bench, _ *os.File) { _ = os.Remove(b.path("bin/tool")) },
		"LinkToDirectory":      func(b *bench, _ *os.File) { b.link("two", "current") },
		"DirectoryReplaced":    func(b *bench, _ *os.File) { b.rename("one", "was"); b.rename("two", "one") },
		"ParentMoved":          func(b *bench, _ *os.File) { b.rename("deep", "deeper") },
		"ParentClosed":         func(b *bench, _ *os.File) { _ = os.Chmod(b.path("deep"), 0o700) },
		"FoundSooner":          func(b *bench, _ *os.File) { b.write("first/tool", "x", 0o755) },
		"DirectoryFoundSooner": func(b *bench, _ *os.File) { b.write("zeroth/tool", "x", 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newQuietBench(t)
			for p, content := range map[string]string{"one/tool": "one", "two/tool": "two", "deep/down/other": "#!" + b.path("one/tool")} {
				b.write(p, content, 0o755)
			}
			for _, dir := range []string{"elsewhere", "first", "alternatives"} {
				if err := os.Mkdir(b.path(dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Link(b.path("one/tool"), b.path("elsewhere/tool")); err != nil {
				t.Fatal(err)
			}
			b.link("deep/../one", "current")
			b.link("../current/tool", "alternatives/tool")
			b.link(b.path("alternatives/tool"), "bin/tool")
			b.opts.Path = strings.Join([]string{b.path("zeroth"), b.path("first"), b.path("bin"), b.path("deep/down")}, ":")
			open, err := os.OpenFile(b.path("one/tool"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			<-time.After(racy)
			s := Spec{Spec: "tools:other,tool"}
			b.digest(s)
			g := whole(t, b.known(s))
			change(b, open)
			_, reads := mountsRead()
			if g.holds(reads) {
				t.Error("it holds")
			}
		})
	}
}

// old are times that programs give to files which they unpack.
var old = time.Unix(1_000_000_000, 0)

func TestWhatChangedJustNowIsNotHeld(t *testing.T) {
	whole, fraction := time.Unix(1_000_000_000, 0), time.Unix(1_000_000_000, 1)
	for _, tc := range []struct {
		changed time.Time
		ago     time.Duration
		want    bool
	}{
		{fraction, racy - 1, false}, {fraction, racy, true}, {fraction, -time.Hour, false},
		{whole, racy, false}, {whole, granularity - 1, false}, {whole, granularity, true},
	} {
		if got := distinct(tc.changed, tc.changed.Add(tc.ago)); got != tc.want {
			t.Errorf("distinct(%v, %v later) = %t", tc.changed, tc.ago, got)
		}
	}
	b := newQuietBench(t)
	st, _ := statOf(b.path("bin"))
	w := walk{grip: &grip{}, began: time.Unix(0, st.CTime), room: maxOpen, dirs: map[string]bool{}}
	if w.dir(b.path("bin")) || !w.grip.partial || w.grip.size() != 0 || len(b.opened()) > 0 {
		t.Errorf("partial is %t, %d are open: %v", w.grip.partial, w.grip.size(), b.opened())
	}
}

// Where other hosts, or a server of this one, change files, paths are looked at.
func TestOtherFileSystemsAreLookedAtByPath(t *testing.T) {
	const p = "/sys/kernel"
	st, there := statOf(p)
	if !there {
		t.Skip("no " + p)
	}
	r := &record{Facts: []fact{{Path: p, Stat: st, Watch: always}}}
	r.index()
	g := take(r, 0, maxOpen)
	if g == nil {
		t.Fatal("it has changed")
	}
	defer g.release()
	if len(g.rest) != 1 {
		t.Errorf("%d are looked at by path", len(g.rest))
	}
	if !g.holds(0) {
		t.Error("it does not hold")
	}
	r.programs[0].Stat.CTime++
	if g.holds(0) {
		t.Error("it holds, and the path is another")
	}
}

func TestALinkToItselfLeadsNowhere(t *testing.T) {
	b := newQuietBench(t)
	b.link("loop", "loop")
	<-time.After(racy)
	r := &record{Facts: []fact{{Path: b.path("loop/tool"), Watch: always}}}
	r.index()
	eventually(t, "it is looked at by its path, for its links", func() bool {
		g := take(r, 0, maxOpen)
		if g == nil {
			t.Fatal("it is there")
		}
		defer g.release()
		return len(g.rest) == 1 && !g.partial && g.holds(0)
	})
}

func TestAGripOpensNoMoreThanThereIsRoomFor(t *testing.T) {
	b := newQuietBench(t)
	s := Spec{Spec: "cc:cc"}
	b.digest(s)
	for _, room := range []int{0, 4, 12} {
		_, reads := mountsRead()
		g := take(b.known(s), reads, room)
		if g == nil {
			t.Fatal("the programs have changed")
		}
		defer g.release()
		if g.size() > room || len(g.rest) == 0 {
			t.Errorf("%d of %d are open, %d are looked at by path", g.size(), room, len(g.rest))
		}
		b.write("libexec/cc1", "compiler", 0o755)
		if g.holds(reads) {
			t.Error("it holds")
		}
		b.digest(s)
		<-time.After(racy)
		b.digest(s)
	}
}

func TestAGripDoesNotOutliveAMount(t *testing.T) {
	b := newQuietBench(t)
	s := Spec{Spec: "cc:cc"}
	b.digest(s)
	g := whole(t, b.known(s))
	if err := errors.Join(unix.Mount("none", b.path("lib"), "tmpfs", 0, ""), unix.Unmount(b.path("lib"), 0)); err != nil {
		t.Skip("mounting takes root:", err)
	}
	if _, reads := mountsRead(); g.holds(reads) {
		t.Error("it holds, and another file system was there when it may have been taken")
	}
}

// watchedBench has all of s watched, as far as the prober knows.
func watchedBench(t *testing.T, s Spec) (b *bench, digest string) {
	t.Helper()
	b = newQuietBench(t)
	digest = b.digest(s)
	b.turned() // what Run does when it begins, and when it has watched all
	b.entries[s].turn = b.turn
	eventually(t, "all is open", func() bool {
		b.entries[s].tried = time.Time{}
		g := b.entries[s].grip
		return b.Fresh(s, digest) && g != nil && !g.partial
	})
	return b, digest
}

func TestFreshGoesByWhatIsOpen(t *testing.T) {
	s := Spec{Spec: "cc:cc"}
	b, d := watchedBench(t, s)
	defer b.unwatched()
	program := b.entries[s].record.programs[0]
	eventually(t, "fresh by what is open", func() bool { // unless somebody changed a directory above
		b.entries[s].tried = time.Time{}
		b.Fresh(s, d)
		program.Stat.CTime-- // a look at the path would not be content
		defer func() { program.Stat.CTime++ }()
		return b.Fresh(s, d)
	})
	b.write("libexec/cc1", "x", 0o755)
	if b.Fresh(s, d) {
		t.Error("fresh")
	}
	if b.entries[s].grip != nil || len(b.opened()) > 0 || b.open != 0 {
		t.Errorf("it is kept, and does not hold: %v, %d", b.opened(), b.open)
	}
}

func TestFreshTakesAGripAgainAfterAFalseAlarm(t *testing.T) {
	s := Spec{Spec: "cc:cc"}
	b, d := watchedBench(t, s)
	defer b.unwatched()
	b.entries[s].tried = time.Now().Add(time.Hour)
	b.write("bin/unrelated", "x", 0o644)
	if !b.Fresh(s, d) {
		t.Fatal("not fresh")
	}
	if b.entries[s].grip != nil {
		t.Error("another one was taken at once")
	}
	b.entries[s].tried = time.Time{}
	eventually(t, "all is open again", func() bool {
		g := b.entries[s].grip
		return b.Fresh(s, d) && g != nil && !g.partial
	})
}

// opened are the files of b that this process has open.
func (b *bench) opened() (files []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if p, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(p, b.root+"/") {
			files = append(files, p)
		}
	}
	return files
}

func TestGripsAreLetGo(t *testing.T) {
	for name, end := range map[string]func(b *bench, cancel func()){
		"Idle":  func(*bench, func()) {},
		"Ended": func(_ *bench, cancel func()) { cancel() },
		"Known anew": func(b *bench, _ func()) {
			for s, e := range b.entries {
				b.keep(s, &record{Digest: e.record.Digest}, time.Now())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newQuietBench(t)
			b.idle = time.Hour
			if name == "Idle" {
				b.idle = 100 * time.Millisecond
			}
			s := Spec{Spec: "cc:cc"}
			d := b.digest(s)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- b.Run(ctx) }()
			eventually(t, "it is open", func() bool { return b.Fresh(s, d) && len(b.opened()) > 0 })
			end(b, cancel)
			eventually(t, "it is let go", func() bool {
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.open == 0 && len(b.opened()) == 0
			})
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			b.Fresh(s, d)
			if open := b.opened(); len(open) > 0 {
				t.Errorf("once nothing is watched, these are open: %v", open)
			}
		})
	}
}

func TestALookThatGoesOnKeepsItsFiles(t *testing.T) {
	s := Spec{Spec: "cc:cc"}
	b, _ := watchedBench(t, s)
	e, g := b.gripOf(s, b.entries[s].record)
	b.unwatched()
	if e.grip != nil || len(b.opened()) == 0 {
		t.Fatal("they were closed under a look")
	}
	e.tried = time.Time{}
	b.take(s, e.record, g.reads)
	if e.grip != nil {
		t.Error("another one was taken, which nobody would let go")
	}
	g.release()
	if open := b.opened(); len(open) > 0 {
		t.Errorf("these are open: %v", open)
	}
}
