package include_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/compile/include"
)

var (
	someDirs  = []string{"/w", "/w/i", "/w/i/s", "/w/j", "/w/j/s", "/sys", "/sys/s"}
	someNames = []string{"a.h", "b.h", "s/a.h", "s/c.h", "../a.h", "s/../b.h", "l/a.h", "c.h.gch"}
)

// anyText draws what a header may hold.
func anyText(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(0, 3).Draw(t, "lines") {
		name := rapid.SampledFrom(someNames).Draw(t, "name")
		format := rapid.SampledFrom([]string{
			"#include <%s>\n", "#include \"%s\"\n", "#include_next <%s>\n", "#if __has_include(\"%s\")\n#endif\n",
			"#define H \"%s\"\n", "#define K <%s>\n#include K\n", "#include H // %s\n", "/* %s */\n",
		}).Draw(t, "line")
		fmt.Fprintf(&b, format, name)
	}
	return b.String()
}

// change does something to the files, and returns the path.
func change(t *rapid.T, m *memory) string {
	p := path.Join(rapid.SampledFrom(someDirs).Draw(t, "dir"), rapid.SampledFrom([]string{"a.h", "b.h", "c.h", "s", "l", "a.h.gch"}).Draw(t, "file"))
	switch rapid.IntRange(0, 4).Draw(t, "change") {
	case 0:
		m.remove(p)
	case 1:
		if n := m.nodes[p]; n == nil || n.kind == include.Link {
			m.link(p, rapid.SampledFrom([]string{"s", "../j", "/sys", "a.h", "gone", "l"}).Draw(t, "target"))
		}
	default:
		if n := m.nodes[p]; path.Base(p) == "s" || path.Base(p) == "l" {
			if n == nil {
				m.write(p+"/a.h", anyText(t))
			}
		} else if parent := m.nodes[path.Dir(p)]; parent == nil || parent.kind == include.Dir {
			m.write(p, anyText(t))
		}
	}
	return p
}

func anyCommand(t *rapid.T) string {
	flags := rapid.SliceOfN(rapid.SampledFrom([]string{"-Ii", "-Ij", "-iquote j/s", "-isystem i/s", "-idirafter j", "-Ii/l", "-I/sys", "-Ij/../i", "-Igone", "-include b.h", "-DH=<a.h>"}), 0, 4).Draw(t, "flags")
	return "gcc -c " + strings.Join(flags, " ") + " a.c"
}

func drawn(t *rapid.T) *memory {
	m := newMemory(files{"/w/a.c": anyText(t), "/w/i/k": "", "/w/j/k": "", "/sys/k": ""})
	for range rapid.IntRange(4, 20).Draw(t, "files") {
		change(t, m)
	}
	return m
}

// A scanner that has seen other states of the files says what one says that has
// seen none.
func TestWhatIsKeptChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		s := include.New(m, include.Options{})
		for range rapid.IntRange(1, 5).Draw(t, "epochs") {
			for range rapid.IntRange(1, 3).Draw(t, "scans") {
				u := unit(anyCommand(t), "/sys")
				if diff := cmp.Diff(include.New(m, include.Options{}).Scan(u), s.Scan(u)); diff != "" {
					t.Fatal(diff)
				}
			}
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				change(t, m)
			}
			if rapid.Bool().Draw(t, "begin") {
				s.Begin()
			} else {
				s.Stir()
			}
		}
	})
}

// Told of every file that was made, a scanner needs no new epoch.
func TestMadeFilesAreSeenWithoutAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		s := include.New(m, include.Options{})
		u := unit(anyCommand(t), "/sys")
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			s.Scan(u)
			p := path.Join(rapid.SampledFrom(someDirs).Draw(t, "dir"), rapid.SampledFrom([]string{"a.h", "b.h", "c.h"}).Draw(t, "file"))
			if !writable(m, p) {
				continue
			}
			s.Expect(p)
			s.Scan(u)
			m.write(p, anyText(t))
			s.Made(p)
			if diff := cmp.Diff(include.New(m, include.Options{}).Scan(u), s.Scan(u)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// writable reports whether p lies below real directories only, and is none.
func writable(m *memory, p string) bool {
	if n := m.nodes[p]; n != nil && n.kind == include.Dir {
		return false
	}
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		if n := m.nodes[d]; n != nil && n.kind != include.Dir {
			return false
		}
	}
	return true
}

// What is neither read nor noted as absent can appear without any change.
func TestAbsentPathsAreAllThatMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		u := unit(anyCommand(t), "/sys")
		before := include.New(m, include.Options{}).Scan(u)
		p := path.Join(rapid.SampledFrom(someDirs).Draw(t, "dir"), rapid.SampledFrom([]string{"a.h", "b.h", "c.h"}).Draw(t, "file"))
		if m.nodes[p] != nil || !writable(m, p) || slices.ContainsFunc(before.Absent, func(a string) bool { return a == p || strings.HasPrefix(a, p+"/") || reaches(m, a, p) }) {
			return
		}
		made := m.nodes[path.Dir(p)] == nil // its directory appears as well, and may be on the path
		m.write(p, anyText(t))
		after := include.New(m, include.Options{}).Scan(u)
		if diff := cmp.Diff(before, after); diff != "" && !made {
			t.Fatalf("%s appeared, none of %v: %s", p, before.Absent, diff)
		}
	})
}

// reaches reports whether a path leads through links to where p is.
func reaches(m *memory, a, p string) bool {
	for range 10 {
		for d := a; d != "/"; d = path.Dir(d) {
			if n := m.nodes[d]; n != nil && n.kind == include.Link {
				to := n.content
				if !path.IsAbs(to) {
					to = path.Join(path.Dir(d), to)
				}
				a = path.Join(to, strings.TrimPrefix(a, d))
			}
		}
	}
	return a == p || path.Dir(a) == p
}
