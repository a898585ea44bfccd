package intercept_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/node/intercept"
)

// compilerScript stands in for the compiler: it says that it ran.
const compilerScript = "#!/bin/sh\necho here: \"$@\"\nexit 7\n"

// shim runs the shim as the interposer does, with a compiler that is a script.
func (f *fakeNode) shim(t *testing.T, program, tool string, env []string, args ...string) (outcome, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"bin/" + tool + "*": compilerScript})
	env = theKit(t).Environ(env, intercept.Invocation{Socket: f.socket, ID: invocation, Faults: faults(t, dir)})
	path, argv, _ := intercept.Compile(env, filepath.Join(dir, "bin", tool), append([]string{tool}, args...))
	if program != "" {
		path = program
	}
	return run(t, dir, env, path, argv[1:]...), dir
}

const head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

// answers are what a node may say, and what is to become of the command.
var answers = []struct {
	name, answer string
	here         bool // the compiler is run here
	status       int
	stderr       string
	fault        string
	stdout       string
}{
	{name: "done", answer: head + "exit 0\n"},
	{name: "done, HTTP 1.0", answer: "HTTP/1.0 200 OK\r\n\r\nexit 0\n"},
	{name: "warnings", answer: head + "exit 0\nx.c:1: warning\n\x1b[1mbold\x00\xff\n", stderr: "x.c:1: warning\n\x1b[1mbold\x00\xff\n"},
	{name: "failed", answer: head + "exit 1\nx.c:1: error\n", status: 1, stderr: "x.c:1: error\n"},
	{name: "the largest status", answer: head + "exit 255\n", status: 255},
	{name: "of known size", answer: "HTTP/1.1 200 OK\r\ncontent-length:  9 \r\n\r\nexit 4\nab", status: 4, stderr: "ab"},
	{name: "long output", answer: head + "exit 0\n" + strings.Repeat("a line of it\n", 30_000), stderr: strings.Repeat("a line of it\n", 30_000)},
	{name: "a list", answer: head + "stdout\nx.o: x.c\n\x00", stdout: "x.o: x.c\n\x00"},
	{name: "a long list", answer: head + "stdout\n" + strings.Repeat("x.o: x.c\n", 30_000), stdout: strings.Repeat("x.o: x.c\n", 30_000)},
	{name: "local", answer: local, here: true},

	{name: "nothing", here: true, fault: "hung up before"},
	{name: "a cut head", answer: "HTTP/1.1 200 O", here: true, fault: "hung up before"},
	{name: "a cut line", answer: head + "exit 0", here: true, fault: "hung up before"},
	{name: "cut output", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nexit 0\nab", here: true, fault: "in the middle"},
	{name: "too much", answer: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nexit 0\nab", here: true, fault: "in the middle"},
	{name: "no such invocation", answer: "HTTP/1.1 404 Not Found\r\n\r\n{}", here: true, fault: "status 404"},
	{name: "not HTTP", answer: "exit 0\n\r\n\r\nexit 0\n", here: true, fault: "no sense"},
	{name: "a NUL in the head", answer: "HTTP/1.1 200 OK\r\nX\x00: 1\r\n\r\nexit 0\n", here: true, fault: "no sense"},
	{name: "endless head", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 40_000), here: true, fault: "no sense"},
	{name: "endless line", answer: head + strings.Repeat("x", 200_000), here: true, fault: "no sense"},
	{name: "chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nexit 0\n\r\n0\r\n\r\n", here: true, fault: "in pieces"},
	{name: "no word", answer: head + "\n", here: true, fault: "no sense"},
	{name: "an unknown word", answer: head + "done 0\n", here: true, fault: "no sense"},
	{name: "no number", answer: head + "exit \n", here: true, fault: "no sense"},
	{name: "a negative number", answer: head + "exit -1\n", here: true, fault: "no sense"},
	{name: "a large number", answer: head + "exit 256\n", here: true, fault: "no sense"},
	{name: "a huge number", answer: head + "exit 99999999999999999999999\n", here: true, fault: "no sense"},
	{name: "more than a list", answer: head + "stdout 0\n", here: true, fault: "no sense"},
	{name: "no signal", answer: head + "signal 0\n", here: true, fault: "no sense"},
	{name: "a huge signal", answer: head + "signal 1000\n", here: true, fault: "no sense"},
	{name: "local without a reason", answer: head + "local\n", here: true, fault: "no sense"},
	{name: "a huge size", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nexit 0\n", here: true, fault: "no sense"},
	{name: "a negative size", answer: "HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\nexit 0\n", here: true, fault: "no sense"},
}

func TestTheShimDoesWhatTheNodeSays(t *testing.T) {
	for _, program := range []string{"", sanitized(t)} {
		for _, a := range answers {
			t.Run(a.name+" "+filepath.Base(program), func(t *testing.T) {
				f := newFake(t, func(asked) string { return a.answer })
				got, dir := f.shim(t, program, "gcc", os.Environ(), "-c", "x.c")
				want := outcome{stderr: a.stderr, stdout: a.stdout}
				if a.here {
					want.stdout, a.status = "here: -c x.c\n", 7
				}
				if got.state.ExitCode() != a.status || got.stdout != want.stdout || got.stderr != want.stderr {
					t.Errorf("status %d, %q, %.200q; want %d, %q, %.200q", got.state.ExitCode(), got.stdout, got.stderr, a.status, want.stdout, want.stderr)
				}
				if note := noted(t, dir); !strings.Contains(note, a.fault) || (a.fault == "") != (note == "") {
					t.Errorf("fault %q, want %q", note, a.fault)
				}
			})
		}
	}
}

// sanitized is the shim with what finds faults of memory in it; an answer that
// makes one ends it with another status than any that is looked for.
func sanitized(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "buildnet-exec")
	gcc(t, dir, "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-static-libasan", "-static-libubsan",
		"-o", path, native("shim.c"), native("talk.c"), native("hold.c"), native("rules.c"))
	return path
}

func native(name string) string {
	path, err := filepath.Abs(filepath.Join("native", name))
	if err != nil {
		panic(err)
	}
	return path
}

func TestNoAnswerIsTooHostile(t *testing.T) {
	program := sanitized(t)
	const inserted = "\r\n\x00 :9-exit local"
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 150 {
		answer := []byte(answers[random.IntN(len(answers))].answer)
		if len(answer) > 2000 {
			answer = answer[:2000]
		}
		for range 1 + random.IntN(4) {
			if len(answer) == 0 {
				break
			}
			at := random.IntN(len(answer))
			switch random.IntN(3) {
			case 0:
				answer[at] = byte(random.IntN(256))
			case 1:
				answer = slices.Delete(answer, at, min(len(answer), at+random.IntN(9)))
			case 2:
				answer = slices.Insert(answer, at, inserted[random.IntN(len(inserted))])
			}
		}
		if bytes.Contains(answer, []byte("signal")) {
			continue // it would do as it is told
		}
		f := newFake(t, func(asked) string { return string(answer) })
		got, _ := f.shim(t, program, "gcc", os.Environ(), "-c", "x.c")
		if strings.Contains(got.stderr, "Sanitizer") || strings.Contains(got.stderr, "runtime error") {
			t.Fatalf("answer %d, %q: %s", i, answer, got.stderr)
		}
	}
}

func TestTheShimEndsAsTheCompilerDid(t *testing.T) {
	for _, number := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGPIPE} {
		f := newFake(t, func(asked) string { return head + fmt.Sprintf("signal %d\nkilled\n", number) })
		got, _ := f.shim(t, "", "gcc", os.Environ(), "-c", "x.c")
		status, _ := got.state.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != number || got.stderr != "killed\n" {
			t.Errorf("%v: %v, %q", number, got.state, got.stderr)
		}
	}
}

