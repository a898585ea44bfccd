package remote_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// branches includes one header or another.
var branches = map[string]string{
	"s/a.c":    "#ifdef WIDE\n#include <wide.h>\n#else\n#include <narrow.h>\n#endif\nint v = V;\n",
	"i/wide.h": "#define V 1\n", "i/narrow.h": "#include \"deep.h\"\n#define V 2\n", "i/deep.h": "#if __has_include(<asked.h>)\n#endif\n",
	"i/asked.h": "", "j/keep": "", "o/keep": "",
}

const branching = "gcc -g -Ij -Ii -c s/a.c -o o/a.o -MD"

// found says which action a command is known as, after a new build has begun.
func (b *bench) found(command string) (digest.Digest, bool) {
	b.Helper()
	b.begin()
	act, hit, err := b.desk.Known(b.Context(), b.step(command))
	b.do(err)
	return act, hit
}

func TestChangesToWhatWasNotReadAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(b *bench)
		hit    bool
	}{
		"Nothing":            {func(*bench) {}, true},
		"UnreadHeader":       {func(b *bench) { b.write("i/wide.h", "#define V 100\n") }, true},
		"UnreadIncludesMore": {func(b *bench) { b.write("i/wide.h", "#include <narrow.h>\n#include <new.h>\n") }, true},
		"AskedForHeader":     {func(b *bench) { b.write("i/asked.h", "int x;\n") }, true},
		"AskedForIsGone":     {func(b *bench) { b.do(os.Remove(b.dir + "/i/asked.h")) }, false},
		"ReadHeader":         {func(b *bench) { b.write("i/deep.h", "int x;\n") }, false},
		"Source":             {func(b *bench) { b.write("s/a.c", "#include <narrow.h>\nint w = V;\n") }, false},
		"EarlierOnThePath":   {func(b *bench) { b.write("j/narrow.h", "#define V 3\n") }, false},
		"BesideTheIncluder":  {func(b *bench) { b.write("i/sub/deep.h", "") }, true},
		"EarlierOfTheUnread": {func(b *bench) { b.write("j/wide.h", "") }, false},
		"DirectoryEarlier":   {func(b *bench) { b.do(os.Mkdir(b.dir+"/j/narrow.h", 0o755)) }, true},
		"PathIsGone":         {func(b *bench) { b.do(os.RemoveAll(b.dir + "/j")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, branches)
			p := b.step(branching)
			o, r := b.through(p)
			if o.Suspect != "" || !r.OK() {
				t.Fatalf("%+v", o)
			}
			before := b.taken([]string{"o/a.o"})["o/a.o"]
			b.do(b.desk.Save(t.Context()))
			tc.change(b)
			b.fresh() // another process of the same node
			act, hit := b.found(branching)
			if hit != tc.hit || hit && act != p.Action {
				t.Fatalf("hit %v, want %v", hit, tc.hit)
			}
			now := b.plainly(branching, []string{"o/a.o"})
			if same := now.files["o/a.o"] == before; hit && !same {
				t.Error("a hit, though the compiler makes something else now")
			}
		})
	}
}

func TestWhatIsNotNarrowed(t *testing.T) {
	for _, tc := range []struct{ name, command string }{
		{"NoDepfile", "gcc -g -Ij -Ii -c s/a.c -o o/a.o"},
		{"UsersHeadersAlone", "gcc -g -Ij -Ii -c s/a.c -o o/a.o -MMD"},
	} {
		b := newBench(t, branches)
		b.through(b.step(tc.command))
		if _, hit := b.found(tc.command); hit {
			t.Errorf("%s: known", tc.name)
		}
	}
}

// gcc takes a file for one that it has read already, and is to read once, if what is
// in them is the same: then its depfile has only one of them.
func TestTwinsOfWhatWasReadCount(t *testing.T) {
	b := newBench(t, map[string]string{
		"s/a.c": "#include <one.h>\n#include <two.h>\nint v = V;\n", "i/one.h": "#pragma once\n#define V 1\n", "i/two.h": "#pragma once\n#define V 1\n", "o/keep": "",
	})
	const command = "gcc -Ii -c s/a.c -o o/a.o -MD"
	p := b.step(command)
	b.through(p)
	before := b.taken(p.Command.Outputs)
	if _, hit := b.found(command); !hit {
		t.Error("nothing has changed, and it is not known")
	}
	b.write("i/two.h", "#pragma once\n#undef V\n#define V 2\n")
	_, hit := b.found(command)
	now := b.plainly(command, p.Command.Outputs)
	if hit || now.files["o/a.o"] == before["o/a.o"] {
		t.Errorf("known: %v", hit)
	}
}

