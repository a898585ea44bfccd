package remote_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
)

// program is sources of libraries that need each other, and what links want
// besides.
var program = map[string]string{
	"a.c":        "#include <stdio.h>\nint f(int);\nint main(void) { printf(\"%d\\n\", f(1)); return 0; }\n",
	"f.c":        "int g(int);\nint f(int n) { return g(n) + 1; }\n",
	"g.c":        "int h(int);\nint g(int n) { return h(n) + 1; }\n",
	"h.c":        "int h(int n) { return n + 1; }\nint hidden(void) { return 7; }\n",
	"m.cc":       "#include <iostream>\n#include <thread>\nint main() { std::thread t([] { std::cout << \"x\\n\"; }); t.join(); }\n",
	"own.c":      "int h(int n) { return n + 2; }\n",
	"h.map":      "{ global: h; local: *; };\n",
	"h.list":     "{ h; };\n",
	"retain":     "main\n",
	"group":      "GROUP ( o/f.o /* twice */ \"g.o\" AS_NEEDED ( -lh ) )\n",
	"sub/libs":   "SEARCH_DIR(sl)\nGROUP(libf.a sl/libg.a libh.a)\n",
	"more.ld":    "INCLUDE inner.ld\nINSERT AFTER .data;\n",
	"inner.ld":   "SECTIONS { .mine : { extra.o(.data) } }\n",
	"extra.c":    "int extra = 3;\n",
	"names":      "-Wl,--as-needed -Llib\n-lh",
	"inside":     "-Llib --no-as-needed",
	"o/keep":     "",
	"lib/keep":   "",
	"priv/keep":  "",
	"sl/keep":    "",
	"thin/keep":  "",
	"one/x/keep": "",
}

// linkable is a project of which all is compiled, and libraries are made.
func linkable(t *testing.T) *bench {
	b := newBench(t, program)
	for _, command := range []string{
		"for f in a f g h own extra; do gcc -g -O1 -fPIC -c $f.c -o o/$f.o || exit 1; gcc -O2 -flto -c $f.c -o o/$f.lto.o || exit 1; done",
		"g++ -c m.cc -o o/m.o", "cp o/extra.o extra.o; cp o/g.o g.o",
		"gcc -shared -o priv/libh.so.1.2 -Wl,-soname,libh.so.1 o/h.o && ln -s libh.so.1.2 priv/libh.so.1 && ln -s libh.so.1 priv/libh.so",
		"gcc -shared -o lib/libg.so o/g.o -Lpriv -lh -Wl,-rpath,'$ORIGIN/../priv'", "gcc -shared -o lib/libf.so o/f.o -Llib -lg -Wl,-rpath-link,priv",
		"ar rcs sl/libf.a o/f.o; ar rcs sl/libg.a o/g.o; ar rcs sl/libh.a o/h.o; cp sl/libh.a lib/libh.a",
		"cd thin && ar rcsT libfg.a ../o/f.o ../o/g.o", "ar rcs old.a o/h.o", "ln -s ../o one/two",
	} {
		b.made(command)
	}
	for driver, flags := range map[string]string{"clang": "-O2 -flto=thin %.thin.o", "aarch64-linux-gnu-gcc": "-g %.arm.o"} {
		if _, err := exec.LookPath(driver); err == nil {
			b.made("for f in a f g h; do " + driver + " -c $f.c " + strings.ReplaceAll(flags, "%", "-o o/$f") + " || exit 1; done")
		}
	}
	b.begin()
	return b
}

// made runs a command that is to succeed.
func (b *bench) made(command string) {
	b.Helper()
	if r := b.plainly(command, nil); r.code != 0 {
		b.Fatalf("%s: %s", command, r.said)
	}
}

// worker is a sandbox as another machine has it.
func worker(t *testing.T, b *bench) *nodeexec.Executor {
	t.Helper()
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, missing := e.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	return e
}

