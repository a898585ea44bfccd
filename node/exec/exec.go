// Package exec runs one action in a sandbox: its inputs from the store, its
// outputs into the store. How the sandbox is made is node/exec/child. What an action
// has of the directories of those before it is said at keptTree. Start reading at
// Executor.Execute.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of what an action may leave behind.
const (
	// DefaultOutputBytes bounds all outputs of an action together, and each
	// file that it writes.
	DefaultOutputBytes = 16 << 30
	// MaxStdoutBytes bounds what is kept of what an action prints: its
	// beginning, its end, and a note of what was cut between them. Initiators
	// read no more than that.
	MaxStdoutBytes = 8 << 20
	// reserveBytes must stay free on the disk of the scratch directories: the
	// store beside them needs room to record what happened.
	reserveBytes = 64 << 20
	// defaultTimeout bounds an action that names no time.
	defaultTimeout = time.Hour
)

var (
	// ErrNoSpace says that the disk with the scratch directories is full.
	ErrNoSpace = errors.New("no space left for running actions")
	// ErrUnsupported says that this operating system cannot execute actions.
	ErrUnsupported = errors.New("actions cannot be executed on this operating system")
	// ErrMalformed says that an action, or what it refers to, is none.
	ErrMalformed = errors.New("malformed action")
	// ErrUnable says that this machine cannot run an action as it asks to be run.
	// Another may.
	ErrUnable = errors.New("this machine cannot run it as asked")
)

// DefaultToolchainDirs are what an action sees of its machine, read-only. What
// a machine does not have is left out; links stay links.
func DefaultToolchainDirs() []string {
	return []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
		"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
		// clang has settings, links as the distribution does, and takes the gcc that
		// Gentoo has chosen.
		"/etc/clang", "/etc/debian_version", "/etc/env.d/gcc", "/etc/lsb-release", "/etc/os-release", "/etc/redhat-release",
	}
}

// networkFiles are seen besides by actions that have the host's network.
var networkFiles = []string{
	"/etc/ca-certificates", "/etc/hosts", "/etc/nsswitch.conf", "/etc/pki", "/etc/resolv.conf", "/etc/services", "/etc/ssl",
}

// Options say where and how an Executor works.
type Options struct {
	// Dir is for scratch directories and for nothing else: New removes all
	// that is in it.
	Dir   string
	Blobs store.Blobs
	Log   *slog.Logger
	// ToolchainDirs are seen by every action; nil is DefaultToolchainDirs.
	ToolchainDirs []string
	// Hidden are never seen by an action, wherever they are: the node's home.
	Hidden []string
	// Isolation is the most that is tried; zero is Full.
	Isolation action.Isolation
	// Groups is where what runs for others is put; nil leaves it to niceness.
	Groups Groups
	// OutputBytes bounds all outputs of an action; 0 is DefaultOutputBytes.
	OutputBytes int64
}

// Groups are what the kernel is told of actions: see cgroup.Group.
type Groups interface {
	// Enter puts a process, and what it starts, among what runs for others. It
	// may be called concurrently.
	Enter(pid int) error
	// Weighs reports whether what is there counts less than what is not.
	Weighs() bool
	// Memory is the directory in which to make groups that bound the memory of
	// what runs for others; "" where any group will do.
	Memory() string
}

// Executor runs actions. Its methods may be called concurrently.
type Executor struct {
	opts    Options
	scratch *scratchDirs
	machine *machine
	nursery nursery
	probe   func() probed
	lost    sync.Once // says that a group cannot be entered
}

type probed struct {
	level   action.Isolation
	missing string
}

