//go:build lab && linux

package peers

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/lab"
)

// These build real projects as they are, on a mesh of three hosts, and beside
// that plainly, in a copy of the tree that its host has at the same path.

// power is the part of a core that a host of these tests has.
const power = 1

// pair is a tree on a mesh and its copy.
type pair struct {
	t    *testing.T
	p    project
	mesh *lab.Host
	// dir is where both see the tree, and copy where the other one really is.
	dir, copied string
	alone       *lab.Host
}

// newPair fetches and configures a project on the first of three hosts.
func newPair(t *testing.T, p project) pair {
	t.Helper()
	alone := lab.New(t).Host(power) // before the nodes, so that they see the same mounts as their clients
	hosts, _ := lab.Mesh(t, lab.New(t), 3, power)
	x := pair{t: t, p: p, mesh: hosts[0], alone: alone}
	x.dir = filepath.Join(x.mesh.Dir, p.name)
	x.copied = filepath.Join(x.alone.Dir, p.name)
	p.in(t, x.dir)
	p.configure(t, x.dir, "")
	plain(t, "/", "cp", "-a", x.dir, x.copied)
	x.alone.Bind(x.copied, x.dir)
	x.near()
	return x
}

const (
	// nearby is a round trip on a LAN, in milliseconds, to hosts that have to wait for a
	// processor now and then.
	nearby = 5
	// nearTime is how long nodes that have just begun may take to find out.
	nearTime = 90 * time.Second
)

