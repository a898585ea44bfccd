package overhead

import (
	"context"
	"errors"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/exec"
	_ "github.com/buildnet/buildnet/node/exec/child" // the process in the sandbox
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// burner is a program that uses 10 ms of CPU and writes a file.
const burner = `
#include <stdio.h>
#include <time.h>
int main(int argc, char **argv) {
	struct timespec t;
	do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); while (t.tv_sec == 0 && t.tv_nsec < 10000000);
	FILE *f = fopen(argv[1], "w");
	return !f || fprintf(f, "%s\n", argv[1]) < 0 || fclose(f);
}
`

// maxSandboxed actions are run for real: more say no more, and take minutes.
const maxSandboxed = 1000

// BenchmarkSandboxed is BenchmarkMesh with real commands of 10 ms of CPU in
// their sandboxes. What the same executor takes for the same command, without
// any node around it, is taken off.
func BenchmarkSandboxed(b *testing.B) {
	program := compiled(b)
	kinds := []kind{sandboxing, leading}
	for len(kinds) < 8 {
		kinds = append(kinds, sandboxing)
	}
	direct := sandboxAlone(b, program, slots*(len(kinds)-1))
	f := start(b, 0, kinds...)
	dir := projectOf(b, min(*actions, maxSandboxed), "./burn", program)
	for b.Loop() {
		took, done := f.build(dir)
		all := f.report(took, done)
		b.ReportMetric(perRun(direct.Children), "direct-children-µs/action")
		b.ReportMetric(perRun(direct.all()), "direct-µs/action")
		b.ReportMetric(all-perRun(direct.all()), "beyond-µs/action")
	}
}

// compiled is the burner, linked statically.
func compiled(b *testing.B) []byte {
	b.Helper()
	dir := b.TempDir()
	source, program := filepath.Join(dir, "burn.c"), filepath.Join(dir, "burn")
	if err := os.WriteFile(source, []byte(burner), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := osexec.Command("cc", "-O2", "-static", "-s", "-o", program, source).CombinedOutput(); err != nil {
		b.Skipf("cc: %v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		b.Fatal(err)
	}
	return content
}

// runs of the command by the executor alone.
const runs = 100

func perRun(d time.Duration) float64 { return float64(d.Microseconds()) / runs }

// sandboxAlone is what the executor takes for so many runs of the command, the
// sandbox and the command itself included. As many at once as in the fleet: on a
// machine with more to do at once than it has processors, each takes more.
func sandboxAlone(b *testing.B, program []byte, atOnce int) spent {
	b.Helper()
	blobs := memory.New(1 << 30)
	x, err := exec.New(exec.Options{Dir: b.TempDir(), Blobs: blobs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if level, missing := x.Isolation(); level != action.Full {
		b.Skipf("no sandbox here: %s", missing)
	}
	file := func(name, content string) *repb.FileNode {
		return &repb.FileNode{Name: name, Digest: action.ReapiDigest(add(b, blobs, []byte(content))), IsExecutable: true}
	}
	root := message(b, blobs, &repb.Directory{Files: []*repb.FileNode{file("all.h", "what all have\n"), file("burn", string(program)), file("source.c", "source\n")}})
	command := message(b, blobs, &repb.Command{Arguments: []string{"./burn", "made.o"}, OutputPaths: []string{"made.o"}})
	act := message(b, blobs, &repb.Action{
		CommandDigest: action.ReapiDigest(command), InputRootDigest: action.ReapiDigest(root), Platform: &repb.Platform{},
	})
	begun := spentSoFar()
	var all errgroup.Group
	all.SetLimit(atOnce)
	for range runs {
		all.Go(func() error {
			res, err := x.Execute(context.Background(), exec.Request{Action: act, Name: "burn"}, func() {})
			if err == nil && !res.OK() {
				err = errors.New(res.Message)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return spentSoFar().since(begun)
}

func message(b *testing.B, blobs store.Blobs, m proto.Message) digest.Digest {
	b.Helper()
	blob, err := action.EncodeBlob(m)
	if err != nil {
		b.Fatal(err)
	}
	return add(b, blobs, blob.Content)
}

func add(b *testing.B, blobs store.Blobs, content []byte) digest.Digest {
	b.Helper()
	d, err := store.AddBytes(context.Background(), blobs, content)
	if err != nil {
		b.Fatal(err)
	}
	return d
}
