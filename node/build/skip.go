package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// sealed is what must not have changed beside the files of the tree.
type sealed struct {
	Config     string       `json:"config"`
	PassEnv    []string     `json:"pass_env"`
	Env        string       `json:"env"` // digest of their values
	Toolchains []sealedSpec `json:"toolchains"`

	Steps int `json:"steps"`
	// Saved is the run time of all steps, in milliseconds.
	Saved int64 `json:"saved_ms"`
	// Uncached are the steps that no cache holds.
	Uncached []string `json:"uncached,omitempty"`
}

// unseal reads what an earlier success, perhaps of another version, has kept.
func unseal(opaque []byte) (s sealed, ok bool) {
	err := json.Unmarshal(opaque, &s)
	return s, err == nil
}

// sealKey names a success of the same targets.
func (r *run) sealKey() string {
	targets := slices.Sorted(slices.Values(r.req.Targets))
	text, err := json.Marshal(targets)
	if err != nil {
		panic("build: strings cannot be encoded: " + err.Error())
	}
	return digest.Of(digest.BLAKE3, text).Hex()[:24]
}

func (r *run) configDigest() string { return digest.Of(digest.BLAKE3, r.source).String() }

// envDigest names the values of the user's variables, and which are set.
func (r *run) envDigest(names []string) string {
	h := digest.NewHasher(digest.BLAKE3)
	for _, name := range names {
		value, set := r.req.Env[name]
		fmt.Fprintf(h, "%q %v %q\n", name, set, value)
	}
	return h.Sum().String()
}

// instantSkip ends the build if nothing has changed since the last success of
// its targets.
func (r *run) instantSkip(ctx context.Context) (bool, error) {
	key := r.sealKey()
	state, same, err := r.tree.Unchanged(ctx, key)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	s, known := unseal(state.Opaque)
	if !same || !known || !r.holds(s) {
		return false, nil
	}
	build := string(r.req.ID)
	r.journal = newJournal(r.emit)
	r.journal.add(event.BuildStarted{Build: build, Root: r.req.Root, Targets: r.req.Targets, Steps: s.Steps, Members: r.members()})
	f := event.BuildFinished{
		Build: build, OK: true, Tier: event.InstantSkip, Steps: s.Steps, Skipped: s.Steps,
		ByPeer: map[string]int{}, SavedMS: s.Saved, Uncached: s.Uncached,
	}
	r.measure(&f)
	r.record(f)
	r.emit(f)
	return true, nil
}

// holds reports whether configuration, environment and toolchains are still
// those of the seal.
func (r *run) holds(s sealed) bool {
	if s.Config != r.configDigest() || s.Env != r.envDigest(s.PassEnv) {
		return false
	}
	for _, t := range s.Toolchains {
		if !r.opts.Toolchains.Fresh(t.Spec, t.Digest) {
			return false
		}
	}
	return true
}

// seal keeps the state of a success, unless a source changed meanwhile: then
// this build is of what it had read, and says so.
func (r *run) seal(ctx context.Context) error {
	changed, err := r.tree.ChangedSince(ctx, r.snapshot, r.sources)
	if err != nil {
		return err
	}
	for _, path := range changed {
		r.notice(event.Warning, "%s changed during the build; what was built is of its content before", path)
	}
	if len(changed) > 0 {
		return nil
	}
	opaque, err := json.Marshal(r.sealed())
	if err != nil {
		return fmt.Errorf("seal the tree: %w", err)
	}
	err = r.tree.Seal(ctx, r.sealKey(), worktree.State{
		Snapshot: r.snapshot, Sources: r.sources, Outputs: r.outputs(), Opaque: opaque,
	})
	if errors.Is(err, worktree.ErrChanged) {
		r.notice(event.Info, "%v; the next build looks at everything again", err)
		return nil
	}
	return err
}

func (r *run) sealed() sealed {
	s := sealed{Config: r.configDigest(), Toolchains: r.specs, Steps: len(r.selected), Uncached: r.uncached()}
	names := map[string]bool{}
	for _, p := range r.selected {
		for _, name := range p.PassEnv {
			if !names[name] {
				names[name] = true
				s.PassEnv = append(s.PassEnv, name)
			}
		}
	}
	slices.Sort(s.PassEnv)
	s.Env = r.envDigest(s.PassEnv)
	var saved time.Duration
	for _, res := range r.outcomes {
		saved += res.Wall
	}
	s.Saved = saved.Milliseconds()
	return s
}

func (r *run) uncached() []string {
	var names []string
	for i := range r.graph.Steps() {
		if s := &r.graph.Steps()[i]; s.Sharing == action.Unshared {
			names = append(names, string(s.ID))
		}
	}
	return names
}
