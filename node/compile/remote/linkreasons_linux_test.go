package remote_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/compile/remote/link"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// unlinked are links and archives that are for this machine alone, as linked.
var unlinked = map[string]struct{ command, env, why string }{
	"CompilesAsWell":    {"gcc a.c o/f.o -o o/p", "", "compiles and links"},
	"NoObject":          {"gcc -lm -o o/p", "", "no source"},
	"Plugin":            {"gcc o/a.o -Wl,-plugin,x.so -o o/p", "", "-Wl,-plugin"},
	"Unheard":           {"gcc o/a.o -Wl,--quux -o o/p", "", "--quux"},
	"OwnRoot":           {"gcc o/a.o -L=/lib -o o/p", "", "own root"},
	"Emulation":         {"gcc o/a.o -Wl,-m,elf_i386 -o o/p", "", "-m"},
	"AnotherTarget":     {"gcc -m32 o/a.o -o o/p", "", "looked for elsewhere"},
	"Prefix":            {"gcc -Bbin o/a.o -o o/p", "", "programs"},
	"Specs":             {"gcc -specs=x o/a.o -o o/p", "", "specs"},
	"UUID":              {"gcc o/a.o -Wl,--build-id=uuid -o o/p", "", "each link"},
	"StrangeLinker":     {"gcc -fuse-ld=x o/a.o -o o/p", "", "that linker"},
	"LibraryPath":       {"gcc o/a.o -o o/p", "LD_LIBRARY_PATH=/x", "LD_LIBRARY_PATH"},
	"LibrariesOfDriver": {"gcc o/a.o -o o/p", "LIBRARY_PATH=/x", "LIBRARY_PATH"},
	"Jobserver":         {"gcc -flto o/a.lto.o -o o/p", "MAKEFLAGS= --jobserver-auth=3,4", "jobserver"},
	"SplitLTO":          {"gcc -flto -gsplit-dwarf o/a.lto.o -o o/p", "", "further files"},
	"ScriptThatWrites":  {"gcc o/a.o text -o o/p", "", "what is made"},
	"NoLibrary":         {"gcc o/a.o blob -o o/p", "", "no object"},
	"NotThere":          {"gcc o/a.o o/nowhere.o -o o/p", "", "nowhere.o is not there"},
	"NoVersionScript":   {"gcc o/a.o -Wl,--version-script=nowhere -o o/p", "", "nowhere is not there"},
	"NoScript":          {"gcc o/a.o -T nowhere -o o/p", "", "nowhere is not there"},
	"ThinIsElsewhere":   {"gcc o/a.o one/x/libfg.a -o o/p", "", "o/f.o is not there"},
	"DanglingLink":      {"gcc o/a.o dangling -o o/p", "", "dangling is not there"},
	"NoDirectory":       {"gcc o/a.o -o nowhere/p", "", "directory of its output"},
	"Overwrites":        {"gcc -r o/a.o -o o/a.o", "", "which it writes"},
	"OwnLinker":         {"gcc o/a.o -o o/p", "PATH=$PWD/bin:" + actionPath, "PATH has ld"},
	"MapIsADirectory":   {"gcc o/a.o -Wl,-Map=lib -o o/p", "", "is no file"},
	"SaveTemps":         {"gcc -save-temps o/a.o -o o/p", "", "on the way"},
	"Stats":             {"gcc o/a.o -Wl,--stats -o o/p", "", "--stats"},
	"Resolution":        {"gcc o/a.o -Wl,-L/usr -lh -o o/p", "", "each machine has its own"},
	"TimesOfFiles":      {"ar rcU o/l.a o/f.o", "", "ar U"},
	"Deletes":           {"ar d old.a h.o", "", "no archive of files"},
	"Lists":             {"ar t old.a", "", "no archive of files"},
	"Beside":            {"ar rb h.o old.a o/f.o", "", "ar b"},
	"NoMember":          {"ar rcs o/l.a o/nowhere.o", "", "nowhere.o is not there"},
	"DirectoryAsMember": {"ar rcs o/l.a o", "", "directory"},
	"AddsToThin":        {"ar rcs thin/libfg.a o/h.o", "", "thin"},
	"UpdatesExisting":   {"ar ru old.a o/f.o", "", "when files were written"},
	"PluginOfAr":        {"ar --plugin x rcs o/l.a o/f.o", "", "--plugin"},
	"RemovesMore":       {"rm -f o/l.a o/f.o && ar rcs o/l.a o/g.o", "", "removes o/f.o"},
	"RemovesInTheEnd":   {"ar rcs o/l.a o/g.o && rm -f o/l.a", "", "in the end"},
	"Options":           {"ar rcs o/l.a -x", "", "-x"},
	"IndexOfNothing":    {"ranlib o/nowhere.a", "", ""},
	"Timestamp":         {"ranlib -t old.a", "", "-t"},
	"Script":            {"ar -M", "", "typed"},
}

// What is not linked or archived elsewhere says why.
func TestLinksOnlyForThisMachineSayWhy(t *testing.T) {
	b := linkable(t)
	b.write("text", "no script at all, but named as one: OUTPUT(x)\n")
	b.do(os.WriteFile(filepath.Join(b.dir, "blob"), []byte("\x00\x01"), 0o644))
	b.write("bin/ld", "#!/bin/sh\nexec /usr/bin/ld \"$@\"\n")
	b.do(os.Chmod(filepath.Join(b.dir, "bin/ld"), 0o755))
	b.made("cp thin/libfg.a one/x/; ln -s nowhere dangling")
	b.begin()
	for name, tc := range unlinked {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.TB = t
			b.env = map[string]string{"PATH": actionPath}
			b.set(strings.ReplaceAll(tc.env, "$PWD", b.dir))
			b.begin()
			p, err := b.desk.Prepare(t.Context(), b.request(tc.command))
			switch {
			case err != nil && errors.Is(err, remote.ErrNotCompiler) && strings.Contains(err.Error(), tc.why):
			case err != nil:
				t.Fatal(err)
			case tc.why == "" && len(p.Local) == 0: // it fails there, and then here
			case !says(p.Local, tc.why):
				t.Errorf("%s: %q, want one with %q", tc.command, p.Local, tc.why)
			}
		})
	}
}