// Ctrl-C ends the shim, and with its connection the node knows that nobody needs
// the command any more.
func TestAShimThatIsKilledHangsUp(t *testing.T) {
	heard := make(chan struct{})
	f := newFake(t, func(asked) string {
		close(heard)
		return silence
	})
	env := theKit(t).Environ(os.Environ(), intercept.Invocation{Socket: f.socket, ID: invocation})
	path, argv, _ := intercept.Compile(env, "/usr/bin/gcc", []string{"gcc", "-c", "x.c"})
	c := exec.CommandContext(t.Context(), path, argv[1:]...)
	c.Env, c.Dir = env, t.TempDir()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-heard
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	err := c.Wait()
	f.count(t, 1)
	if status, _ := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("%v, %v", err, c.ProcessState)
	}
}

func TestWithoutANodeTheCompilerRuns(t *testing.T) {
	f := &fakeNode{socket: filepath.Join(t.TempDir(), "none")}
	for socket, fault := range map[string]string{f.socket: "cannot be reached", strings.Repeat("/long", 40): "too long"} {
		f.socket = socket
		got, dir := f.shim(t, "", "gcc", os.Environ(), "-c", "x.c")
		if got.stdout != "here: -c x.c\n" || got.stderr != "" || got.state.ExitCode() != 7 || !strings.Contains(noted(t, dir), fault) {
			t.Errorf("%s: %v, %q, %q; noted %q", socket, got.state, got.stdout, got.stderr, noted(t, dir))
		}
	}
}

