package remote_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/compile/remote"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Directory implements action.Directories.
func (b *bench) Directory(ctx context.Context, d digest.Digest) (*repb.Directory, error) {
	content, err := store.ReadAll(ctx, b.blobs, d, 1<<20)
	if err != nil {
		return nil, err
	}
	var m repb.Directory
	return &m, proto.Unmarshal(content, &m)
}

// sandboxed runs a step as a worker does.
func (b *bench) sandboxed(e *nodeexec.Executor, p *remote.Prepared) *action.Result {
	b.Helper()
	a, err := action.Assemble(b.Context(), &p.Step, nil, b)
	b.do(err)
	if a.Action != p.Action {
		b.Fatalf("a leader makes another action of it: %v, not %v", a.Action, p.Action)
	}
	for _, blob := range a.Blobs {
		b.keep(string(blob.Content))
	}
	r, err := e.Execute(b.Context(), nodeexec.Request{Action: a.Action, Name: string(p.Step.ID)}, func() {})
	b.do(err)
	return r
}

// Some of the C sources of a module that this one depends on.
func TestARealLibraryIsTheSameElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a library twice")
	}
	where, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/DataDog/zstd").Output()
	from := strings.TrimSpace(string(where))
	if err != nil || from == "" {
		t.Skip("its sources are not here")
	}
	b := newBench(t, map[string]string{"o/keep": ""})
	b.do(os.CopyFS(b.dir+"/z", os.DirFS(from)))
	e, err := nodeexec.New(nodeexec.Options{Dir: t.TempDir(), Blobs: b.blobs})
	b.do(err)
	if level, missing := e.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	sources, err := filepath.Glob(b.dir + "/z/*.c")
	b.do(err)
	for i, s := range sources {
		if i%6 != 0 {
			continue
		}
		command := fmt.Sprintf("gcc -g -Wall -Iz -DZSTD_MULTITHREAD=1 -c z/%s -o o/%d.o -MD", filepath.Base(s), i)
		p := b.step(command)
		want := b.plainly(command, p.Command.Outputs)
		o, err := b.desk.Finish(t.Context(), p, p.Action, b.sandboxed(e, p))
		b.do(err)
		if o.Suspect != "" {
			t.Errorf("%s: not believed: %s", command, o.Suspect)
		}
		if err := (ran{string(o.Said), o.ExitCode, b.taken(p.Command.Outputs)}).equal(want); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if _, hit := b.found(command); !hit {
			t.Errorf("%s: nothing has changed, and it is not known", command)
		}
	}
}
