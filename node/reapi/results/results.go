// Package results is what came of the actions of Remote Execution clients, under
// the digests that they gave them: the action cache of a node that such clients
// see. What each names is kept as a record, a blob that any member can find as it
// finds the result of an action, under a name made of the client's digest and of
// the programs that the action ran. Start reading at Store.Find.
package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// bringTime bounds how long what a result names may take to come here.
	// A client executes instead, and what was executed is known by then.
	bringTime = time.Minute
	// publishTime bounds how long the owners of a record may take to hear of it.
	publishTime = 10 * time.Second
	// maxPublishing records are told at once; who makes more waits.
	maxPublishing = 64
)

// Blobs are the own store under native and foreign names.
type Blobs interface {
	store.Blobs
	// Native returns the native digest of what d names, or store.ErrNotFound.
	Native(ctx context.Context, d digest.Digest) (digest.Digest, error)
	// Note remembers that foreign stands for native.
	Note(foreign, native digest.Digest) error
}

// Registry is the results of the mesh: see registry.Registry.
type Registry interface {
	Lookup(ctx context.Context, s registry.Scope, actions []digest.Digest) map[digest.Digest]registry.Found
	Publish(ctx context.Context, s registry.Scope, e action.Entry, holders []peer.ID) error
}

// Cache is the results that this node has: see actions.Cache.
type Cache interface {
	Get(ctx context.Context, a digest.Digest) (action.Entry, error)
	PutOwn(ctx context.Context, e action.Entry) error
}

// Options are what a Store works with. Log may be left out.
type Options struct {
	Self     peer.ID
	Blobs    Blobs
	Registry Registry
	// Own has what this node may tell the mesh, Uploads what a client gave for
	// itself, and is not told.
	Own, Uploads Cache
	// Fetch brings native blobs here; hints may have them.
	Fetch func(ctx context.Context, ds []digest.Digest, hints []peer.ID) error
	// Provide tells the mesh that this node has blobs.
	Provide func(...digest.Digest)
	// Hold keeps native blobs for as long as a client that was told of them may take.
	Hold func(...digest.Digest)
	// Made remembers by the execution of what action blobs came to be, by the
	// client's names; nil forgets it.
	Made func(k Key, blobs []digest.Digest)
	// Said remembers of what action a client says that it made blobs; nil forgets it.
	// What is made of a false word is other blobs, and nobody takes it for these.
	Said func(k Key, blobs []digest.Digest)
	// Sign makes an entry of this node.
	Sign func(act digest.Digest, r action.Result) (action.Entry, error)
	// Toolchains are the digests of the programs that an action of a client may run
	// on this machine. "" is of actions whose programs are among their inputs.
	Toolchains func(ctx context.Context) ([]string, error)
	// ShareUploads gives the mesh what clients say came of their actions. Members
	// use it that take results of less than full isolation.
	ShareUploads bool
	// Answered tells of a result that was known when a client asked, Given of one that
	// a client brought. Both are optional.
	Answered, Given func(act digest.Digest, said *repb.RequestMetadata, r *repb.ActionResult)
	Log             *slog.Logger
}

// Store is the results of clients. All methods may be called concurrently.
type Store struct {
	opts  Options
	turns turns
	// life ends with Run, publishing with it.
	life       context.Context
	end        context.CancelFunc
	publishing errgroup.Group
}

