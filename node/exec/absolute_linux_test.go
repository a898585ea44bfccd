package exec_test

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
)

// absolute makes the paths of w those of the file system, and dir its working
// directory.
func absolute(w work, dir string) work {
	w.dir = strings.TrimPrefix(dir, "/")
	w.platform = append(w.platform, action.Property{Name: action.PropertyRoot, Value: action.RootAbsolute})
	return w
}

// project is a directory of the host with sources.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T, files map[string]string) project {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := project{t, dir}
	for name, content := range files {
		p.write(name, content)
	}
	open(t, dir)
	return p
}

// open lets everybody go through a directory and those above it, as they can
// where machines have their toolchains.
func open(t *testing.T, dir string) {
	t.Helper()
	for p := dir; p != "/" && p != filepath.Clean(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func (p project) path(name string) string { return filepath.Join(p.dir, name) }

func (p project) write(name, content string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p project) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// inputs are files of the host by their paths from its root.
func inputs(t *testing.T, files ...string) map[string]string {
	t.Helper()
	in := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		in[strings.TrimPrefix(f, "/")] = string(b)
	}
	return in
}

// local runs a command in the project as a user would.
func (p project) local(dir string, argv ...string) {
	p.t.Helper()
	cmd := osexec.CommandContext(p.t.Context(), argv[0], argv[1:]...)
	cmd.Dir = p.path(dir)
	cmd.Env = []string{"PATH=" + exec.DefaultPath, "LC_ALL=C"}
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// sources of a compile whose result says where its files are.
var sources = map[string]string{
	"src/a.c":     "#include <assert.h>\n#include <stdio.h>\n#include \"inc/a.h\"\nint f(int x) { assert(x); puts(__FILE__); return a(x); }\n",
	"src/a.cc":    "#include <cassert>\n#include <vector>\n#include \"inc/a.h\"\nint f(int x) { std::vector<int> v(x); assert(x); return a(v.size()); }\n",
	"src/inc/a.h": "static inline int a(int x) { return x + sizeof __FILE__; }\n",
}

// readBy returns what a depfile says that a target depends on, without links.
func readBy(t *testing.T, depfile, dir string) []string {
	t.Helper()
	_, list, _ := strings.Cut(strings.ReplaceAll(depfile, "\\\n", " "), ":")
	var files []string
	for _, f := range strings.Fields(list) {
		if !filepath.IsAbs(f) {
			f = filepath.Join(dir, f)
		}
		target, err := filepath.EvalSymlinks(f)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, target)
	}
	return files
}

func TestCompileAtItsOwnPlaceIsTheSameToTheBit(t *testing.T) {
	for _, c := range []struct{ name, compiler, source string }{{"C", "gcc", "../src/a.c"}, {"C++", "g++", "../src/a.cc"}} {
		argv := []string{c.compiler, "-c", "-g", "-O1", "-MD", "-MF", "a.d", "-o", "a.o", c.source}
		p := newProject(t, sources)
		p.write("build/.keep", "")
		p.local("build", argv...)
		read := readBy(t, p.read("build/a.d"), p.path("build"))
		var own []string
		for _, f := range read {
			if strings.HasPrefix(f, p.dir) {
				own = append(own, f)
			}
		}
		for name, files := range map[string][]string{"own files declared": own, "headers of the system declared": read} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				r := sandboxed(t)
				w := absolute(work{argv: argv, outputs: []string{"a.o", "a.d"}, inputs: inputs(t, files...)}, p.path("build"))
				result := r.must(w)
				for _, out := range []string{"a.o", "a.d"} {
					if got, want := r.output(result, strings.TrimPrefix(p.path("build/"+out), "/")), p.read("build/"+out); got != want {
						t.Errorf("%s: %d bytes, not the %d of a local run", out, len(got), len(want))
					}
				}
			})
		}
	}
}

// A shell that came by a link says so in PWD, and compilers believe it.
func TestCompileInADirectoryThatALinkLeadsTo(t *testing.T) {
	r := sandboxed(t)
	p := newProject(t, sources)
	p.write("build/.keep", "")
	link := p.path("link")
	if err := os.Symlink(p.dir, link); err != nil {
		t.Fatal(err)
	}
	p.local("build", "env", "PWD="+link+"/build", "gcc", "-c", "-g", "-o", "a.o", "../src/a.c")
	w := absolute(work{argv: []string{"gcc", "-c", "-g", "-o", "a.o", "../src/a.c"}, outputs: []string{"a.o"}}, p.path("build"))
	w.inputs = inputs(t, p.path("src/a.c"), p.path("src/inc/a.h"))
	w.links = map[string]string{strings.TrimPrefix(link, "/"): p.dir}
	w.env = []action.Property{{Name: "PWD", Value: link + "/build"}}
	got := r.output(r.must(w), strings.TrimPrefix(p.path("build/a.o"), "/"))
	if got != p.read("build/a.o") || !strings.Contains(got, link) {
		t.Error("another object than that of a local run")
	}
}

func TestAbsentHeaderIsNamedByTheCompiler(t *testing.T) {
	r := sandboxed(t)
	p := newProject(t, sources)
	w := absolute(work{argv: []string{"gcc", "-c", "-o", "a.o", "../src/a.c"}, outputs: []string{"a.o"}, inputs: inputs(t, p.path("src/a.c"))}, p.path("build"))
	result := r.do(w)
	if want := "fatal error: inc/a.h: No such file or directory"; result.ExitCode != 1 || !strings.Contains(r.stdout(result), want) {
		t.Errorf("exit code %d, %q; want %q", result.ExitCode, r.stdout(result), want)
	}
}