func TestWhichCommandsAreAskedFor(t *testing.T) {
	f := newFake(t, func(asked) string { return ok })
	for _, c := range []struct {
		line string
		asks bool
	}{
		{"gcc -c x.c", true}, {"gcc -O2 -S x.c", true}, {"gcc -MD -c x.c -o x.o", true}, {"gcc @x.rsp", true}, {"gcc --compile x.c", true}, {"gcc -c -o - x.c", true},
		{"gcc", false}, {"gcc -v", false}, {"gcc --version", false}, {"gcc -print-search-dirs", false}, {"gcc -print-file-name=x -c x.c", false}, {"gcc -E x.c", false}, {"gcc -M x.c", false}, {"gcc -MM -E 1.c 2.c 3.c 4.c 5.c 6.c 7.c 8.c 9.c", false},
		{"gcc -MM 1.c 2.c 3.c 4.c 5.c 6.c 7.c 8.c", false}, {"gcc -MM 1.c 2.c 3.c 4.c 5.c 6.c 7.c 8.c 9.c", true}, {"g++ -I. 1.cc 2.cc 3.cc 4.cc 5.cc 6.cc 7.cc 8.cc -M 9.cxx", true},
		{"gcc -c -E x.c", false}, {"gcc -### -c x.c", false}, {"gcc -dumpmachine", false}, {"gcc -fsyntax-only -c x.c", false}, {"gcc --help=warnings -c x.c", false},
		{"gcc x.o -o x", true}, {"g++ -shared -o x.so a.o -la libb.a", true}, {"gcc -Wl,-Map=x.map,--gc-sections x.o", true}, {"gcc x.o -Wl,-rpath -Wl,/lib", true},
		{"gcc -v x.c", false}, {"gcc x.c y.o -o x", false}, {"gcc -o x.o", false}, {"gcc x.o -Wl,-t", false}, {"gcc x.o -Wl,-O1,--trace", false}, {"gcc x.o -Wl,-Map,-", false}, {"gcc x.o -Xlinker -M", false}, {"gcc x.o -Wl,--print-map", false}, {"gcc --version x.o", false},
		{"ar rc x.a a.o", true}, {"ar -rcs x.a a.o", true}, {"ar qcD x.a a.o", true}, {"ranlib x.a", true},
		{"ar", false}, {"ar t x.a", false}, {"ar rv x.a a.o", false}, {"ar x x.a", false}, {"ar d x.a a.o", false}, {"ar p x.a", false}, {"ar --plugin=p rc x.a a.o", false}, {"ar -V", false}, {"ar r", false}, {"ar rcsa b.o x.a a.o", false},
		{"ranlib", false}, {"ranlib -V", false}, {"ranlib --version", false}, {"ranlib -D x.a", false},
	} {
		argv := strings.Fields(c.line)
		before := len(f.heard())
		got, _ := f.shim(t, "", argv[0], os.Environ(), argv[1:]...)
		if asks := len(f.heard()) > before; asks != c.asks || asks == (got.state.ExitCode() == 7) {
			t.Errorf("%s: asked %v, %v", c.line, asks, got.state)
		}
	}
}