// same runs a command here and in a sandbox, and wants the same of both.
func (b *bench) same(e *nodeexec.Executor, command string) *remote.Prepared {
	b.Helper()
	p := b.step(command)
	outputs := make([]string, len(p.Step.Outputs))
	before := map[string][]byte{}
	for i, o := range p.Step.Outputs {
		outputs[i] = "/" + o
		if content, err := os.ReadFile(outputs[i]); err == nil {
			before[outputs[i]] = content
		}
	}
	want := b.plainly(command, outputs)
	restore := func() {
		for o, content := range before {
			b.do(os.WriteFile(o, content, 0o644))
		}
	}
	restore()
	defer restore()
	b.begin()
	p = b.step(command)
	o, err := b.desk.Finish(b.Context(), p, p.Action, b.sandboxed(e, p))
	b.do(err)
	if o.Suspect != "" {
		b.Fatalf("%s: not believed: %s: %s", command, o.Suspect, o.Said)
	}
	if err := (ran{string(o.Said), o.ExitCode, b.taken(outputs)}).equal(want); err != nil {
		b.Errorf("%s: %v", command, err)
	}
	if want.code != 0 || len(want.files) != len(outputs) {
		b.Errorf("%s: exit %d, %d of %d files: %s", command, want.code, len(want.files), len(outputs), want.said)
	}
	return p
}