// near waits until the node that builds knows that the others are near: at first it has
// a few round trips to go by, of nodes that were busy with what they begin with.
func (x pair) near() {
	x.t.Helper()
	for deadline := time.Now().Add(nearTime); ; {
		members := x.mesh.Members()
		far := slices.ContainsFunc(members, func(m lab.Member) bool { return !m.Self && (m.RTTMS == 0 || m.RTTMS > nearby) })
		if !far {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("the others are far away for %v: %+v", nearTime, members)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// built is the summary of a build, and how many steps that ran elsewhere say why.
type built struct {
	event.BuildFinished
	chosen int
}

// build builds on the mesh.
func (x pair) build() (f built) {
	x.t.Helper()
	o := x.mesh.Buildnet(append([]string{"build"}, x.p.ours(x.dir)...)...)
	if o.Exit != 0 {
		x.t.Fatalf("exit status %d\n%s%s", o.Exit, o.Stdout, o.Stderr)
	}
	if strings.Contains(o.Stdout, "no work to do") {
		return f // nobody is asked
	}
	shown := x.mesh.Buildnet("builds", "show", "--json")
	var record api.BuildRecord
	if err := errors.Join(json.Unmarshal([]byte(shown.Stdout), &record), json.Unmarshal(record.Summary, &f.BuildFinished)); err != nil {
		x.t.Fatalf("%v in %q %s", err, shown.Stdout, shown.Stderr)
	}
	x.t.Logf("%d steps: %d executed, %d of them elsewhere, %d cached; here because %v",
		f.Steps, f.Executed, f.RunRemote, f.CachedLocal+f.CachedMesh, f.LocalReasons)
	for _, line := range record.Events {
		if e, err := event.Decode(line); err == nil {
			if s, ok := e.(event.StepFinished); ok && s.Choice != nil && len(s.Here) == 0 {
				f.chosen++
			}
		}
	}
	return f
}

// plainly builds the copy.
func (x pair) plainly() {
	x.t.Helper()
	if out, err := x.alone.Command(x.p.build(x.dir, "", 4)...).CombinedOutput(); err != nil {
		x.t.Fatalf("plain build: %v: %s", err, out)
	}
}

// again is what both have made since, which has to be the same.
func (x pair) again(before, beforeCopy map[string]file) (paths []string) {
	x.t.Helper()
	ours, theirs := tree(x.t, x.dir), tree(x.t, x.copied)
	same(x.t, ours, theirs)
	paths = made(before, ours)
	if want := made(beforeCopy, theirs); !slices.Equal(paths, want) {
		x.t.Errorf("made again: %v\na plain build makes: %v", paths, want)
	}
	return paths
}

// edit changes a file of both trees.
func (x pair) edit(name string) {
	x.t.Helper()
	for _, dir := range []string{x.dir, x.copied} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			x.t.Fatal(err)
		}
		if _, err := f.WriteString("\n/* changed */\n"); err != nil {
			x.t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			x.t.Fatal(err)
		}
	}
}

// chosenHere are what steps say that others could have run as well.
var chosenHere = []string{"this node's share", "to send them did not pay"}

// elsewhere checks a build of which at least so many compiles had to run on other
// hosts, and of which a twentieth may have run here for reasons of their own.
func (x pair) elsewhere(f built, least int) {
	x.t.Helper()
	if f.RunRemote < least {
		x.t.Errorf("%d compiles ran elsewhere, want at least %d: %+v", f.RunRemote, least, f)
	}
	if chosen := f.chosen; chosen*2 < f.RunRemote {
		x.t.Errorf("of %d compiles that ran elsewhere %d say why", f.RunRemote, chosen)
	}
	fallbacks := 0
	for why, n := range f.LocalReasons {
		if !slices.Contains(chosenHere, why) {
			fallbacks += n
		}
	}
	if fallbacks*20 > f.Steps {
		x.t.Errorf("%d of %d steps could run here alone: %v", fallbacks, f.Steps, f.LocalReasons)
	}
}

// TestNinjaProject builds abseil's strings of what CMake writes.
func TestNinjaProject(t *testing.T) {
	p := cmakeProject("abseil", "abseil", []string{"-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_STANDARD=17"}, "strings")
	x := newPair(t, p)
	x.plainly()
	f := x.build()
	compiles := x.objects()
	x.again(nil, nil)
	x.elsewhere(f, compiles/2)

	p.clean(t, x.dir)
	if f := x.build(); f.Executed > 0 || f.CachedLocal+f.CachedMesh == 0 {
		t.Errorf("a second build: %+v", f)
	}
	same(t, tree(t, x.dir), tree(t, x.copied))

	if f := x.build(); f.Executed+f.CachedLocal+f.CachedMesh > 0 {
		t.Errorf("nothing has changed: %+v", f)
	}
	before, beforeCopy := tree(t, x.dir), tree(t, x.copied)
	x.edit("absl/strings/internal/memutil.h")
	x.plainly()
	x.build()
	if again := x.again(before, beforeCopy); len(again) < 4 || len(again) > compiles/2 {
		t.Errorf("a header that some include was changed, made again: %v", again)
	}
}

// TestMakeProject builds libtommath, of which make knows that every object needs
// the headers.
func TestMakeProject(t *testing.T) {
	x := newPair(t, tommath)
	x.plainly()
	f := x.build()
	compiles := x.objects()
	x.again(nil, nil)
	x.elsewhere(f, compiles/2)

	x.p.clean(t, x.dir)
	if f := x.build(); f.Executed > 0 || f.CachedLocal+f.CachedMesh < compiles {
		t.Errorf("a second build: %+v", f)
	}
	same(t, tree(t, x.dir), tree(t, x.copied))

	if f := x.build(); f.Steps > 0 {
		t.Errorf("nothing has changed: %+v", f)
	}
	before, beforeCopy := tree(t, x.dir), tree(t, x.copied)
	x.edit("tommath_private.h")
	x.plainly()
	x.build()
	if again := x.again(before, beforeCopy); len(again) < compiles {
		t.Errorf("a header of all was changed, made again: %v", again)
	}
}

// objects is how many object files the plain build has made.
func (x pair) objects() (n int) {
	for p := range tree(x.t, x.copied) {
		if strings.HasSuffix(p, ".o") {
			n++
		}
	}
	return n
}
