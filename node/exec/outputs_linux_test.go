package exec_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func TestOutputsAreWhatWasDeclared(t *testing.T) {
	r := newRig(t, nil)
	w := sh("echo a > obj/a.o; echo other > other; echo b > ../b; chmod 4700 ../b; ln -s a.o obj/l; mkdir -p dist/empty dist/sub; echo c > dist/sub/c; ln -s sub/c dist/l; chmod 0 dist/sub/c dist/sub",
		"obj/a.o", "obj/l", "../b", "dist")
	w.dir = "p"
	w.inputs = map[string]string{"p/x": "x"}
	result := r.must(w)
	var got []action.Output
	for _, o := range result.Outputs {
		if o.Kind == action.Directory {
			dist, err := r.Directory(t.Context(), o.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if len(dist.Directories) != 2 || dist.Directories[0].Name != "empty" || dist.Symlinks[0].Target != "sub/c" {
				t.Errorf("dist = %v", dist)
			}
			o.Digest = digest.Digest{}
		}
		got = append(got, o)
	}
	text := func(s string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(s)) }
	want := []action.Output{
		{Path: "b", Kind: action.File, Digest: text("b\n"), Executable: true},
		{Path: "p/dist", Kind: action.Directory},
		{Path: "p/obj/a.o", Kind: action.File, Digest: text("a\n")},
		{Path: "p/obj/l", Kind: action.Symlink, Target: "a.o"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got := r.content(text("a\n")); got != "a\n" {
		t.Errorf("stored %q", got)
	}
}

func TestMissingOutputsAreAllNamed(t *testing.T) {
	r := newRig(t, nil)
	result := r.do(sh("touch b", "a", "b", "c/d"))
	if result.OK() || !strings.Contains(result.Message, "did not make a, c/d:") {
		t.Errorf("result = %+v", result)
	}
}

func TestOutputsThatLeaveTheTreeAreRefused(t *testing.T) {
	for name, script := range map[string]string{
		"Absolute":   "ln -s /etc/passwd out",
		"Relative":   "ln -s ../../x out",
		"Within":     "mkdir out; ln -s ../../../x out/l",
		"Parent":     "rm -r d; ln -s /etc d; touch out",
		"Fifo":       "mkfifo out",
		"FifoWithin": "mkdir out; mkfifo out/f",
		"BadName":    "mkdir out; touch \"$(printf 'out/a\\nb')\"",
		"NotUTF8":    "mkdir out; touch \"$(printf 'out/a\\377')\"",
		"LinkToSuch": "mkdir out; ln -s \"$(printf 'a\\377')\" out/l",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			result := r.do(sh(script, "out", "d/passwd"))
			if result.OK() || len(result.Outputs) > 0 || !strings.Contains(result.Message, "out") {
				t.Errorf("result = %+v", result)
			}
		})
	}
}

func TestOutputsOfAFailureAreNotKept(t *testing.T) {
	r := newRig(t, nil)
	result := r.do(sh("touch a; exit 3", "a"))
	if result.ExitCode != 3 || len(result.Outputs) > 0 {
		t.Errorf("result = %+v", result)
	}
}

func TestStartedIsCalledOnceWhenTheCommandRuns(t *testing.T) {
	r := newRig(t, nil)
	started := 0
	if _, err := r.Execute(context.Background(), exec.Request{Action: r.action(sh("true"))}, func() { started++ }); err != nil {
		t.Fatal(err)
	}
	if started != 1 {
		t.Errorf("started %d times", started)
	}
}

// BenchmarkExecuteTrue is the whole overhead of an action; user-ns/op and
// child-ns/op are the CPU time of this process and of the sandboxes.
func BenchmarkExecuteTrue(b *testing.B) {
	plain := work{argv: []string{"/bin/true"}}
	// As Bazel's genrules are.
	small := sh("echo hello > bazel-out/k8-fastbuild/bin/pkg/out", "bazel-out/k8-fastbuild/bin/pkg/out")
	small.inputs = map[string]string{"external/bazel_tools/tools/genrule/genrule-setup.sh": "#!/bin/sh\n", "pkg/in": "x"}
	for name, c := range map[string]struct {
		level action.Isolation
		work
	}{"Sandbox": {0, plain}, "Reduced": {action.Reduced, plain}, "Small": {0, small}, "Absolute": {0, absolute(plain, "/home/u/p")}} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(o *exec.Options) { o.Isolation = c.level })
			r.Isolation()
			d := r.action(c.work)
			own, children := usage()
			for b.Loop() {
				if result, err := r.Execute(context.Background(), exec.Request{Action: d}, func() {}); err != nil || !result.OK() {
					b.Fatal(result, err)
				}
			}
			r.Close() // what was started with it is waited for
			own2, children2 := usage()
			b.ReportMetric(float64(own2-own)/float64(b.N), "node-cpu-ns/op")
			b.ReportMetric(float64(children2-children)/float64(b.N), "sandbox-cpu-ns/op")
		})
	}
}