// linked are links that run elsewhere, by their names in docs/hazards.md.
var linked = map[string]string{
	"Objects":            "gcc -g o/a.o o/f.o o/g.o o/h.o -o o/p",
	"NoOutputNamed":      "gcc o/a.o o/f.o o/g.o o/h.o",
	"CXX":                "g++ -pthread o/m.o -o o/p",
	"Shared":             "gcc -shared -Wl,-soname,libx.so.1 -o o/libx.so.1 o/h.o",
	"StaticLibraries":    "gcc o/a.o -Lsl -lf -lg -lh -o o/p",
	"ByPath":             "gcc o/a.o sl/libf.a sl/libg.a ./sl/../sl/libh.a -o o/p",
	"Named":              "gcc o/a.o -Lsl -l:libf.a -l:libg.a -l:libh.a -o o/p",
	"Neighbours":         "gcc o/a.o -L lib -lf -Wl,-rpath-link,priv:lib -o o/p",
	"RunPathOfALibrary":  "gcc o/a.o lib/libf.so -Wl,-rpath-link=lib -o o/p",
	"OriginOfALibrary":   "gcc o/a.o o/f.o -Llib -lg -o o/p",
	"AsNeeded":           "gcc o/a.o -Wl,--as-needed -Llib -lf -lg -Wl,--no-as-needed -lm -Wl,-rpath,$PWD/lib -o o/p",
	"AsNeededOfNothing":  "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--as-needed -Llib -Lpriv -lf -lg -lh -lm -ldl -o o/p",
	"LinkedLibrary":      "gcc o/f.o o/g.o o/a.o -Lpriv -lh -o o/p",
	"FirstDirectory":     "gcc o/a.o o/f.o o/g.o -Llib -Lpriv -lh -o o/p",
	"Static":             "gcc -static o/a.o -Lsl -lf -lg -lh -o o/p",
	"StaticOfSome":       "gcc o/a.o -Lsl -Llib -Wl,-Bstatic -lf -lg -lh -Wl,-Bdynamic -o o/p",
	"WholeArchive":       "gcc -shared -o o/all.so -Wl,--whole-archive sl/libf.a sl/libg.a sl/libh.a -Wl,--no-whole-archive",
	"Group":              "gcc o/a.o -Wl,--start-group sl/libh.a sl/libg.a sl/libf.a -Wl,--end-group -o o/p",
	"VersionScript":      "gcc -shared -o o/l.so o/h.o -Wl,--version-script=h.map",
	"VersionScriptApart": "gcc -shared -o o/l.so o/h.o -Wl,--version-script -Wl,h.map -Xlinker -z -Xlinker now",
	"DynamicList":        "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--dynamic-list=h.list -o o/p",
	"RetainSymbols":      "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--retain-symbols-file=retain -o o/p",
	"LinkerScript":       "gcc o/a.o group -Lsl -o o/p",
	"ScriptOfASubfolder": "gcc o/a.o sub/libs -o o/p",
	"ScriptThatIncludes": "gcc o/a.o o/f.o o/g.o o/h.o -T more.ld -o o/p",
	"Map":                "gcc o/a.o o/f.o o/g.o o/h.o -Wl,-Map=o/p.map -o o/p",
	"MapApart":           "gcc o/a.o o/f.o o/g.o o/h.o -Wl,-Map -Wl,o/p.map -Wl,--cref -o o/p",
	"DependencyFile":     "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--dependency-file=o/p.d -o o/p",
	"Relocatable":        "gcc -r o/f.o o/g.o -o o/fg.o",
	"Response":           "gcc o/a.o o/f.o o/g.o @names -o o/p",
	"ResponseOfLinker":   "gcc o/a.o o/f.o o/g.o -Wl,@inside o/h.o -o o/p",
	"LTO":                "gcc -O2 -flto o/a.lto.o o/f.lto.o o/g.lto.o o/h.lto.o -o o/p",
	"LTOInParallel":      "gcc -O2 -flto=2 o/a.lto.o o/f.lto.o o/g.lto.o o/h.lto.o -o o/p",
	"LTOByTheObjects":    "gcc o/a.lto.o o/f.lto.o o/g.lto.o o/h.lto.o -o o/p",
	"LTOForDebugging":    "gcc -g -flto=auto o/a.lto.o o/f.lto.o o/g.lto.o o/h.lto.o -o o/p",
	"Gold":               "gcc -fuse-ld=gold o/a.o -Lsl -lf -lg -lh -o o/p",
	"GoldAndLibraries":   "gcc -fuse-ld=gold o/a.o -Llib -lf -o o/p -Wl,--allow-shlib-undefined",
	"BFD":                "gcc -fuse-ld=bfd o/a.o -Lsl -lf -lg -lh -o o/p",
	"LLD":                "gcc -fuse-ld=lld o/a.o -Lsl -lf -lg -lh -o o/p",
	"Mold":               "gcc -fuse-ld=mold o/a.o -Lsl -lf -lg -lh -o o/p",
	"Thin":               "gcc o/a.o thin/libfg.a o/h.o -o o/p",
	"BuildID":            "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--build-id=sha1 -o o/p",
	"Sanitizer":          "gcc -fsanitize=address o/a.o o/f.o o/g.o o/h.o -o o/p",
	"Coverage":           "gcc --coverage o/a.o o/f.o o/g.o o/h.o -o o/p",
	"Profile":            "gcc -pg o/a.o o/f.o o/g.o o/h.o -o o/p",
	"OpenMP":             "gcc -fopenmp o/a.o o/f.o o/g.o o/h.o -o o/p",
	"Strip":              "gcc -s o/a.o o/f.o o/g.o o/h.o -o o/p",
	"Binary":             "gcc o/a.o o/f.o o/g.o o/h.o -Wl,--format=binary h.map -Wl,--format=default -o o/p",
	"Defined":            "gcc o/a.o o/f.o o/g.o -Wl,--defsym=h=0 -Wl,--wrap=puts -Wl,-u,main -o o/p",
	"MissingDirectory":   "gcc o/a.o o/f.o o/g.o o/h.o -Lnowhere -L/usr/lib/nowhere -Wl,-rpath,/usr/local/lib/nowhere -o o/p",
	"SystemByPath":       "gcc o/a.o o/f.o o/g.o o/h.o $LIBM -o o/p",
	"CMake":              ": && /usr/bin/cc -g -Wl,--as-needed o/a.o o/f.o o/g.o o/h.o -o o/p  -Wl,-rpath,\"\\$ORIGIN/lib:$PWD/lib\" lib/libf.so && :",
	"InADirectory":       "cd o && gcc -g a.o f.o g.o h.o -o p",
	"Native":             "gcc -O2 -march=native o/a.o o/f.o o/g.o o/h.o -o o/p",
	"ThroughALink":       "gcc one/two/a.o one/x/../two/f.o o/g.o o/h.o -o one/two/p",
	"NothingOfItsOwn":    "gcc -nostdlib -shared o/h.o -o o/l.so",
	"NeededAndNotFound":  "gcc o/a.o lib/libf.so o/g.o o/h.o -Wl,--allow-shlib-undefined -o o/p",
	"Trace":              "gcc o/a.o -Lsl -lf -lg -lh -Wl,--trace -o o/p",
	"Warnings":           "gcc o/a.o o/f.o -Wl,--unresolved-symbols=ignore-all -Wl,--warn-common o/g.o o/h.o -o o/p",
	"Clang":              "clang -g o/a.o -Lsl -lf -lg -lh -o o/p",
	"ClangOfCXX":         "clang++ -pthread o/m.o -o o/p",
	"ClangAndLLD":        "clang -fuse-ld=lld o/a.o -Llib -lf -Wl,-rpath-link,priv:lib -o o/p",
	"ClangAndMold":       "clang -fuse-ld=mold o/a.o -Lsl -lf -lg -lh -o o/p",
	"ClangAndGold":       "clang -fuse-ld=gold o/a.o -Lsl -lf -lg -lh -o o/p",
	"ThinLTO":            "clang -O2 -flto=thin -fuse-ld=lld o/a.thin.o o/f.thin.o o/g.thin.o o/h.thin.o -o o/p",
	"Cross":              "aarch64-linux-gnu-gcc -g o/a.arm.o o/f.arm.o o/g.arm.o o/h.arm.o -o o/p",
}

