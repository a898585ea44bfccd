package ninja

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// TestLocal covers SubprocessTest: how commands end, what becomes of their
// output, and what they are given.
func TestLocal(t *testing.T) {
	for _, tc := range []struct {
		name, command string
		want          Status
		output        string
	}{
		{"Success", "echo hi", Succeeded, "hi\n"},
		{"StderrToo", "echo out; echo err >&2", Succeeded, "out\nerr\n"},
		{"Failure", "exit 3", Failed, ""},
		{"NoSuchCommand", "ninja_no_such_command 2> /dev/null", Failed, ""},
		{"SyntaxError", "if 2> /dev/null", Failed, "*"},
		{"Interrupted", "kill -INT $$", Interrupted, ""},
		{"Terminated", "kill -TERM $$", Interrupted, ""},
		{"HungUp", "kill -HUP $$", Interrupted, ""},
		{"Killed", "kill -KILL $$", Failed, ""},
		{"Stdin", "cat -", Succeeded, ""},
		{"OwnProcessGroup", "[ $(ps -o pgid= -p $$) = $$ ] && echo own", Succeeded, "own\n"},
		{"NulBytes", `printf 'a\0b'`, Succeeded, "a\x00b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "HungUp" && signal.Ignored(syscall.SIGHUP) {
				t.Skip("under nohup no command is ended by it")
			}
			r := Local{Dir: t.TempDir()}.Run(t.Context(), Job{Command: tc.command})
			if r.Status != tc.want || string(r.Output) != tc.output && tc.output != "*" {
				t.Errorf("%d, %q; want %d, %q", r.Status, r.Output, tc.want, tc.output)
			}
		})
	}
}

func TestLocalNeedsItsDirectory(t *testing.T) {
	r := Local{Dir: filepath.Join(t.TempDir(), "gone")}.Run(t.Context(), Job{Command: "true"})
	if r.Status != Failed || !bytes.Contains(r.Output, []byte("no such file or directory")) {
		t.Errorf("%d, %q", r.Status, r.Output)
	}
}

// TestLocalConsole covers SubprocessTest's Console: such a job writes to what it
// is given, in our own process group.
func TestLocalConsole(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := os.Open("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	l := Local{Dir: t.TempDir(), Stdin: in, Stdout: out, Stderr: out}
	r := l.Run(t.Context(), Job{Command: "head -c 10; echo; echo err >&2; ps -o pgid= -p $$", Pool: ninja.ConsolePool})
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("// Package\nerr\n%d", syscall.Getpgrp()); r.Status != Succeeded || len(r.Output) > 0 || strings.Join(strings.Fields(string(text)), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("%d, %q; wrote %q, want %q", r.Status, r.Output, text, want)
	}
}

// TestLocalMany covers SubprocessTest's SetWithMulti and SetWithLots.
func TestLocalMany(t *testing.T) {
	l := Local{Dir: t.TempDir()}
	var jobs sync.WaitGroup
	for i := range 50 {
		jobs.Go(func() {
			if r := l.Run(t.Context(), Job{Command: fmt.Sprintf("echo %d", i)}); r.Status != Succeeded || string(r.Output) != fmt.Sprintf("%d\n", i) {
				t.Errorf("%d: %d, %q", i, r.Status, r.Output)
			}
		})
	}
	jobs.Wait()
}

// TestLocalStops covers SubprocessTest's InterruptParent cases: a command gets
// the signal that ends the build, and what it has started goes with it.
func TestLocalStops(t *testing.T) {
	for _, number := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(number.String(), func(t *testing.T) {
			if signal.Ignored(number) {
				t.Skip("under nohup no command is told of it")
			}
			dir := t.TempDir()
			if err := syscall.Mkfifo(filepath.Join(dir, "ready"), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancelCause(t.Context())
			go func() {
				// Reading from the pipe waits until the command is there.
				_, err := os.ReadFile(filepath.Join(dir, "ready"))
				stop(errors.Join(err, Signal{number}))
			}()
			r := Local{Dir: dir}.Run(ctx, Job{Command: fmt.Sprintf("trap 'echo got %d; exit 1' %d; sleep 1000 & echo > ready; wait", number, number)})
			if r.Status != Interrupted || string(r.Output) != fmt.Sprintf("got %d\n", number) {
				t.Errorf("%d, %q", r.Status, r.Output)
			}
		})
	}
}

// TestConsoleJobsAreKilledWithAllTheyStarted is of a job that does not end when
// the build does.
func TestConsoleJobsAreKilledWithAllTheyStarted(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "ready"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var child int
	go func() {
		defer stop()
		text, err := os.ReadFile(filepath.Join(dir, "ready"))
		if err == nil {
			_, err = fmt.Sscan(string(text), &child)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	const command = "sh -c 'sleep 1000 & echo $! > ready; wait; :'; :"
	r := Local{Dir: dir, grace: time.Millisecond}.Run(ctx, Job{Command: command, Pool: ninja.ConsolePool})
	if r.Status != Interrupted {
		t.Errorf("%d, %q", r.Status, r.Output)
	}
	gone(t, child)
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		t.Fatal("no process")
	}
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		if t.Context().Err() != nil {
			t.Fatalf("%d is still there", pid)
		}
		runtime.Gosched()
	}
}

// zombie reports a process of which only the exit status is left: whoever has
// inherited it may not take that.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "Z")
}