// New returns a Store that works at once, until Run ends.
func New(opts Options) *Store {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Made == nil {
		opts.Made = func(Key, []digest.Digest) {}
	}
	if opts.Answered == nil {
		opts.Answered = untold
	}
	if opts.Given == nil {
		opts.Given = untold
	}
	if opts.Said == nil {
		opts.Said = func(Key, []digest.Digest) {}
	}
	s := &Store{opts: opts, turns: newTurns()}
	s.publishing.SetLimit(maxPublishing)
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func untold(digest.Digest, *repb.RequestMetadata, *repb.ActionResult) {}

// Run keeps the Store going until ctx ends, when nobody may use it any more.
func (s *Store) Run(ctx context.Context) error {
	<-ctx.Done()
	s.end()
	return s.publishing.Wait()
}

// Key is what a client calls a result by.
type Key struct {
	// Action is in the client's function.
	Action   digest.Digest
	Instance string
}

// digest is under what the mesh has the record. A toolchain digest has a form of
// its own, which an instance cannot imitate: there is no NUL in either.
func (k Key) digest(toolchain string) digest.Digest {
	b := append([]byte("buildnet reapi result 1\x00"), k.Action.Binary()...)
	b = append(append(b, toolchain...), 0)
	return digest.Of(digest.BLAKE3, append(b, k.Instance...))
}

func (s *Store) scope() registry.Scope {
	return registry.Scope{Build: claim.Build("reapi"), Initiator: s.opts.Self, Reach: registry.Mesh}
}

// Find returns what came of an action as the programs of this machine make it,
// with all that it names here; store.ErrNotFound if nobody knows that, or if a
// blob is lost.
func (s *Store) Find(ctx context.Context, k Key) (*Made, error) {
	toolchains, err := s.opts.Toolchains(ctx)
	if err != nil {
		return nil, fmt.Errorf("result of %v: %w", k.Action, err)
	}
	return s.find(ctx, k, toolchains)
}

// FindOf is Find of an action of which it is known what programs it runs: each
// toolchain less is a question less to the mesh. What clients uploaded is under the
// first of all toolchains, whatever the action runs.
func (s *Store) FindOf(ctx context.Context, k Key, toolchain string) (*Made, error) {
	all, err := s.opts.Toolchains(ctx)
	if err != nil {
		return nil, fmt.Errorf("result of %v: %w", k.Action, err)
	}
	return s.find(ctx, k, slices.Compact([]string{toolchain, all[0]}))
}

func (s *Store) find(ctx context.Context, k Key, toolchains []string) (*Made, error) {
	keys := make([]digest.Digest, len(toolchains))
	for i, t := range toolchains {
		keys[i] = k.digest(t)
	}
	for _, from := range []Cache{s.opts.Own, s.opts.Uploads} {
		for _, key := range keys {
			e, err := from.Get(ctx, key)
			if err != nil {
				continue // it is not there, or cannot be read: somebody else may know
			}
			if m, err := s.take(ctx, k, &e, []peer.ID{e.Executor}); err == nil || ctx.Err() != nil {
				return m, err
			}
		}
	}
	found := s.opts.Registry.Lookup(ctx, s.scope(), keys)
	for _, key := range keys {
		f, ok := found[key]
		if !ok {
			continue
		}
		m, err := s.take(ctx, k, &f.Entry, f.Holders)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
		s.opts.Log.Info("a known result is incomplete", "action", k.Action, "error", err)
	}
	return nil, fmt.Errorf("result of %v: %w", k.Action, store.ErrNotFound)
}

// take reads the record that an entry names, and brings all that this names here.
func (s *Store) take(ctx context.Context, k Key, e *action.Entry, holders []peer.ID) (*Made, error) {
	ctx, cancel := context.WithTimeout(ctx, bringTime)
	defer cancel()
	if len(e.Result.Outputs) != 1 || e.Result.Outputs[0].Kind != action.File {
		return nil, fmt.Errorf("entry of %v: %w", e.Action, errRecord)
	}
	record := e.Result.Outputs[0].Digest
	if record.Function() != digest.BLAKE3 || record.Size() > maxRecordBytes {
		return nil, fmt.Errorf("entry of %v: %w", e.Action, errRecord)
	}
	if err := s.bring(ctx, []digest.Digest{record}, holders); err != nil {
		return nil, fmt.Errorf("record of %v: %w", k.Action, err)
	}
	m, err := s.record(ctx, k, record)
	if err != nil {
		return nil, fmt.Errorf("record of %v: %w", k.Action, err)
	}
	natives := m.natives()
	s.opts.Hold(natives...)
	if err := s.bring(ctx, natives, holders); err != nil {
		return nil, fmt.Errorf("outputs of %v: %w", k.Action, err)
	}
	for _, b := range m.Blobs {
		if b.Name == b.Native {
			continue
		}
		if err := s.opts.Blobs.Note(b.Name, b.Native); err != nil {
			return nil, fmt.Errorf("outputs of %v: %w", k.Action, err)
		}
	}
	if e.Result.Isolation != action.None { // as that of an upload is
		s.opts.Made(k, m.names())
	}
	return m, nil
}

func (s *Store) record(ctx context.Context, k Key, d digest.Digest) (*Made, error) {
	release, err := s.turns.take(ctx, d.Size())
	if err != nil {
		return nil, err
	}
	defer release()
	encoded, err := store.ReadAll(ctx, s.opts.Blobs, d, maxRecordBytes)
	if err != nil {
		return nil, err
	}
	return decode(k.Action.Function(), encoded)
}

// bring fetches what is not here.
func (s *Store) bring(ctx context.Context, ds []digest.Digest, holders []peer.ID) error {
	here, err := s.opts.Blobs.Has(ctx, ds)
	if err != nil {
		return err
	}
	var missing []digest.Digest
	for i, ok := range here {
		if !ok {
			missing = append(missing, ds[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return s.opts.Fetch(ctx, missing, holders)
}

// Keep keeps what came of an action that this mesh has executed, and tells the mesh.
// The entry is that of the execution.
func (s *Store) Keep(ctx context.Context, k Key, toolchain string, m *Made, of *action.Entry) error {
	e, err := s.entry(ctx, k, toolchain, m, of.Result.Isolation)
	if err != nil {
		return err
	}
	if err := s.opts.Own.PutOwn(ctx, e); err != nil {
		return fmt.Errorf("keep result of %v: %w", k.Action, err)
	}
	s.opts.Made(k, m.names())
	s.publish(k, e)
	return nil
}

// Promise keeps what a result names for as long as a client that was told of it may
// take, but not the result.
func (s *Store) Promise(m *Made) { s.opts.Hold(m.natives()...) }

// Upload keeps what a client says came of its action, for clients of this node, or
// for all if uploads are shared.
func (s *Store) Upload(ctx context.Context, k Key, toolchain string, m *Made) error {
	e, err := s.entry(ctx, k, toolchain, m, action.None)
	if err != nil {
		return err
	}
	if err := s.opts.Uploads.PutOwn(ctx, e); err != nil {
		return fmt.Errorf("keep result of %v: %w", k.Action, err)
	}
	s.opts.Said(k, m.names())
	if s.opts.ShareUploads {
		s.publish(k, e)
	}
	return nil
}

func (s *Store) entry(ctx context.Context, k Key, toolchain string, m *Made, level action.Isolation) (action.Entry, error) {
	encoded, err := m.encode()
	if err != nil {
		return action.Entry{}, fmt.Errorf("keep result of %v: %w", k.Action, err)
	}
	record := digest.Of(digest.BLAKE3, encoded)
	s.opts.Hold(append(m.natives(), record)...)
	if err := s.opts.Blobs.Put(ctx, record, bytes.NewReader(encoded)); err != nil {
		return action.Entry{}, fmt.Errorf("keep result of %v: %w", k.Action, err)
	}
	return s.opts.Sign(k.digest(toolchain), action.Result{
		Outputs: []action.Output{{Path: "record", Kind: action.File, Digest: record}}, Isolation: level,
	})
}

// publish tells the mesh of a record that is kept. Nobody waits for that: whoever
// asks before it is told executes, and gets the result of the action itself.
func (s *Store) publish(k Key, e action.Entry) {
	s.opts.Provide(e.Result.Outputs[0].Digest)
	s.publishing.Go(func() error {
		ctx, cancel := context.WithTimeout(s.life, publishTime)
		defer cancel()
		if err := s.opts.Registry.Publish(ctx, s.scope(), e, []peer.ID{s.opts.Self}); err != nil && !errors.Is(err, context.Canceled) {
			s.opts.Log.Warn("result of a client's action not published", "action", k.Action, "error", err)
		}
		return nil
	})
}
