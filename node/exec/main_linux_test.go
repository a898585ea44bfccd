package exec_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// roomy is more than any test stores.
const roomy = 256 << 20

// rig is an executor over a store in memory.
type rig struct {
	t     testing.TB
	blobs *memory.Store
	*exec.Executor
	dir string
}

func newRig(t testing.TB, change func(*exec.Options)) *rig {
	t.Helper()
	r := &rig{t: t, blobs: memory.New(roomy), dir: t.TempDir()}
	opts := exec.Options{Dir: r.dir, Blobs: r.blobs, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	e, err := exec.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	r.Executor = e
	t.Cleanup(func() {
		e.Close()
		// Where reduced isolation works; see scratchDirs.reachable.
		_ = os.Remove(filepath.Join(os.TempDir(), "buildnet-scratch-"+digest.Of(digest.BLAKE3, []byte(r.dir)).Short()))
		if left, err := os.ReadDir(r.dir); err != nil || len(left) > 0 {
			t.Errorf("scratch directories left: %v, %v", left, err)
		}
	})
	return r
}

// sandboxed is newRig for what only a sandbox promises.
func sandboxed(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, nil)
	if level, missing := r.Isolation(); level != action.Full {
		t.Skipf("no sandbox here: %s", missing)
	}
	return r
}

// work describes an action.
type work struct {
	argv     []string
	dir      string
	env      []action.Property
	outputs  []string // from the working directory
	inputs   map[string]string
	links    map[string]string // from where to what
	platform []action.Property
	timeout  time.Duration
}

func sh(script string, outputs ...string) work {
	return work{argv: []string{"/bin/sh", "-e", "-c", script}, outputs: outputs}
}

func (r *rig) put(m proto.Message) digest.Digest {
	r.t.Helper()
	b, err := action.EncodeBlob(m)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := store.AddBytes(context.Background(), r.blobs, b.Content); err != nil {
		r.t.Fatal(err)
	}
	return b.Digest
}

// Directory implements action.Directories.
func (r *rig) Directory(ctx context.Context, d digest.Digest) (*repb.Directory, error) {
	content, err := store.ReadAll(ctx, r.blobs, d, roomy)
	if err != nil {
		return nil, err
	}
	var m repb.Directory
	return &m, proto.Unmarshal(content, &m)
}

func (r *rig) action(w work) digest.Digest {
	r.t.Helper()
	ctx := context.Background()
	tree := action.NewTree(r, digest.Digest{})
	for p, content := range w.inputs {
		d, err := store.AddBytes(ctx, r.blobs, []byte(content))
		if err != nil {
			r.t.Fatal(err)
		}
		if err := tree.Put(ctx, action.Output{Path: p, Kind: action.File, Digest: d, Executable: strings.HasPrefix(content, "#!")}); err != nil {
			r.t.Fatal(err)
		}
	}
	for p, target := range w.links {
		if err := tree.Put(ctx, action.Output{Path: p, Kind: action.Symlink, Target: target}); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := tree.Mkdir(ctx, w.dir); err != nil {
		r.t.Fatal(err)
	}
	root, blobs, err := tree.Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range blobs {
		if _, err := store.AddBytes(ctx, r.blobs, b.Content); err != nil {
			r.t.Fatal(err)
		}
	}
	c := &repb.Command{Arguments: w.argv, WorkingDirectory: w.dir, OutputPaths: w.outputs}
	for _, e := range w.env {
		c.EnvironmentVariables = append(c.EnvironmentVariables, &repb.Command_EnvironmentVariable{Name: e.Name, Value: e.Value})
	}
	a := &repb.Action{CommandDigest: action.ReapiDigest(r.put(c)), InputRootDigest: action.ReapiDigest(root), Platform: &repb.Platform{}}
	if w.timeout > 0 {
		a.Timeout = durationpb.New(w.timeout)
	}
	for _, p := range w.platform {
		a.Platform.Properties = append(a.Platform.Properties, &repb.Platform_Property{Name: p.Name, Value: p.Value})
	}
	return r.put(a)
}

// do executes w, and fails the test if the machinery fails.
func (r *rig) do(w work) *action.Result {
	r.t.Helper()
	result, err := r.Execute(context.Background(), exec.Request{Action: r.action(w), Name: "test"}, func() {})
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// must executes w, which must succeed.
func (r *rig) must(w work) *action.Result {
	r.t.Helper()
	result := r.do(w)
	if !result.OK() {
		r.t.Fatalf("exit code %d, %s: %s", result.ExitCode, result.Message, r.stdout(result))
	}
	return result
}

func (r *rig) stdout(result *action.Result) string {
	r.t.Helper()
	return r.text(result.Stdout)
}

// text is what a stream of a result says.
func (r *rig) text(d digest.Digest) string {
	r.t.Helper()
	if d.IsZero() {
		return ""
	}
	return r.content(d)
}

func (r *rig) content(d digest.Digest) string {
	r.t.Helper()
	b, err := store.ReadAll(context.Background(), r.blobs, d, roomy)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// output returns the bytes of a file that the result made.
func (r *rig) output(result *action.Result, p string) string {
	r.t.Helper()
	i := slices.IndexFunc(result.Outputs, func(o action.Output) bool { return o.Path == p })
	if i < 0 {
		r.t.Fatalf("no output %s in %v", p, result.Outputs)
	}
	return r.content(result.Outputs[i].Digest)
}

// eventually waits for what is to become true.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// usage returns the CPU time of this process and of the children it waited
// for, in nanoseconds.
func usage() (own, children int64) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	own = u.Utime.Nano() + u.Stime.Nano()
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
	return own, u.Utime.Nano() + u.Stime.Nano()
}
