package exec_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

// lenient is sh as a client of the Remote Execution API has it run.
func lenient(script string, outputs ...string) work {
	w := sh(script, outputs...)
	w.platform = []action.Property{
		{Name: action.PropertyOutputs, Value: action.OutputsOptional},
		{Name: action.PropertyStreams, Value: action.StreamsApart},
	}
	return w
}

// paths are those of a result's outputs, with what they are.
func paths(r *action.Result) []string {
	var all []string
	for _, o := range r.Outputs {
		kind := map[action.OutputKind]string{action.File: "file", action.Directory: "directory", action.Symlink: "link to " + o.Target}[o.Kind]
		all = append(all, o.Path+" "+kind)
	}
	return all
}

func TestOptionalOutputsAreThoseThatWereMade(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		outputs []string
		want    []string
	}{
		"None":            {"true", []string{"a", "b/c"}, nil},
		"Some":            {"touch b/c", []string{"a", "b/c", "d/e/f"}, []string{"b/c file"}},
		"Kinds":           {"touch a; mkdir b; ln -s a c; ln -s b d; ln -s nowhere e", []string{"a", "b", "c", "d", "e"}, []string{"a file", "b directory", "c link to a", "d link to b", "e link to nowhere"}},
		"WithinAnother":   {"mkdir -p a/b; touch a/b/c", []string{"a", "a/b"}, []string{"a directory", "a/b directory"}},
		"BelowAFile":      {"rmdir a; touch a", []string{"a/b"}, nil},
		"BelowALink":      {"rmdir a; mkdir r; touch r/b; ln -s r a", []string{"a/b"}, []string{"a/b file"}},
		"LinkUpInTheTree": {"ln -s ../x a/b; ln -s ./../a/./b a/c", []string{"a/b", "a/c"}, []string{"a/b link to ../x", "a/c link to ./../a/./b"}},
		"OfAFailure":      {"touch a; mkdir d; exit 3", []string{"a", "b", "d"}, []string{"a file", "d directory"}},
		"OfAKill":         {"touch a; kill -9 $$", []string{"a", "b"}, []string{"a file"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			result := r.do(lenient(c.script, c.outputs...))
			if fails := strings.HasPrefix(name, "OfA"); result.OK() == fails {
				t.Errorf("exit code %d, %q", result.ExitCode, result.Message)
			}
			if diff := cmp.Diff(c.want, paths(result)); diff != "" {
				t.Error(diff)
			}
			if _, err := store.Closure(t.Context(), r.blobs, result); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnEmptyOutputDirectoryIsOne(t *testing.T) {
	r := newRig(t, nil)
	result := r.must(lenient("mkdir -p d/e; touch d/x; chmod 755 d/x", "d"))
	if len(result.Outputs) != 1 {
		t.Fatalf("outputs %v", paths(result))
	}
	d, err := r.Directory(t.Context(), result.Outputs[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Directories) != 1 || d.Directories[0].Digest.SizeBytes != 0 || len(d.Files) != 1 || !d.Files[0].IsExecutable {
		t.Errorf("directory %v", d)
	}
}

func TestOptionalOutputsThatNoResultCanHave(t *testing.T) {
	for name, script := range map[string]string{
		"AbsoluteLink":    "ln -s /etc/passwd b",
		"LinkIntoItself":  "ln -s $PWD/a b",
		"LinkOut":         "ln -s ../../x b",
		"LinkOutWithin":   "mkdir b; ln -s ../../../x b/l",
		"Pipe":            "mkfifo b",
		"BelowALinkOut":   "rmdir c; ln -s /etc c; touch b",
		"NameWithNewline": "mkdir b; touch \"$(printf 'b/a\\nb')\"",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			result := r.do(lenient("touch a; "+script+"; echo said; echo meant >&2", "a", "b", "c/passwd"))
			if result.OK() || result.ExitCode != 0 || result.Cause != action.BadOutputs || len(result.Outputs) > 0 {
				t.Errorf("exit code %d, %q (%v), outputs %v", result.ExitCode, result.Message, result.Cause, paths(result))
			}
			if out, err := r.text(result.Stdout), r.text(result.Stderr); out != "said\n" || err != "meant\n" {
				t.Errorf("it printed %q and %q", out, err)
			}
			// Of a failure they are left out, and it is said why it failed.
			result = r.do(lenient("touch a; "+script+"; exit 4", "a", "b", "c/passwd"))
			left := slices.DeleteFunc(paths(result), func(p string) bool { return p == "b file" })
			if result.ExitCode != 4 || result.Message != "" || result.Cause != action.Exited || !slices.Equal(left, []string{"a file"}) {
				t.Errorf("a failure: exit code %d, %q (%v), outputs %v", result.ExitCode, result.Message, result.Cause, paths(result))
			}
		})
	}
}

func TestOptionalOutputsBelowAnInputFileAreNotMade(t *testing.T) {
	r := newRig(t, nil)
	w := lenient("touch b", "a/b/c", "b")
	w.inputs = map[string]string{"a": "a file"}
	if got := paths(r.must(w)); !slices.Equal(got, []string{"b file"}) {
		t.Errorf("outputs %v", got)
	}
}

// In full, as the API says: the directories above an output are there, an output
// directory itself is not.
func TestDirectoriesAboveOptionalOutputsAreMade(t *testing.T) {
	r := newRig(t, nil)
	w := lenient("test -d a/b; test ! -e a/b/c; test -d ../q; ls", "a/b/c", "../q/d")
	w.dir = "p"
	if out := r.stdout(r.must(w)); out != "a\n" {
		t.Errorf("the working directory holds %q", out)
	}
}

func TestStreamsApart(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		result := r.must(lenient("echo one; echo two >&2; echo three; echo four > /dev/stderr; echo five > /proc/self/fd/1"))
		if out, err := r.text(result.Stdout), r.text(result.Stderr); out != "one\nthree\nfive\n" || err != "two\nfour\n" {
			t.Errorf("it printed %q and %q", out, err)
		}
		result = r.must(lenient("true"))
		if !result.Stdout.IsZero() || !result.Stderr.IsZero() {
			t.Errorf("nothing: %v, %v", result.Stdout, result.Stderr)
		}
		result = r.do(lenient("echo why >&2; exit 7"))
		if out, err := r.text(result.Stdout), r.text(result.Stderr); result.ExitCode != 7 || out != "" || err != "why\n" {
			t.Errorf("exit code %d, it printed %q and %q", result.ExitCode, out, err)
		}
		result = r.must(sh("echo one; echo two >&2"))
		if out := r.stdout(result); out != "one\ntwo\n" || !result.Stderr.IsZero() {
			t.Errorf("together: %q and %q", out, r.text(result.Stderr))
		}
	})
}