// archived are archives that are made elsewhere, as linked.
var archived = map[string]string{
	"Plain":          "ar rcs o/l.a o/f.o o/g.o",
	"Verbose":        "ar rcv o/l.a o/f.o o/g.o",
	"NotSilent":      "ar r o/l.a o/f.o o/g.o",
	"ByPath":         "/usr/bin/ar qc o/l.a o/f.o o/g.o",
	"Deterministic":  "ar rcsD o/l.a o/f.o o/g.o",
	"Dashed":         "ar -r -cs o/l.a o/f.o o/g.o",
	"Updating":       "ar cru o/l.a o/f.o o/g.o",
	"Thin":           "ar rcsT o/l.a o/f.o o/g.o",
	"LLVM":           "llvm-ar rcs o/l.a o/f.o o/g.o",
	"OfGCC":          "gcc-ar rcs o/l.a o/f.lto.o o/g.lto.o",
	"LTO":            "ar rcs o/l.a o/f.lto.o o/g.lto.o",
	"Existing":       "ar rcs old.a o/f.o",
	"Replacing":      "ar rcs old.a o/h.o",
	"ExistingIsGone": "rm -f old.a && ar rcs old.a o/f.o",
	"Index":          "ranlib old.a",
	"IndexByAr":      "ar s old.a",
	"Response":       "ar rcs o/l.a @members",
	"CMake":          ": && /usr/bin/cmake -E rm -f o/l.a && /usr/bin/ar qc o/l.a  o/f.o o/g.o && /usr/bin/ranlib o/l.a && :",
	"InADirectory":   "cd o && rm -f l.a && ar cq l.a f.o ../o/g.o && ranlib -D l.a",
	"ThroughALink":   "ar rcs one/two/l.a one/two/f.o",
	"Quoted":         "rm -f 'o/a b.a' && ar rc 'o/a b.a' o/f.o && ranlib 'o/a b.a'",
}

// What is linked in a sandbox, where there is nothing but what was declared, is
// what is linked here.
func TestLinksElsewhereAreAsHere(t *testing.T) {
	b := linkable(t)
	e := worker(t, b)
	for name, command := range linked {
		t.Run(name, func(t *testing.T) {
			programs := []string{strings.TrimPrefix(strings.Fields(command)[0], ":")}
			if _, flag, ok := strings.Cut(command, "-fuse-ld="); ok {
				programs = append(programs, "ld."+strings.Fields(flag)[0])
			}
			need(t, programs...)
			command = strings.NewReplacer("$PWD", b.dir, "$LIBM", system("libm.so")).Replace(command)
			b := *b
			b.TB = t
			if p := b.same(e, command); p.Work != remote.Links {
				t.Errorf("it is %v", p.Work)
			}
		})
	}
}

// need skips a test where a program is not there; ":" is the shell's.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil && p != "" && p != "cd" {
			t.Skip(err)
		}
	}
}

// system is a library of the compiler's own.
func system(name string) string {
	out, _ := exec.Command("gcc", "-print-file-name="+name).Output()
	return filepath.Clean(strings.TrimSpace(string(out)))
}

func TestArchivesElsewhereAreAsHere(t *testing.T) {
	b := linkable(t)
	b.write("members", "o/f.o 'o/g.o'\n")
	b.begin()
	e := worker(t, b)
	for name, command := range archived {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(command, "llvm") {
				need(t, strings.Fields(command)[0])
			}
			b := *b
			b.TB = t
			if p := b.same(e, command); p.Work != remote.Archives {
				t.Errorf("it is %v", p.Work)
			}
		})
	}
}