func TestUndeclaredNeighboursAreNotSeen(t *testing.T) {
	r := sandboxed(t)
	p := newProject(t, map[string]string{"src/declared": "x", "src/undeclared": "y", "other/z": "z"})
	w := absolute(sh("cd "+p.dir+"; find . | sort; ls -a /root /home /srv /opt /var/lib 2>/dev/null || :"), p.dir)
	w.inputs = inputs(t, p.path("src/declared"))
	if got, want := r.stdout(r.must(w)), ".\n./src\n./src/declared\n"; got != want {
		t.Errorf("seen: %q, want %q", got, want)
	}
}

func TestProjectsAnywhere(t *testing.T) {
	for _, dir := range []string{
		"/home/u/p", "/root/p", "/tmp/p", "/tmp", "/var/tmp/p", "/usr/src/p", "/usr/local/src/p", "/usr/p-of-ours/p", "/usr/local/p-of-ours",
		"/var/lib/p", "/run/p", "/etc/p-of-ours", "/opt/p", "/p-of-ours", "/usr/lib/p-of-ours",
	} {
		t.Run(dir, func(t *testing.T) {
			r := sandboxed(t)
			w := absolute(sh("pwd; ls -A ..; ls -A; cat ../src/in > out; echo made > ../far/away/out; echo t > $TMPDIR/t; mktemp > /dev/null",
				"out", "../far/away/out"), dir+"/build")
			at := strings.TrimPrefix(dir, "/")
			w.inputs = map[string]string{at + "/src/in": "content"}
			result := r.must(w)
			want := dir + "/build\nbuild\nfar\nsrc\n"
			if got := r.stdout(result); got != want {
				t.Errorf("printed %q, want %q", got, want)
			}
			if a, b := r.output(result, at+"/build/out"), r.output(result, at+"/far/away/out"); a != "content" || b != "made\n" {
				t.Errorf("outputs %q and %q", a, b)
			}
			if _, err := os.Stat(filepath.Join(dir, "src")); dir != "/tmp" && err == nil {
				t.Error("it was made on the machine itself")
			}
		})
	}
}

func TestWorkingDirectoryMayBeOpen(t *testing.T) {
	r := sandboxed(t)
	for _, dir := range []string{"/", "/etc", "/usr"} {
		w := absolute(sh("pwd; cat /home/p/in"), dir)
		w.inputs = map[string]string{"home/p/in": "x"}
		if dir == "/usr" {
			w.argv = []string{"/bin/true"} // there is nothing else in it then
			continue
		}
		if got := r.stdout(r.must(w)); got != dir+"\nx" {
			t.Errorf("in %s: printed %q", dir, got)
		}
	}
}

func TestLinksAmongInputsLeadWhereTheyDo(t *testing.T) {
	r := sandboxed(t)
	w := absolute(sh("cat link/in rel up || :; readlink link /top; cat /top/in /usr/linked > out", "out"), "/home/u/p")
	w.inputs = map[string]string{"home/u/p/in": "a", "data/in": "b", "usr/ours": "c"}
	w.links = map[string]string{
		"home/u/p/link": "/data", "home/u/p/rel": "../p/in", "home/u/p/up": "/etc/shadow", "top": "data", "usr/linked": "/usr/ours",
	}
	result := r.must(w)
	if got := r.output(result, "home/u/p/out"); got != "bc" {
		t.Errorf("out = %q", got)
	}
	got := r.stdout(result)
	for _, want := range []string{"ba", "up: No such file", "/data\ndata\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("printed %q, want %q in it", got, want)
		}
	}
}

func TestTwoAtOnceDoNotSeeEachOther(t *testing.T) {
	r := sandboxed(t)
	done := make(chan string)
	for _, who := range []string{"a", "b"} {
		go func() {
			w := absolute(sh("for f in mark /tmp/mark /home/u/mark; do test ! -e $f; echo "+who+" > $f; done; sleep 0.3; cat mark /tmp/mark /home/u/mark > out", "out"), "/home/u/p")
			result, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {})
			if err != nil || !result.OK() {
				done <- "failed"
				return
			}
			done <- strings.ReplaceAll(r.output(result, "home/u/p/out"), who+"\n", ".")
		}()
	}
	for range 2 {
		if got := <-done; got != "..." {
			t.Errorf("one sees %q", got)
		}
	}
}

func TestKilledAtItsOwnPlace(t *testing.T) {
	r := sandboxed(t)
	w := absolute(sh("sleep 1000 & sleep 1000"), "/usr/src/p")
	w.inputs = map[string]string{"usr/include/of-ours.h": "x", "usr/src/p/in": "x", "tmp/in": "x"}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := r.Execute(ctx, exec.Request{Action: r.action(w)}, cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Execute = %v", err)
	}
}

func TestOwnPlacesNeedFullIsolation(t *testing.T) {
	r := newRig(t, func(o *exec.Options) { o.Isolation = action.Reduced })
	_, err := r.Execute(context.Background(), exec.Request{Action: r.action(absolute(sh("true"), "/home/u"))}, func() { t.Error("it ran") })
	if !errors.Is(err, exec.ErrUnable) || !strings.Contains(err.Error(), "root=absolute") {
		t.Errorf("Execute = %v", err)
	}
}