// TestTheSecondSignalKills is of commands that the first does not end, and of
// what they have started.
func TestTheSecondSignalKills(t *testing.T) {
	for name, pool := range map[string]string{"Common": "", "Console": "  pool = console\n"} {
		t.Run(name, func(t *testing.T) {
			cmd := ninjaHere(t, "rule r\n  command = trap 'echo told > ready' INT; (trap '' INT; exec sleep 1000) & echo $$! $$$$ > ready; while :; do wait; done\nbuild a: r\n"+pool)
			cmd.Env = append(cmd.Env, asNinja+"="+patient)
			if err := syscall.Mkfifo(filepath.Join(cmd.Dir, "ready"), 0o600); err != nil {
				t.Fatal(err)
			}
			ready, err := os.OpenFile(filepath.Join(cmd.Dir, "ready"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ready.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var child, shell int
			var told string
			_, err = fmt.Fscanln(ready, &child, &shell)
			err = errors.Join(err, cmd.Process.Signal(syscall.SIGINT))
			if pool != "" {
				err = errors.Join(err, syscall.Kill(shell, syscall.SIGINT)) // as from a terminal
			}
			if _, e := fmt.Fscanln(ready, &told); err != nil || e != nil {
				t.Fatal(err, e)
			}
			// Two at once may be as one, and a job of the console says nothing of the first.
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for len(ended) == 0 {
				_ = cmd.Process.Signal(syscall.SIGINT)
				runtime.Gosched()
			}
			var exit *exec.ExitError
			if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != ExitInterrupted {
				t.Errorf("%v, want exit %d", err, ExitInterrupted)
			}
			gone(t, child)
		})
	}
}

// ninjaHere is a process of this program, in a new directory with the manifest.
func ninjaHere(t *testing.T, manifest string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "build.ninja"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asNinja+"=1")
	return cmd
}

// TestInterruptedBuild covers BuildTest's InterruptCleanup: what was half made is
// removed, what was not touched stays, and the exit code says that it was the
// user.
func TestInterruptedBuild(t *testing.T) {
	cmd := ninjaHere(t, `
rule half
  command = echo half > $out; echo > ready; sleep 1000
rule untouched
  command = echo > ready; sleep 1000
rule depfile
  command = echo > depfile; echo > ready; sleep 1000
  depfile = depfile
build half: half
build untouched: untouched
build withdeps: depfile
`, "-j3")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	at := func(name string) string { return filepath.Join(cmd.Dir, name) }
	if err := errors.Join(os.WriteFile(at("untouched"), nil, 0o600), os.WriteFile(at("withdeps"), nil, 0o600), syscall.Mkfifo(at("ready"), 0o600)); err != nil {
		t.Fatal(err)
	}
	// Open for writing too, the pipe does not end between two commands.
	ready, err := os.OpenFile(at("ready"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ready, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != ExitInterrupted {
		t.Errorf("%v, want exit %d", err, ExitInterrupted)
	}
	if want := "ninja: build stopped: interrupted by user.\n"; out.String() != want {
		t.Errorf("says %q, want %q", out.String(), want)
	}
	for name, there := range map[string]bool{"half": false, "untouched": true, "withdeps": false, "depfile": false} {
		if _, err := os.Stat(at(name)); (err == nil) != there {
			t.Errorf("%s: %v, want it there: %v", name, err, there)
		}
	}
}

// TestProcess covers the program as a whole: the status format of the
// environment, directories that are not there, a pipe as stdout.
func TestProcess(t *testing.T) {
	const manifest = "rule echo\n  command = printf '\\033[31mred\\033[0m'\n  description = echo $out\nbuild a: echo\n"
	for _, tc := range []struct {
		name string
		args []string
		env  string
		want string
	}{
		{"Default", nil, "", "[1/1] echo a\nred\n"},
		{"Format", nil, "NINJA_STATUS=<%p> ", "<100%> echo a\nred\n"},
		{"Quiet", []string{"--quiet"}, "", "red\n"},
		{"Color", nil, "CLICOLOR_FORCE=1", "[1/1] echo a\n\x1b[31mred\x1b[0m\n"},
		{"Verbose", []string{"-v"}, "", "[1/1] printf '\\033[31mred\\033[0m'\nred\n"},
		{"BadFormat", nil, "NINJA_STATUS=%y", "ninja: fatal: unknown placeholder '%y' in $NINJA_STATUS\n"},
		{"NoDirectory", []string{"-C", "nowhere"}, "", "ninja: fatal: chdir to 'nowhere' - No such file or directory\n"},
		{"NoneButAFile", []string{"-C", "build.ninja"}, "", "ninja: fatal: chdir to 'build.ninja' - Not a directory\n"},
		{"ThisDirectory", []string{"-C", "."}, "", "ninja: Entering directory `.'\n[1/1] echo a\nred\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := ninjaHere(t, manifest, tc.args...)
			cmd.Env = append(cmd.Env, tc.env)
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSuffix(string(out), "\n") + "\n"; got != tc.want {
				t.Errorf("says %q, want %q (%v)", got, tc.want, err)
			}
		})
	}
}
