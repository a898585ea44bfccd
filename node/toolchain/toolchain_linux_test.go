package toolchain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSpecOf(t *testing.T) {
	for command, want := range map[string]string{
		"cc -O2 -Iinclude -c a.c -o a.o":     "cc:cc",
		"x86_64-linux-gnu-gcc-12 -c a.c":     "cc:x86_64-linux-gnu-gcc-12",
		"clang++-15 -S a.cc":                 "cc:clang++-15",
		"g++ a.o b.o -o a -lm":               "link:g++",
		"cc a.c -o a":                        "link:cc",
		"cc -DDIR=/usr/share -c a.c":         "cc:cc",
		"cc -ffile-prefix-map=/a=/b -c a.c":  "cc:cc",
		"cc -I/usr/lib/x/include -c a.c":     "host",
		"cc /usr/lib/x.o -o a":               "host",
		"cc -fplugin=p.so -c a.c":            "host",
		"cc -B tools -c a.c":                 "host",
		"cc --sysroot=/x -c a.c":             "host",
		"clang -target arm-none-eabi -c a.c": "host",
		"/usr/bin/cc -c a.c":                 "host",
		"cc -march=native -c a.c":            "cc+native:cc",
		"rustc -Ctarget-cpu=native a.rs":     "host+native",
		"/bin/sh -e -c make":                 "host",
		"ccache cc -c a.c":                   "host",
		"ar rcsD libapi.a a.o":               "host",
	} {
		if got := SpecOf(strings.Fields(command), nil, nil); got.Spec != want {
			t.Errorf("SpecOf(%s) = %s, want %s", command, got.Spec, want)
		}
	}
	got := SpecOf([]string{"ar"}, []string{"ranlib", "ar", "ar"}, []string{"/opt/a", "/opt/b"})
	if want := (Spec{Spec: "tools:ar,ranlib", Dirs: "/opt/a:/opt/b"}); got != want {
		t.Errorf("SpecOf with tools = %v, want %v", got, want)
	}
}

