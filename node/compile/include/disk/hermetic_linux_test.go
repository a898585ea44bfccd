package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	treeDirs  = []string{".", "i", "i/s", "j", "j/s", "k", "l"} // l is a link
	treeNames = []string{"a.h", "b.h", "c.h"}
)

// anyHeader draws a header that reads others, asks whether they are there, and
// shows in what is preprocessed that it was read.
func anyHeader(t *rapid.T, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "read %q\n", path)
	if rapid.Bool().Draw(t, "once") {
		b.WriteString("#pragma once\n")
	}
	guard := "G" + strings.NewReplacer("/", "_", ".", "_").Replace(path)
	fmt.Fprintf(&b, "#ifndef %s\n#define %s\n", guard, guard)
	for range rapid.IntRange(2, 6).Draw(t, "lines") {
		name := rapid.SampledFrom([]string{"a.h", "b.h", "c.h", "s/a.h", "s/b.h", "../a.h", "../j/b.h", "s/../c.h", "l/a.h", "k/../a.h"}).Draw(t, "name")
		if rapid.Bool().Draw(t, "angles") {
			name = "<" + name + ">"
		} else {
			name = `"` + name + `"`
		}
		line := rapid.SampledFrom([]string{
			"#if __has_include(@)\n#include @\n#endif\n",
			"#if __has_include(@)\nthere @\n#else\nabsent @\n#endif\n",
			"#if __has_include_next(@) && __INCLUDE_LEVEL__\n#include_next @\n#endif\n",
			"#if __has_include(@)\n#define H @\n#include H\n#undef H\n#endif\n",
			"#define HAS(x) __has_include(x)\n#if HAS(@)\n#in\\\nclude /* c */ @\n#endif\n",
			"#ifdef NEVER\n#include @\n#endif\n",
			"s = R\"(\n#include @\n/*)\"; c = 'x' /* '\"' */;\n",
			"#define K L\n#if __has_include(@)\n#define L @\n#include K\n#endif\n#undef L\n",
			"%:if __has_include(@) // \\\n#error\n%:include @\n%:endif\n",
		}).Draw(t, "line")
		b.WriteString(strings.ReplaceAll(line, "@", name))
	}
	b.WriteString("#endif\n")
	return b.String()
}

func anyTree(t *rapid.T) map[string]string {
	tree := map[string]string{"m/a.cc": anyHeader(t, "m/a.cc"), "i/keep": "", "j/keep": "", "k/keep": "", "i/s/keep": "", "j/s/keep": "", "a.h": anyHeader(t, "a.h")}
	for range rapid.IntRange(8, 16).Draw(t, "files") {
		p := filepath.Join(rapid.SampledFrom(treeDirs[:6]).Draw(t, "dir"), rapid.SampledFrom(treeNames).Draw(t, "file"))
		tree[p] = anyHeader(t, p)
	}
	return tree
}

// What a command reads, alone in another place, preprocesses to the same text
// as the whole tree does.
func TestWhatIsReadIsEnough(t *testing.T) {
	eachCompiler(t, func(t *testing.T, _, cxx string) {
		var scanned, failed, files, read int
		in := inputs()
		rapid.Check(t, func(r *rapid.T) {
			whole := written(t, anyTree(r))
			if err := os.Symlink(rapid.SampledFrom([]string{"i", "j/s", "gone", "k/../j"}).Draw(r, "link"), filepath.Join(whole, "l")); err != nil {
				r.Fatal(err)
			}
			flags := rapid.SliceOfN(rapid.SampledFrom([]string{"-Ii", "-Ij", "-iquotej/s", "-isystemi/s", "-idirafterk", "-Il", "-Ik/../j", "-Igone", "-I.", "-includea.h", "-Ii/s"}), 1, 5).Draw(r, "flags")
			c := command(t, slices.Concat([]string{cxx, "-c"}, flags, []string{"m/a.cc"})...)
			argv := slices.Concat([]string{cxx, "-E", "-P"}, flags, []string{"m/a.cc"})
			want, err := run(whole, argv...)
			if err != nil {
				failed++
				return
			}
			a := of(t, in, c, whole)
			if a.Rung != Scanned {
				r.Fatalf("%s: by %d: %s", strings.Join(argv, " "), a.Rung, a.Why)
			}
			missing, n := missed(t, a, c, whole)
			if len(missing) > 0 {
				r.Fatalf("%s: without %v", strings.Join(argv, " "), missing)
			}
			alone := t.TempDir()
			plant(r, a, whole, alone)
			got, err := run(alone, argv...)
			if err != nil || got != want {
				r.Fatalf("%s: %v\n%s\nwith all files:\n%s", strings.Join(argv, " "), err, got, want)
			}
			scanned, files, read = scanned+1, files+len(a.Files), read+n
		})
		t.Logf("%d scanned, %d failed: %d files where the compiler reads %d", scanned, failed, files, read)
		if scanned <= failed {
			t.Errorf("of %d trees %d compile", scanned+failed, scanned)
		}
	})
}

// plant puts what an answer has into another directory.
func plant(t *rapid.T, a Answer, from, to string) {
	moved := func(p string) string {
		rel, err := filepath.Rel(from, p)
		if err != nil || strings.HasPrefix(rel, "..") {
			return ""
		}
		return filepath.Join(to, rel)
	}
	do := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	for _, d := range a.Dirs {
		if p := moved(d); p != "" {
			do(os.MkdirAll(p, 0o755))
		}
	}
	for _, f := range a.Files {
		if p := moved(f); p != "" {
			do(os.MkdirAll(filepath.Dir(p), 0o755))
			content, err := os.ReadFile(f)
			do(err)
			do(os.WriteFile(p, content, 0o644))
		}
	}
	for _, l := range a.Links {
		if p := moved(l.Path); p != "" {
			do(os.MkdirAll(filepath.Dir(p), 0o755))
			do(os.Symlink(l.Target, p))
		}
	}
}