// teller stands in for a compiler: it writes its arguments, its environment and
// its descriptors.
const teller = `
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
extern char **environ;
int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
	for (char **v = environ; *v; v++) if ((*v)[0] != '_') printf("env %s\n", *v);
	for (int fd = 3; fd < 1000; fd++) { struct stat st; if (!fstat(fd, &st)) printf("fd %s\n", S_ISSOCK(st.st_mode) ? "slot" : "jobs"); }
}`

// A compiler that runs here has the arguments and the environment of a plain
// build, its descriptors, such as those of make's jobs, and the slot.
func TestTheCompilerSeesNothingOfIt(t *testing.T) {
	f := newFake(t, func(asked) string { return local })
	dir := t.TempDir()
	write(t, dir, map[string]string{"gcc.c": teller, "bin/none": "", "jobs": "tokens"})
	gcc(t, dir, "-o", "bin/gcc", "gcc.c")
	bin := filepath.Join(dir, "bin")
	env := []string{"PATH=" + bin + ":/usr/bin:/bin", "A=b", "EMPTY=", "LD_PRELOAD=libm.so.6", "PWD=" + dir}
	tell := func(env []string, argv ...string) string {
		c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		jobs, err := os.Open(filepath.Join(dir, "jobs"))
		if err != nil {
			t.Fatal(err)
		}
		defer jobs.Close()
		c.Dir, c.Env, c.ExtraFiles = dir, env, []*os.File{jobs}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	k := theKit(t)
	intercepted := k.Environ(env, intercept.Invocation{Socket: f.socket, ID: invocation})
	for _, script := range []string{
		"exec gcc -c x.c",
		"umask 27; exec " + bin + "/gcc -c x.c",
		"exec gcc x.c", // not asked for
		"PATH=$BUILDNET_EXEC_SHIMS:$PATH; exec gcc -c x.c",
		"PATH=$BUILDNET_EXEC_SHIMS:$PATH; exec gcc -v",
	} {
		plain := strings.TrimPrefix(script, "PATH=$BUILDNET_EXEC_SHIMS:$PATH; ")
		want := tell(env, "/bin/sh", "-c", plain)
		if strings.Contains(script, "-c x.c") {
			want += "\nfd slot"
		}
		program, args := k.Command([]string{"/bin/sh", "-c", script})
		if got := tell(intercepted, append([]string{program}, args[1:]...)...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", script, got, want)
		}
	}
	f.count(t, 3)
	if heard := f.heard(); heard[0].umask == "27" || heard[1].umask != "27" {
		t.Errorf("umasks %q, %q", heard[0].umask, heard[1].umask)
	}
	for _, c := range f.heard() {
		slices.Sort(c.env)
		own := slices.DeleteFunc(slices.Clone(c.env), func(v string) bool { return strings.HasPrefix(v, "_=") })
		want := slices.Sorted(slices.Values(env))
		if !slices.Equal(own, want) || c.dir != dir || !slices.Equal(c.argv, []string{filepath.Join(bin, "gcc"), "-c", "x.c"}) || c.terminal {
			t.Errorf("the node heard %+v", c)
		}
	}
}