func TestSpecsThatNoNodeMakesAreRefused(t *testing.T) {
	p := New(Options{})
	for _, s := range []Spec{
		{}, {Spec: "cc"}, {Spec: "cc:sh"}, {Spec: "cc:/tmp/evil/gcc"}, {Spec: "link:../gcc"}, {Spec: "tools:"}, {Spec: "tools:a/b"},
		{Spec: "tools:-x"}, {Spec: "everything"}, {Spec: "host", Dirs: "/"}, {Spec: "host", Dirs: "relative"}, {Spec: "host", Dirs: "/a/../b"},
		{Spec: "tools:" + strings.Repeat("a,", 1000) + "a"},
		{Spec: "+native"}, {Spec: "cc+native"}, {Spec: "cc+native:sh"}, {Spec: "host+native+native"}, {Spec: "tools+native:a/b"},
	} {
		if d, err := p.Digest(t.Context(), s); !errors.Is(err, ErrSpec) || !strings.HasPrefix(err.Error(), "toolchain "+s.Spec+": ") {
			t.Errorf("Digest(%v) = %s, %v, want ErrSpec that names it", s, d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cc:gcc", "/opt/x:/opt/y")
	f.Add("tools:a,b", "")
	f.Fuzz(func(t *testing.T, spec, dirs string) {
		p, err := parse(Spec{Spec: spec, Dirs: dirs})
		if err != nil {
			return
		}
		for _, n := range p.names {
			if strings.ContainsAny(n, "/\x00") {
				t.Fatalf("name %q of %q", n, spec)
			}
		}
	})
}

func TestDigestIsOfWhatIsReadAndRun(t *testing.T) {
	compile, link, tools, host, ar := Spec{Spec: "cc:cc"}, Spec{Spec: "link:cc"}, Spec{Spec: "tools:as"}, Spec{Spec: "host"}, Spec{Spec: "tools:ar,as"}
	all := []Spec{compile, link, tools, host, ar}
	for name, tc := range map[string]struct {
		change  func(b *bench)
		changes []Spec
	}{
		"Nothing":       {func(*bench) {}, nil},
		"TouchedHeader": {func(b *bench) { _ = os.Chtimes(b.path("include/a.h"), time.Now(), time.Now()) }, nil},
		"SameHeader":    {func(b *bench) { b.write("include/a.h", "int a;", 0o644) }, nil},
		"Header":        {func(b *bench) { b.write("include/sub/b.h", "int c;", 0o644) }, []Spec{compile, link, host}},
		"NewHeader":     {func(b *bench) { b.write("include/sub/new.h", "", 0o644) }, []Spec{compile, link, host}},
		"RemovedHeader": {func(b *bench) { _ = os.Remove(b.path("include/a.h")) }, []Spec{compile, link, host}},
		"Compiler":      {func(b *bench) { b.write("libexec/cc1", "compiler2", 0o755) }, []Spec{compile, link, host}},
		"Assembler":     {func(b *bench) { b.write("bin/as", "assembler2", 0o755) }, all},
		"Linker":        {func(b *bench) { b.write("bin/ld", "linker2", 0o755) }, []Spec{link, host}},
		"Library":       {func(b *bench) { b.write("lib/libx.a", "y", 0o644) }, []Spec{link, host}},
		"Start":         {func(b *bench) { b.write("lib/crt1.o", "other", 0o644) }, []Spec{link, host}},
		"OtherLinker":   {func(b *bench) { b.write("bin/ld.gold", "gold", 0o755) }, []Spec{link, host}},
		"LinkersOwn":    {func(b *bench) { b.write("ldlib/libz.so.1", "z", 0o644) }, []Spec{link, host}},
		"Archiver":      {func(b *bench) { b.write("bin/ar", "ar2", 0o755) }, []Spec{ar, host}},
		"Plugin":        {func(b *bench) { b.write("lib/bfd-plugins/p.so", "p", 0o644) }, []Spec{ar}},
		"PluginOfBFD":   {func(b *bench) { b.write("lib/machine/bfd-plugins/p.so", "p", 0o644) }, []Spec{ar}},
		"NoLibrary":     {func(b *bench) { b.write("lib/notes.txt", "changed", 0o644) }, nil},
		"OtherProgram":  {func(b *bench) { b.write("bin/other", "x", 0o755) }, []Spec{host}},
		"Package":       {func(b *bench) { b.write("var/lib/dpkg/status", "Package: a\nVersion: 1\n\n", 0o644) }, []Spec{host}},
		"UsrLocal":      {func(b *bench) { b.write("usr/local/share/x", "x", 0o644) }, []Spec{host}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			before := map[Spec]string{}
			for _, s := range all {
				before[s] = b.digest(s)
			}
			tc.change(b)
			for _, s := range all {
				want := false
				for _, c := range tc.changes {
					want = want || c == s
				}
				if got := b.digest(s) != before[s]; got != want {
					t.Errorf("digest of %s changed: %v, want %v", s.Spec, got, want)
				}
			}
		})
	}
}

func TestDifferentSpecsHaveDifferentDigests(t *testing.T) {
	b := newBench(t)
	seen := map[string]Spec{}
	for _, s := range []Spec{{Spec: "cc:cc"}, {Spec: "link:cc"}, {Spec: "cc+native:cc"}, {Spec: "tools:as"}, {Spec: "tools:ld"}, {Spec: "host"}, {Spec: "host+native"}, {Spec: "tools:as", Dirs: b.path("lib")}} {
		d := b.digest(s)
		if other, twice := seen[d]; twice {
			t.Errorf("%v and %v are %s", s, other, d)
		}
		seen[d] = s
	}
}

func TestFreshNoticesWhatIsReplaced(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"Driver":      func(b *bench) { b.write("bin/cc", "#!/bin/sh\n", 0o755) },
		"Compiler":    func(b *bench) { b.write("libexec/cc1", "x", 0o755) },
		"NewHeader":   func(b *bench) { b.write("include/n.h", "", 0o644) },
		"OtherHeader": func(b *bench) { b.write("n.h", "", 0o644); _ = os.Rename(b.path("n.h"), b.path("include/a.h")) },
		"Appears":     func(b *bench) { b.write("later/x.h", "", 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := Spec{Spec: "cc:cc"}
			d := b.digest(s)
			if !b.Fresh(s, d) || b.Fresh(s, "another") || b.Fresh(Spec{Spec: "link:cc"}, d) {
				t.Fatal("fresh is not what it should be")
			}
			change(b)
			if b.Fresh(s, d) {
				t.Error("fresh after the change")
			}
		})
	}
}

func TestWatchSparesTheLookAndNoticesWhatIsWrittenInPlace(t *testing.T) {
	b := newBench(t)
	s := Spec{Spec: "link:cc"}
	d := b.digest(s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	eventually(t, "it is watched", func() bool { return b.least(s) == always })
	if !b.Fresh(s, d) {
		t.Error("not fresh")
	}
	f, err := os.OpenFile(b.path("include/sub/b.h"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("int x;"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	eventually(t, "the change is noticed", func() bool { return !b.Fresh(s, d) })
	if b.digest(s) == d {
		t.Error("the digest did not change")
	}
	if err := os.RemoveAll(b.path("include/sub")); err != nil {
		t.Fatal(err)
	}
	<-time.After(racy)
	d = b.digest(s)
	eventually(t, "it is watched again", func() bool { return b.least(s) == always })
	b.write("include/sub/c.h", "", 0o644)
	eventually(t, "the change is noticed", func() bool { return !b.Fresh(s, d) })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if b.least(s) != often {
		t.Error("still watched")
	}
}

func TestDigestOfWhatIsWatchedNoticesEachChange(t *testing.T) {
	b := newBench(t)
	b.opts.Marks = b.path("marks")
	s := Spec{Spec: "link:cc"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	for n := range 3 {
		var d string
		eventually(t, "it is watched", func() bool { d = b.digest(s); return b.least(s) == always })
		if r := b.unchanged(ctx, s); r == nil || r.Digest != d {
			t.Fatalf("change %d: what is watched and has not changed is %v, want %s", n, r, d)
		}
		b.write("include/sub/b.h", fmt.Sprint("int x = ", n, ";"), 0o644)
		if r := b.unchanged(ctx, s); r != nil {
			t.Fatalf("change %d: %s is still the digest", n, r.Digest)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(b.opts.Marks)
	if err != nil || len(left) > 0 {
		t.Errorf("marks are left: %v, %v", left, err)
	}
}

func TestDigestNoticesAtOnceWhatTheWatchSaw(t *testing.T) {
	b := newBench(t)
	s := Spec{Spec: "link:cc"}
	d := b.digest(s)
	b.turned() // as Run does when something has changed
	b.write("include/sub/b.h", "int y;", 0o644)
	again, err := b.Digest(t.Context(), s) // no time has passed
	if err != nil || again == d {
		t.Errorf("digest %s, %v: that of before the change", again, err)
	}
}

func TestLinksOnTheWayCount(t *testing.T) {
	b := newBench(t)
	b.write("one/tool", "1", 0o755)
	b.write("two/tool", "2", 0o755)
	middle := b.path("alternatives")
	if err := os.Symlink(b.path("one/tool"), middle); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(middle, b.path("bin/tool")); err != nil {
		t.Fatal(err)
	}
	s := Spec{Spec: "tools:tool"}
	d := b.digest(s)
	if err := os.Remove(middle); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.path("two/tool"), middle); err != nil {
		t.Fatal(err)
	}
	if b.Fresh(s, d) || b.digest(s) == d {
		t.Error("a link was turned and nothing noticed")
	}
}

func TestProgramOfADeclaredDirectoryIsNotRun(t *testing.T) {
	b := newBench(t)
	ran := b.path("ran")
	b.write("declared/gcc", "#!/bin/sh\ntouch "+ran+"\n", 0o755)
	b.write("declared/share/data", "1", 0o644)
	s := Spec{Spec: "cc:gcc", Dirs: b.path("declared")}
	d := b.digest(s)
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program that a peer may have named was run")
	}
	b.write("declared/share/data", "2", 0o644)
	if b.digest(s) == d {
		t.Error("a file of the directory changed and the digest did not")
	}
}

func TestUnknownToolIsNamedWithWhatToDo(t *testing.T) {
	b := newBench(t)
	for spec, want := range map[Spec]string{
		{Spec: "tools:no-such-tool"}:           "no-such-tool is not on this machine",
		{Spec: "tools+native:no-such-tool"}:    "toolchain tools+native:no-such-tool: no-such-tool is not on this machine",
		{Spec: "cc:clang"}:                     "clang is not on this machine",
		{Spec: "host", Dirs: b.path("absent")}: "make it on this machine",
	} {
		if _, err := b.Digest(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Digest(%v): %v, want %q in it", spec, err, want)
		}
	}
	b.write("bin/no-such-tool", "", 0o755)
	b.digest(Spec{Spec: "tools:no-such-tool"})
}

func TestSharedLibrariesAndInterpretersBelongToAProgram(t *testing.T) {
	b := newBench(t)
	b.write("interpreter", "i", 0o755)
	b.write("bin/script", "#!"+b.path("interpreter")+" -x\n", 0o755)
	script := Spec{Spec: "tools:script"}
	d := b.digest(script)
	b.write("interpreter", "j", 0o755)
	if b.digest(script) == d {
		t.Error("another interpreter, the same digest")
	}

	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no compiler")
	}
	b.write("f.c", "int f(void) { return 1; }\n", 0o644)
	b.write("m.c", "int f(void); int main(void) { return f(); }\n", 0o644)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), cc, args...)
		cmd.Dir = b.root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run("-shared", "-fPIC", "f.c", "-o", "lib/libf.so")
	run("m.c", "-o", "bin/m", "-Llib", "-lf", "-Wl,-rpath,$ORIGIN/../lib")
	program := Spec{Spec: "tools:m"}
	d = b.digest(program)
	b.write("f.c", "int f(void) { return 2; }\n", 0o644)
	run("-shared", "-fPIC", "f.c", "-o", "lib/libf.so")
	if b.digest(program) == d {
		t.Error("another shared library, the same digest")
	}
}

func TestAnotherCompilerMountedOverIsNoticedAtOnce(t *testing.T) {
	b := newBench(t)
	content, err := os.ReadFile(b.path("libexec/cc1"))
	if err != nil {
		t.Fatal(err)
	}
	b.write("other", string(content)+"\n", 0o755)
	s := Spec{Spec: "cc:cc"}
	d := b.digest(s)
	if err := syscall.Mount(b.path("other"), b.path("libexec/cc1"), "", syscall.MS_BIND, ""); err != nil {
		t.Skip("mounting takes root:", err)
	}
	mounted := true
	unmount := func() {
		if mounted {
			_ = syscall.Unmount(b.path("libexec/cc1"), 0)
		}
		mounted = false
	}
	t.Cleanup(unmount)
	if b.Fresh(s, d) {
		t.Error("fresh")
	}
	if got, err := b.Digest(t.Context(), s); err != nil || got == d {
		t.Errorf("Digest = %s, %v, and was %s before", got, err, d)
	}
	unmount()
	if got := b.digest(s); got != d {
		t.Errorf("Digest = %s once it is gone, want %s", got, d)
	}
}

func TestDigestOutlivesARestart(t *testing.T) {
	b := newBench(t)
	kv := &memory.KV{}
	s := Spec{Spec: "cc:cc"}
	want, err := b.again(kv).Digest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if !b.again(kv).Fresh(s, want) {
		t.Error("not fresh after a restart")
	}
	elsewhere := b.again(kv)
	elsewhere.known(s).Mounts = "another mount table"
	if !elsewhere.Fresh(s, want) {
		t.Error("not fresh with other mounts, none of which matter")
	}
	b.write("extra/tool", "x", 0o755)
	more := New(Options{KV: kv, Path: b.root + "/bin", System: b.root, Dirs: []string{b.path("extra")}})
	if got, err := more.Digest(t.Context(), s); err != nil || got == want {
		t.Errorf("with another directory for all: %s, %v", got, err)
	}
	if err := kv.Put(b.recordKey(s), []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if got, err := b.again(kv).Digest(t.Context(), s); err != nil || got != want {
		t.Errorf("Digest over garbage = %s, %v, want %s", got, err, want)
	}
}

func TestManyCallersShareOneComputation(t *testing.T) {
	b := newBench(t)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if _, err := b.Digest(t.Context(), Spec{Spec: "link:cc"}); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
}

func TestRealCompiler(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no compiler")
	}
	p := New(Options{})
	s := Spec{Spec: "cc:cc"}
	d, err := p.Digest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Fresh(s, d) {
		t.Error("not fresh")
	}
	var seen []string
	for _, f := range p.entries[s].record.Facts {
		for _, want := range []string{"/cc1", "/stdio.h", "/stddef.h", "/libc.so.6"} {
			if strings.HasSuffix(f.Path, want) {
				seen = append(seen, want)
			}
		}
	}
	for _, want := range []string{"/stdio.h", "/libc.so.6"} {
		if !strings.Contains(strings.Join(seen, " "), want) {
			t.Errorf("%s is not part of it: %v", want, seen)
		}
	}
}

func BenchmarkFresh(b *testing.B) {
	for _, s := range []Spec{{Spec: "cc:cc"}, {Spec: "link:cc"}, {Spec: "tools:ar,make"}, {Spec: "host"}} {
		p := New(Options{})
		d, err := p.Digest(b.Context(), s)
		if err != nil {
			b.Skip(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		b.Run("Unwatched/"+s.Spec, func(b *testing.B) {
			for b.Loop() {
				if !p.Fresh(s, d) {
					b.Fatal("not fresh")
				}
			}
		})
		go func() { ended <- p.Run(ctx) }()
		for p.least(s) != always {
			runtime.Gosched()
		}
		b.Run("Watched/"+s.Spec, func(b *testing.B) {
			for b.Loop() {
				if !p.Fresh(s, d) {
					b.Fatal("not fresh")
				}
			}
		})
		b.Run("Lately/"+s.Spec, func(b *testing.B) {
			for b.Loop() {
				if now, err := p.Lately(b.Context(), s, d); err != nil || now != d {
					b.Fatal("not fresh")
				}
			}
		})
		cancel()
		<-ended
	}
}