// What the assembler reads is in no depfile.
func TestWhatTheAssemblerReadsCounts(t *testing.T) {
	b := newBench(t, project)
	command := "gcc -Ii -c s/bin.c -o o/a.o -MD"
	b.through(b.step(command))
	if _, hit := b.found(command); !hit {
		t.Error("nothing has changed, and it is not known")
	}
	b.write("d/blob", "other\n")
	if _, hit := b.found(command); hit {
		t.Error("known, though what the assembler reads has changed")
	}
}

// anyHeader draws the content of a header whose branches read others.
func anyHeader(t *rapid.T, label string) string {
	var s strings.Builder
	for range rapid.IntRange(0, 3).Draw(t, label+" lines") {
		h := rapid.SampledFrom([]string{"a.h", "b.h", "c.h", "d/a.h"}).Draw(t, label+" header")
		form := rapid.SampledFrom([]string{"#include \"%s\"\n", "#include <%s>\n"}).Draw(t, label+" form")
		include := fmt.Sprintf(form, h)
		line := rapid.SampledFrom([]string{
			"#if __has_include(<@>)\n!#endif\n", "#if NEVER && __has_include(<@>)\n!#endif\n", "#ifdef NEVER\n!#endif\n", "#ifndef NEVER\n#if __has_include(\"@\")\n!#endif\n#endif\n",
			"#if __has_include(<@>)\nint has(const char *);\n#endif\n",
		}).Draw(t, label+" line")
		s.WriteString(strings.NewReplacer("@", h, "!", include).Replace(line))
	}
	fmt.Fprintf(&s, "char s%d[] = \"%s\";\n", rapid.IntRange(0, 999).Draw(t, label+" name"), label)
	return "#pragma once\n" + s.String()
}

var places = []string{"a.h", "i/a.h", "i/b.h", "i/c.h", "i/d/a.h", "j/a.h", "j/b.h", "j/d/a.h", "s/b.h", "s/c.h", "s/d/a.h"}

// Whatever changes in a tree: if a command is known, the compiler makes the very
// same of it now.
func TestWhatIsKnownIsWhatTheCompilerMakes(t *testing.T) {
	const command = "gcc -g -Ij -Ii -c s/main.c -o o/a.o -MD"
	var hits, moved, misses int
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(t, map[string]string{"s/main.c": anyHeader(r, "main") + "#include <a.h>\n", "o/keep": "", "i/keep": "", "j/keep": "", "i/a.h": "int a;\n"})
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(places), 3, 8, rapid.ID).Draw(r, "headers") {
			b.write(p, anyHeader(r, p))
		}
		results := map[digest.Digest]*action.Result{}
		for round := range 4 {
			b.begin()
			p := b.step(command)
			act, hit, err := b.desk.Known(b.Context(), p)
			b.do(err)
			now := b.plainly(command, p.Command.Outputs)
			if hit {
				hits++
				if act != p.Action {
					moved++
				}
				o, err := b.desk.Finish(b.Context(), p, act, results[act])
				b.do(err)
				if err := (ran{string(o.Said), o.ExitCode, b.taken(p.Command.Outputs)}).equal(now); err != nil {
					r.Fatalf("round %d: known and other: %v", round, err)
				}
			} else {
				misses++
				for o, content := range now.files { // as from another machine
					now.files[b.dir+"/"+o] = content
				}
				res := b.result(now, &p.Step)
				o, err := b.desk.Finish(b.Context(), p, p.Action, res)
				if err != nil || o.Suspect != "" && now.code == 0 { // what is here may lie where it is not looked for
					r.Fatalf("not believed: %s, %v", o.Suspect, err)
				}
				b.taken(p.Command.Outputs)
				results[p.Action] = res
			}
			p1 := rapid.SampledFrom(places).Draw(r, "changed")
			if rapid.IntRange(0, 3).Draw(r, "remove") == 0 && p1 != "i/a.h" {
				_ = os.Remove(filepath.Join(b.dir, p1))
			} else {
				b.write(p1, anyHeader(r, fmt.Sprint(p1, round)))
			}
		}
	})
	t.Logf("%d known, %d of them though something had changed; %d not", hits, moved, misses)
	if moved == 0 {
		t.Error("nothing was known after a change")
	}
}
