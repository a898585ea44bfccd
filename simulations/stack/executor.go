package stack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxMessage bounds what is read of an action, in bytes.
const maxMessage = 4 << 20

// executor runs `work SECONDS BYTES`: it reads all inputs, takes SECONDS for a
// core of 1 BPU, and makes each output of BYTES that follow from the command
// and the inputs alone, whatever the toolchain.
type executor struct {
	node   int
	bpu    float64
	blobs  store.Blobs
	ledger *ledger
}

var _ node.Executor = (*executor)(nil)

// Isolation implements node.Executor.
func (x *executor) Isolation() (action.Isolation, string) { return action.Full, "" }

// Execute implements node.Executor.
func (x *executor) Execute(ctx context.Context, r exec.Request, started func()) (*action.Result, error) {
	t, err := x.load(ctx, r.Action)
	if err != nil {
		return nil, fmt.Errorf("execute %s: %w", r.Name, err)
	}
	wall := time.Duration(t.seconds / x.bpu * float64(time.Second))
	timer := time.NewTimer(wall)
	defer timer.Stop()
	run := x.ledger.begin(x.node, r)
	started()
	select {
	case <-timer.C:
	case <-ctx.Done():
		x.ledger.end(run, false)
		return nil, fmt.Errorf("execute %s: %w", r.Name, context.Cause(ctx))
	}
	result := &action.Result{Isolation: action.Full, Wall: wall, CPU: wall}
	for _, p := range t.outputs {
		d, err := x.blobs.Add(ctx, digest.BLAKE3, t.output(p))
		if err != nil {
			x.ledger.end(run, false)
			return nil, fmt.Errorf("execute %s: output %s: %w", r.Name, p, err)
		}
		result.Outputs = append(result.Outputs, action.Output{Path: p, Kind: action.File, Digest: d})
	}
	x.ledger.end(run, true)
	return result, nil
}

// task is an action that was read.
type task struct {
	seconds float64
	bytes   int64
	outputs []string
	seed    [32]byte // of the outputs
}

func (x *executor) load(ctx context.Context, d digest.Digest) (*task, error) {
	var a repb.Action
	var c repb.Command
	if err := x.message(ctx, d, &a); err != nil {
		return nil, err
	}
	command, err := action.DigestOf(a.GetCommandDigest())
	if err != nil {
		return nil, err
	}
	if err := x.message(ctx, command, &c); err != nil {
		return nil, err
	}
	root, err := action.DigestOf(a.GetInputRootDigest())
	if err != nil {
		return nil, err
	}
	t, err := taskOf(&c)
	if err != nil {
		return nil, err
	}
	t.seed = sha256.Sum256(fmt.Appendf(nil, "%q in %q makes %q of %v", c.GetArguments(), c.GetWorkingDirectory(), t.outputs, root))
	return t, x.read(ctx, root)
}

func taskOf(c *repb.Command) (*task, error) {
	args := c.GetArguments()
	if len(args) != 3 || args[0] != tool {
		return nil, fmt.Errorf("%w: command %q", exec.ErrMalformed, args)
	}
	seconds, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return nil, fmt.Errorf("%w: command %q: %w", exec.ErrMalformed, args, err)
	}
	bytes, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: command %q: %w", exec.ErrMalformed, args, err)
	}
	t := &task{seconds: seconds, bytes: bytes}
	for _, o := range c.GetOutputPaths() {
		t.outputs = append(t.outputs, path.Join(c.GetWorkingDirectory(), o))
	}
	slices.Sort(t.outputs)
	return t, nil
}

// output is bytes that do not compress.
func (t *task) output(p string) io.Reader {
	seed := t.seed
	for i, b := range []byte(p) {
		seed[i%len(seed)] += b
	}
	return io.LimitReader(rand.NewChaCha8(seed), t.bytes)
}

// read reads all files of a tree, as a command would that reads its inputs.
func (x *executor) read(ctx context.Context, root digest.Digest) error {
	var dir repb.Directory
	if err := x.message(ctx, root, &dir); err != nil {
		return err
	}
	for _, f := range dir.GetFiles() {
		if err := x.file(ctx, f); err != nil {
			return fmt.Errorf("input %s: %w", f.GetName(), err)
		}
	}
	for _, s := range dir.GetDirectories() {
		d, err := action.DigestOf(s.GetDigest())
		if err != nil {
			return err
		}
		if err := x.read(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", s.GetName(), err)
		}
	}
	return nil
}

func (x *executor) file(ctx context.Context, f *repb.FileNode) error {
	d, err := action.DigestOf(f.GetDigest())
	if err != nil {
		return err
	}
	r, err := x.blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	h := digest.NewHasher(d.Function())
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if h.Sum() != d {
		return fmt.Errorf("%v: %w", d, store.ErrCorrupt)
	}
	return nil
}

func (x *executor) message(ctx context.Context, d digest.Digest, m proto.Message) error {
	content, err := store.ReadAll(ctx, x.blobs, d, maxMessage)
	if err != nil {
		return err
	}
	return proto.Unmarshal(content, m)
}

// Execution is one run of an action on one node.
type Execution struct {
	Node         int
	Step         string
	Action       digest.Digest
	Began, Ended time.Time // Ended is zero while it runs
	// Done says that it came to its end and was not cancelled.
	Done bool
}

// ledger is what all nodes of a fleet executed.
type ledger struct {
	mu   sync.Mutex
	runs []Execution
}

func (l *ledger) begin(node int, r exec.Request) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, Execution{Node: node, Step: r.Name, Action: r.Action, Began: time.Now()})
	return len(l.runs) - 1
}

func (l *ledger) end(run int, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[run].Ended, l.runs[run].Done = time.Now(), done
}

// Executions returns all runs so far, by the time of their beginning.
func (f *Fleet) Executions() []Execution {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	runs := slices.Clone(f.ledger.runs)
	slices.SortStableFunc(runs, func(a, b Execution) int { return cmp.Or(a.Began.Compare(b.Began), a.Node-b.Node) })
	return runs
}