// New makes an executor and removes what a killed node left in its directory.
func New(opts Options) (*Executor, error) {
	if opts.ToolchainDirs == nil {
		opts.ToolchainDirs = DefaultToolchainDirs()
	}
	if opts.OutputBytes == 0 {
		opts.OutputBytes = DefaultOutputBytes
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	scratch, err := openScratch(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open scratch directory %s: %w", opts.Dir, err)
	}
	e := &Executor{opts: opts, scratch: scratch, machine: newMachine()}
	e.probe = sync.OnceValue(e.tryOut)
	return e, nil
}

// Close ends what was started to start actions with. It is called when none runs
// any more; later ones fail.
func (e *Executor) Close() {
	e.nursery.close()
	if err := e.scratch.close(); err != nil {
		e.opts.Log.Warn("scratch directories stay until the next start", "dir", e.scratch.path, "error", err)
	}
}

// Isolation returns the level at which actions run here, found by starting a
// sandbox, and what is missing to Full and why, or "".
func (e *Executor) Isolation() (level action.Isolation, missing string) {
	p := e.probe()
	return p.level, p.missing
}

// Request asks for one action to be executed.
type Request struct {
	Action digest.Digest
	// Name is for people.
	Name string
	// Progress is called when the command says how much of its work is done, in
	// per cent: how it does is said in progress.go. It must not block, and is called
	// concurrently. nil is for nobody.
	Progress func(percent int)
	// Foreign actions are of another member's build: whoever is at this machine
	// goes before them.
	Foreign bool
}

// Execute runs an action whose blobs are all in the store, keeps its outputs
// there, and says what came of it. started is called when the command begins.
// When ctx ends, all processes of the action do, and its error is returned.
// An error speaks of the machinery (store.ErrNotFound, store.ErrFull,
// ErrNoSpace, ErrMalformed, ErrUnable), never of the command: how that failed is in the
// result.
func (e *Executor) Execute(ctx context.Context, r Request, started func()) (*action.Result, error) {
	result, err := e.execute(ctx, r, started)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("execute %s: %w", r.Name, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("execute %s: %w", r.Name, noSpace(err))
	}
	return result, nil
}

func (e *Executor) execute(ctx context.Context, r Request, started func()) (*action.Result, error) {
	j, err := load(ctx, e.opts.Blobs, r.Action)
	if err != nil {
		return nil, err
	}
	level, err := e.levelFor(j)
	if err != nil {
		return nil, err
	}
	dir, err := e.scratch.make(level)
	if err != nil {
		return nil, err
	}
	defer e.discard(dir)
	l := launch{job: j, dir: dir, level: level, printed: streams(j)}
	if l.ground, err = e.layOut(ctx, j, dir); err != nil {
		return nil, fmt.Errorf("lay out the inputs: %w", err)
	}
	j.foreign = r.Foreign
	j.progress = r.Progress
	return e.perform(ctx, l, started)
}

// levelFor returns how far an action is kept from this machine.
func (e *Executor) levelFor(j *job) (action.Isolation, error) {
	if j.unsandboxed {
		return action.None, nil
	}
	level, missing := e.Isolation()
	if j.absolute && level != action.Full {
		return level, fmt.Errorf("%w: %s=%s needs full isolation: %s", ErrUnable, action.PropertyRoot, action.RootAbsolute, missing)
	}
	return level, nil
}

// layOut brings the inputs into a scratch directory, and returns how they come
// from there to their own places, where the action wants that.
func (e *Executor) layOut(ctx context.Context, j *job, dir *scratchDir) (*ground, error) {
	l := &layout{blobs: e.opts.Blobs, dir: dir, buffer: make([]byte, copyBuffer), skip: map[string]bool{}}
	defer func() { dir.made += 1 + l.count + len(j.outputs) }()
	if j.absolute {
		if err := dir.work.forget(); err != nil {
			return nil, err
		}
		return e.ownPlaces(ctx, j, l)
	}
	if err := l.directory(ctx, j.root, dir.work.site(), 0); err != nil {
		return nil, err
	}
	return nil, l.finish(j.written())
}

func (e *Executor) perform(ctx context.Context, l launch, started func()) (*action.Result, error) {
	j := l.job
	begin := time.Now()
	o, err := e.run(ctx, l, started)
	if err != nil {
		return nil, err
	}
	// Who shares a network can be handed a directory that stays open.
	l.dir.settled = l.level == action.Full && !j.network
	if err := l.ground.unchanged(); err != nil {
		return nil, err
	}
	result := &action.Result{
		ExitCode: o.code, Message: o.message, Cause: o.cause, Isolation: l.level, Wall: time.Since(begin), CPU: o.cpu, MaxRSS: o.maxRSS,
	}
	if !result.OK() && !e.scratch.room() {
		return nil, fmt.Errorf("%w: the command failed on a full disk: free some of %s", ErrNoSpace, e.scratch.path)
	}
	if result.OK() || j.optional {
		if err := e.collect(ctx, j, l.dir, result); err != nil {
			return nil, err
		}
	}
	if err := e.keepPrinted(ctx, l, result); err != nil {
		return nil, fmt.Errorf("keep what it printed: %w", err)
	}
	return result, nil
}

func (e *Executor) keepPrinted(ctx context.Context, l launch, result *action.Result) (err error) {
	result.Stdout, err = l.printed[0].keep(ctx, e.opts.Blobs)
	if err == nil && l.job.apart {
		result.Stderr, err = l.printed[1].keep(ctx, e.opts.Blobs)
	}
	return err
}

func (e *Executor) discard(dir *scratchDir) {
	if err := e.scratch.release(dir); err != nil {
		e.opts.Log.Warn("scratch directory stays until the next start", "dir", dir.path, "error", err)
	}
}

// tryOut finds the level by starting what an action would be started in.
func (e *Executor) tryOut() probed {
	if e.opts.Isolation > action.Full {
		return probed{e.opts.Isolation, "reduced isolation was asked for"}
	}
	err := e.trySandbox()
	if err == nil {
		return probed{action.Full, ""}
	}
	missing := fmt.Sprintf("no sandbox, only a directory of its own and a clean environment: %v", err)
	e.opts.Log.Warn("actions run with reduced isolation; their results serve this machine alone", "reason", missing)
	return probed{action.Reduced, missing}
}

func (e *Executor) trySandbox() error {
	dir, err := e.scratch.make(action.Full)
	if err != nil {
		return err
	}
	defer e.discard(dir)
	j := &job{timeout: probeTimeout}
	_, err = e.run(context.Background(), launch{job: j, dir: dir, level: action.Full, printed: []*printed{{limit: 1 << 10}}}, func() {})
	return err
}

// probeTimeout bounds the start of the sandbox that is tried out.
const probeTimeout = 10 * time.Second

// unprivileged is the user and group that a root node's actions are on the host.
const unprivileged = 65534

// owner is whom the files of a scratch directory belong to; -1 is this user.
func owner(level action.Isolation) int {
	if os.Geteuid() == 0 && level != action.None {
		return unprivileged
	}
	return -1
}

// binds are the paths that an action sees: those of the options, and the
// directories of its own, which must exist.
func (e *Executor) binds(j *job) (all, needed []string) {
	all = append(slices.Clone(e.opts.ToolchainDirs), j.toolchainDirs...)
	if j.network {
		all = append(all, networkFiles...)
	}
	slices.Sort(all) // parents first
	all = slices.Compact(all)
	return all, j.toolchainDirs
}
