package exec

import (
	"os"
	"path/filepath"
	"testing"
)

// nest is where groups of version 2 for memory are made, of a fixture.
type nest struct{ dir string }

func (n nest) Enter(int) error { return nil }
func (n nest) Weighs() bool    { return true }
func (n nest) Memory() string  { return n.dir }

func TestTheMemoryGroupOfAForeignActionIsWithinItsGroup(t *testing.T) {
	within := t.TempDir()
	e := &Executor{opts: Options{Groups: nest{within}}}
	if got := e.memoryPlace(&job{foreign: true}); got != within {
		t.Errorf("its place is %q, want %q", got, within)
	}
	for name, place := range map[string]string{
		"of an own action":        e.memoryPlace(&job{}),
		"where there is no group": (&Executor{}).memoryPlace(&job{foreign: true}),
	} {
		if place != "" {
			t.Errorf("the place %s is %q", name, place)
		}
	}
	// In a fixture a new group has no files: it takes no limit, and does not stay.
	if _, err := newMemoryGroup(1<<20, "a", within); err == nil {
		t.Error("a group without memory.max takes a limit")
	}
	if left, err := os.ReadDir(within); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWhoIsInANestedMemoryGroupIsAmongWhatRunsForOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		group *memoryGroup
		want  bool
	}{{nil, false}, {&memoryGroup{dir: dir}, false}, {&memoryGroup{dir: dir, nested: true}, true}, {&memoryGroup{dir: filepath.Join(dir, "gone"), nested: true}, false}} {
		if got := c.group.add(77); got != c.want {
			t.Errorf("%+v: %v, want %v", c.group, got, c.want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || string(got) != "77" {
		t.Errorf("in the group: %q, %v", got, err)
	}
}