// A link that fails is never believed: what it leaves behind depends on the
// linker.
func TestLinksThatFailAreRunHere(t *testing.T) {
	b := linkable(t)
	for _, command := range []string{"gcc o/a.o -o o/p", "gcc o/a.o o/f.o -lnowhere -o o/p", "ranlib o/nowhere.a"} {
		p := b.step(command)
		if o, _ := b.through(p); o.Suspect == "" {
			t.Errorf("%s: believed: %d %s", command, o.ExitCode, o.Said)
		}
	}
}

// opened matches a file that was opened, or looked at, and was there.
var opened = regexp.MustCompile(`(?m)(?:open|openat|access|readlink|execve)\((?:AT_FDCWD, )?"([^"]+)"[^\n]*\) = \d`)

// All that a linker opens goes along, or is the toolchain's.
func TestWhatALinkerOpensIsDeclared(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	b := linkable(t)
	for _, command := range []string{
		"gcc o/a.o -Llib -Lpriv -lf -Wl,-rpath-link,priv:lib -lm -o o/p", "gcc o/a.o group -Lsl -o o/p", "gcc o/a.o o/f.o o/g.o o/h.o -T more.ld -o o/p",
		"gcc -flto=2 o/a.lto.o o/f.lto.o o/g.lto.o o/h.lto.o -o o/p", "gcc o/a.o thin/libfg.a o/h.o -o o/p", "g++ -static o/m.o -o o/p", "gcc -fuse-ld=gold o/a.o -Lsl -lf -lg -lh -o o/p",
		"ar rcs o/l.a o/f.lto.o one/two/g.o", "gcc -fsanitize=address -fopenmp o/a.o o/f.o o/g.o o/h.o -o o/p",
	} {
		p := b.step(command)
		log := filepath.Join(t.TempDir(), "log")
		b.made(strace + " -f -s 4096 -e trace=open,openat,access,readlink,execve -o " + log + " " + command)
		text, err := os.ReadFile(log)
		b.do(err)
		declared := b.given(p)
		for _, m := range opened.FindAllStringSubmatch(string(text), -1) {
			f := m[1]
			if !filepath.IsAbs(f) {
				f = b.dir + "/" + f
			}
			if target, err := filepath.EvalSymlinks(f); err == nil {
				f = target
			}
			info, err := os.Stat(f)
			own := strings.HasPrefix(f, b.dir+"/")
			switch {
			case err != nil || info.IsDir() || slices.Contains(p.Step.Outputs, f[1:]):
			case own && !declared[f]:
				t.Errorf("%s: %s is not declared", command, f)
			case !own && strings.HasPrefix(f, "/usr/lib/") && !link.Linkable(filepath.Base(f)) && info.Mode()&0o111 == 0 && !strings.Contains(f, "locale") && !strings.Contains(f, "gconv") && !strings.Contains(m[1], "/bfd-plugins/"):
				t.Errorf("%s: %s is neither declared nor of the toolchain", command, f)
			}
		}
	}
}

// eachFile names the files of a tree.
func (b *bench) eachFile(d digest.Digest, at string, do func(file string)) {
	b.Helper()
	m, err := b.Directory(b.Context(), d)
	b.do(err)
	for _, f := range m.Files {
		do(at + "/" + f.Name)
	}
	for _, sub := range m.Directories {
		below, err := action.DigestOf(sub.Digest)
		b.do(err)
		b.eachFile(below, at+"/"+sub.Name, do)
	}
}

// given are the files that a step is given.
func (b *bench) given(p *remote.Prepared) map[string]bool {
	b.Helper()
	files := map[string]bool{}
	b.eachFile(p.Step.Inputs, "", func(f string) { files[f] = true })
	return files
}

// What a command writes is known of one that is for this machine alone as well,
// if it was read.
func TestWhatACommandWritesIsKnown(t *testing.T) {
	b := linkable(t)
	for command, want := range map[string]string{
		"gcc -c f.c -o o/f.o -MD":                                     "o/f.o o/f.d",
		"gcc -c nowhere.c -o o/f.o":                                   "o/f.o",
		"gcc -save-temps -c f.c -o o/f.o":                             "?",
		"gcc o/a.o o/f.o o/g.o o/h.o -Wl,-Map=o/p.map -o o/p":         "o/p o/p.map",
		"gcc o/a.o o/nowhere.o":                                       "a.out",
		"cd o && gcc a.o nowhere.o -o p":                              "o/p",
		"gcc o/a.o -Wl,--quux -o o/p":                                 "?",
		"ar rcs o/l.a o/f.o":                                          "o/l.a",
		"ar rcs o/l.a o/nowhere.o":                                    "o/l.a",
		"ar x old.a":                                                  "?",
		"rm -f o/l.a o/f.o && ar rcs o/l.a o/g.o":                     "o/l.a o/l.a o/f.o",
		": && rm -f o/l.a && ar qc o/l.a o/nowhere.o && ranlib o/l.a": "o/l.a o/l.a o/l.a",
	} {
		files, known := b.prepare(command).Writes()
		for i, f := range files {
			files[i] = strings.TrimPrefix(f, b.dir+"/")
		}
		if got := strings.Join(files, " "); known != (want != "?") || known && got != want {
			t.Errorf("%s: %q %v, want %q", command, got, known, want)
		}
	}
}