// Neither stream waits for the other, and each has a limit of its own.
func TestStreamsApartAreBothRead(t *testing.T) {
	r := newRig(t, nil)
	result := r.must(lenient("head -c 20000000 /dev/zero >&2; head -c 300000 /dev/zero; echo end >&2"))
	if n := result.Stdout.Size(); n != 300000 {
		t.Errorf("%d bytes on stdout", n)
	}
	if n := result.Stderr.Size(); n > exec.MaxStdoutBytes || n < exec.MaxStdoutBytes/2 {
		t.Errorf("%d bytes of stderr are kept", n)
	}
	if text := r.text(result.Stderr); !strings.HasSuffix(text, "end\n") {
		t.Error("stderr does not end as it did")
	}
}

func TestProgressIsReadOfBothStreams(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	seen := map[int]bool{}
	_, err := r.Execute(context.Background(), exec.Request{Action: r.action(lenient("echo '[1/4]'; echo '[3/4]' >&2")), Progress: func(percent int) {
		mu.Lock()
		defer mu.Unlock()
		seen[percent] = true
	}}, func() {})
	if err != nil || !seen[25] || !seen[75] {
		t.Errorf("seen %v, %v", seen, err)
	}
}

func TestCausesOfFailures(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		late := lenient("echo begun; sleep 100")
		late.timeout = time.Second
		for name, c := range map[string]struct {
			work
			cause action.Cause
			code  int
		}{
			"Exited":     {lenient("exit 5"), action.Exited, 5},
			"TimedOut":   {late, action.TimedOut, 137},
			"Killed":     {lenient("kill -11 $$"), action.Killed, 139},
			"NotFound":   {work{argv: []string{"/nowhere/cc"}}, action.NotStarted, 127},
			"NoProgram":  {work{argv: []string{"./x"}, inputs: map[string]string{"x": "text"}}, action.NotStarted, 126},
			"BadOutputs": {sh("true", "a"), action.BadOutputs, 0},
		} {
			result := r.do(c.work)
			if result.OK() || result.Cause != c.cause || result.ExitCode != c.code || (result.Message == "") != (c.cause == action.Exited) {
				t.Errorf("%s: exit code %d, %v, %q", name, result.ExitCode, result.Cause, result.Message)
			}
			if name == "TimedOut" && r.stdout(result) != "begun\n" {
				t.Errorf("what it printed before is %q", r.stdout(result))
			}
		}
	})
}

func TestTermsThatNobodyKnowsAreRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{action.PropertyOutputs, action.PropertyStreams} {
		w := sh("true")
		w.platform = []action.Property{{Name: name, Value: "other"}}
		if _, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {}); !errors.Is(err, exec.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOutputPathsWinOverTheOlderFields(t *testing.T) {
	r := newRig(t, nil)
	root := r.put(&repb.Directory{})
	run := func(c *repb.Command) *action.Result {
		c.Arguments = []string{"/bin/sh", "-c", "mkdir d; touch a b d/c"}
		a := r.put(&repb.Action{CommandDigest: action.ReapiDigest(r.put(c)), InputRootDigest: action.ReapiDigest(root)})
		result, err := r.Execute(context.Background(), exec.Request{Action: a}, func() {})
		if err != nil || !result.OK() {
			t.Fatal(result, err)
		}
		return result
	}
	old := &repb.Command{OutputFiles: []string{"a"}, OutputDirectories: []string{"d"}}
	if got := paths(run(old)); !slices.Equal(got, []string{"a file", "d directory"}) {
		t.Errorf("older fields: %v", got)
	}
	old.OutputPaths = []string{"b"}
	if got := paths(run(old)); !slices.Equal(got, []string{"b file"}) {
		t.Errorf("both: %v", got)
	}
}

func TestAFileAboveTheLimitIsACauseOfItsOwn(t *testing.T) {
	r := newRig(t, func(o *exec.Options) { o.OutputBytes = 1 << 20 })
	result := r.do(lenient("head -c 3000000 /dev/zero > a", "a"))
	if result.OK() || result.Cause != action.OverLimit {
		t.Errorf("exit code %d, %v, %q", result.ExitCode, result.Cause, result.Message)
	}
	// Each is below it, and both are not: the limit is for all together.
	result = r.do(lenient("head -c 700000 /dev/zero > a; cp a b", "a", "b"))
	if result.OK() || result.Cause != action.BadOutputs || len(result.Outputs) > 0 {
		t.Errorf("two files: %v, %q, %v", result.Cause, result.Message, paths(result))
	}
}
