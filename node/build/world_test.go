package build

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a builder over a real tree and a store in memory. Its scheduler
// executes nothing: what a step makes is a function of the step and its inputs.
type world struct {
	t       *testing.T
	root    string
	store   *memory.Store
	actions *actions.Cache
	history *history.History
	builder *Builder
	self    peer.ID
	key     ed25519.PrivateKey

	mu       sync.Mutex
	chain    string                 // what the toolchain is
	ran      []action.StepID        // by the scheduler, in order
	before   func(*action.Step)     // called before each execution
	fails    map[action.StepID]bool // steps whose command fails
	contents func(*action.Step, digest.Digest) string
	others   []peer.Member // beside this node
	took     func(*action.Step) time.Duration
	asked    []costs.Kind
	told     []costs.Kind
	knows    func(costs.Kind) (costs.Estimate, bool) // what others tell
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalEd25519PublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, root: t.TempDir(), store: memory.New(64 << 20), self: peer.ID(id.String()), key: private,
		chain: "blake3:one", fails: map[action.StepID]bool{}, before: func(*action.Step) {},
		took:    func(*action.Step) time.Duration { return time.Second },
		knows:   func(costs.Kind) (costs.Estimate, bool) { return costs.Estimate{}, false },
		actions: actions.New(&memory.KV{}), history: history.New(&memory.KV{}),
	}
	// As a compiler does, it makes the same of inputs that differ in comments.
	w.contents = func(s *action.Step, inputs digest.Digest) string { return string(s.ID) + " of " + inputs.String() }
	w.write(files)
	w.builder = New(Options{
		Self: w.self, Store: w.store, State: &memory.KV{}, Dead: dead.New(&memory.KV{}), Actions: w.actions, History: w.history,
		Costs: costs.New(&memory.KV{}, &memory.KV{}), Hearsay: w, Toolchains: w, Scheduler: w, Fetcher: nowhere{},
		Members: func() []peer.Member {
			here := peer.Member{ID: w.self, Name: "here", State: peer.Alive, Self: true, Caps: peer.Capabilities{BPU: 1, Cores: 1, Slots: 1}}
			return append([]peer.Member{here}, w.others...)
		},
		Estimate: func(peer.ID, peer.ID) time.Duration { return 0 },
		Settle:   func(context.Context) string { return "" },
		Moved:    func() (in, out int64) { return 0, 0 }, Provide: func(...digest.Digest) {}, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// nowhere is a mesh without other members: what is not here is lost.
type nowhere struct{}

func (nowhere) Fetch(context.Context, []digest.Digest, []peer.ID) (int64, error) { return 0, nil }

func (nowhere) FetchTree(context.Context, digest.Digest, []peer.ID, func(...digest.Digest)) (int64, error) {
	return 0, nil
}

// Ask implements Hearsay.
func (w *world) Ask(_ context.Context, kinds []costs.Kind) {
	w.asked = append(w.asked, kinds...)
	for _, k := range kinds {
		if e, ok := w.knows(k); ok {
			if err := w.builder.opts.Costs.Hear(k, e, time.Now()); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// Tell implements Hearsay.
func (w *world) Tell(kinds []costs.Kind) { w.told = append(w.told, kinds...) }

// Digest implements Toolchains.
func (w *world) Digest(context.Context, toolchain.Spec) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chain, nil
}

// Fresh implements Toolchains.
func (w *world) Fresh(_ toolchain.Spec, d string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chain == d
}

// Build implements Scheduler: the steps one after the other.
func (w *world) Build(ctx context.Context, b sched.Build, o sched.Observer) error {
	o.Elected(w.self, nil, 1)
	results := map[action.StepID]*action.Result{}
	steps := b.Plan.Graph.Steps()
	for _, g := range b.Plan.Given {
		results[steps[g.Step].ID] = g.Result
	}
	for i := range steps {
		s := &steps[i]
		if results[s.ID] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := w.resolve(ctx, s, results, b.Plan.Modes)
		if err != nil {
			return err
		}
		if done == nil {
			continue // behind a failure
		}
		o.Started(steal.Step(i), w.self)
		if err := o.Secure(ctx, steal.Step(i), done); err != nil {
			return errors.Join(err, ctx.Err())
		}
		o.Finished(steal.Step(i), done)
		if done.Entry.Result.OK() {
			results[s.ID] = &done.Entry.Result
		} else if !b.Plan.Modes.KeepGoing {
			return nil
		}
	}
	return nil
}

func (w *world) resolve(ctx context.Context, s *action.Step, results map[action.StepID]*action.Result, modes steal.Modes) (*steal.Done, error) {
	for _, d := range s.Deps {
		if results[d.Step] == nil {
			return nil, nil
		}
	}
	dirs := newDirectories(w.store)
	a, err := action.Assemble(ctx, s, results, dirs)
	if err != nil {
		return nil, err
	}
	if err := dirs.keep(ctx, w.store.Lease(), a.Blobs); err != nil {
		return nil, err
	}
	if e, err := w.actions.Get(ctx, a.Action); err == nil && s.Fits(&e.Result) == nil && !modes.Force {
		return &steal.Done{Entry: e, Peer: w.self, How: steal.Found, Holders: []peer.ID{w.self}}, nil
	}
	return w.execute(ctx, s, a)
}

func (w *world) execute(ctx context.Context, s *action.Step, a *action.Assembled) (*steal.Done, error) {
	w.before(s)
	w.mu.Lock()
	w.ran = append(w.ran, s.ID)
	w.mu.Unlock()
	res := action.Result{Isolation: action.Full, Wall: w.took(s), CPU: w.took(s), MaxRSS: 32 << 20}
	if w.fails[s.ID] {
		res.ExitCode = 1
	}
	for _, path := range s.Outputs {
		if res.ExitCode != 0 {
			break
		}
		d, err := store.AddBytes(ctx, w.store, []byte(w.contents(s, a.InputRoot)+" at "+path))
		if err != nil {
			return nil, err
		}
		res.Outputs = append(res.Outputs, action.Output{Path: path, Kind: action.File, Digest: d})
	}
	entry, err := action.SignEntry(a.Action, res, w.self, func(b []byte) ([]byte, error) { return ed25519.Sign(w.key, b), nil })
	if err != nil {
		return nil, err
	}
	return &steal.Done{Entry: entry, Peer: w.self, How: steal.Executed, Holders: []peer.ID{w.self}}, nil
}

func (w *world) write(files map[string]string) {
	w.t.Helper()
	for name, content := range files {
		path := filepath.Join(w.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	content, err := os.ReadFile(filepath.Join(w.root, name))
	if err != nil {
		return fmt.Sprintf("[%v]", errors.Unwrap(err))
	}
	return string(content)
}

// build runs a build and returns its events and the steps that were executed.
func (w *world) build(r Request) ([]event.Event, string, error) {
	w.t.Helper()
	w.ran = nil
	r.Root = w.root
	if r.ID == "" {
		r.ID = "b"
	}
	var events []event.Event
	err := w.builder.Build(w.t.Context(), r, func(e event.Event) { events = append(events, e) })
	var ran []string
	for _, id := range w.ran {
		ran = append(ran, string(id))
	}
	return events, strings.Join(ran, " "), err
}

// good is build for one that has to succeed.
func (w *world) good(r Request) (event.BuildFinished, string) {
	w.t.Helper()
	events, ran, err := w.build(r)
	if err != nil {
		w.t.Fatalf("build: %v", err)
	}
	return w.summary(events), ran
}

func (w *world) summary(events []event.Event) event.BuildFinished {
	w.t.Helper()
	if len(events) == 0 {
		w.t.Fatal("the build said nothing")
	}
	f, ok := events[len(events)-1].(event.BuildFinished)
	if !ok {
		w.t.Fatalf("the last event is %#v", events[len(events)-1])
	}
	if sum := f.Executed + f.CachedLocal + f.CachedMesh + f.Skipped + f.Failed + f.NotRun; sum != f.Steps {
		w.t.Errorf("the counts add up to %d of %d steps: %+v", sum, f.Steps, f)
	}
	return f
}

func notices(events []event.Event) string {
	var texts []string
	for _, e := range events {
		if n, ok := e.(event.Notice); ok {
			texts = append(texts, n.Text)
		}
	}
	return strings.Join(texts, "\n")
}
