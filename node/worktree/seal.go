package worktree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	sealVersion = 1
	// maxNamed is how many changed files an error names.
	maxNamed = 10
)

// ErrChanged says that the tree is no longer what the build saw, so that there
// is nothing that a later build could be compared with.
var ErrChanged = errors.New("files changed during the build")

// State is what a successful build saw and made.
type State struct {
	// Snapshot is what the build was planned from. Unchanged leaves it nil.
	Snapshot *Snapshot
	// Sources are the files and links that its steps read, all ingested.
	Sources []string
	// Outputs are in place.
	Outputs []action.Output
	// Opaque is the caller's: whatever else must not have changed.
	Opaque []byte
	// Rehashed are files that Unchanged had to read since their stat did not
	// tell: touched, but with the same content. Seal ignores it.
	Rehashed []string
}

// seal is a State as it is kept: with what lay at each path.
type seal struct {
	state State
	set   digest.Digest
	items map[string]identity
	dirs  []string
}

func (s *seal) encode() []byte {
	b := appendDigest([]byte{sealVersion}, s.set)
	b = appendString(b, s.state.Opaque)
	b = appendStrings(b, s.state.Sources)
	b = appendCount(b, uint64(len(s.state.Outputs)))
	for _, o := range s.state.Outputs {
		b = appendOutput(b, o)
	}
	b = appendCount(b, uint64(len(s.items)))
	for p, id := range s.items {
		b = appendIdentities(appendString(b, p), []identity{id})
	}
	return appendStrings(b, s.dirs)
}

func appendStrings(b []byte, all []string) []byte {
	b = appendCount(b, uint64(len(all)))
	for _, s := range all {
		b = appendString(b, s)
	}
	return b
}

func (d *decoder) strings() []string {
	var all []string
	for range d.count() {
		all = append(all, d.string())
	}
	return all
}

func decodeSeal(value []byte) (*seal, error) {
	d := &decoder{b: value}
	if d.byte() != sealVersion {
		return nil, errCorrupt
	}
	s := &seal{set: d.digest(), items: map[string]identity{}}
	s.state.Opaque = []byte(d.string())
	s.state.Sources = d.strings()
	for range d.count() {
		s.state.Outputs = append(s.state.Outputs, d.output())
	}
	for range d.count() {
		p := d.string()
		if ids := d.identities(); len(ids) == 1 {
			s.items[p] = ids[0]
		}
	}
	s.dirs = d.strings()
	return s, d.err
}

func (t *Tree) sealKey(key string) []byte { return []byte(t.prefix + "u/" + key) }

// Seal keeps the state of a success under key, for Unchanged. It returns
// ErrChanged, and keeps nothing, if files changed since the snapshot other than
// by Place.
func (t *Tree) Seal(ctx context.Context, key string, state State) error {
	err := t.seal(ctx, key, state)
	if err != nil {
		t.watcher.forget(t.Root(), key)
		err = errors.Join(fmt.Errorf("seal the tree: %w", err), t.kv.Delete(t.sealKey(key)))
	}
	return err
}

func (t *Tree) seal(ctx context.Context, key string, state State) error {
	if err := t.load(); err != nil {
		return err
	}
	s, err := t.newSeal(ctx, state)
	if err != nil {
		return err
	}
	w := t.watcher.begin(ctx, t.Root())
	l, err := t.listed(ctx, w)
	if err != nil {
		return err
	}
	changed, _, err := t.compare(ctx, s, l)
	if err != nil {
		return err
	}
	changed = append(changed, t.unexpected(s, state.Snapshot.listing, l)...)
	if len(changed) > 0 {
		return fmt.Errorf("%w: %s", ErrChanged, naming(changed))
	}
	s.set = l.set
	if err := errors.Join(t.kv.Put(t.sealKey(key), s.encode()), t.stats.save(), t.used()); err != nil {
		return err
	}
	w.settle(l)
	w.seal(key, s)
	return nil
}

// newSeal returns the seal of what the build saw and made.
func (t *Tree) newSeal(ctx context.Context, state State) (*seal, error) {
	e, err := t.expand(ctx, state.Outputs)
	if err != nil {
		return nil, err
	}
	s := &seal{state: state, items: e.items}
	s.state.Snapshot, s.state.Rehashed = nil, nil
	for dir := range e.dirs {
		s.dirs = append(s.dirs, dir)
	}
	slices.Sort(s.dirs)
	for _, p := range state.Sources {
		id, ok := state.Snapshot.recall(p)
		if !ok {
			return nil, fmt.Errorf("source %s was not ingested", p)
		}
		s.items[p] = id
	}
	return s, nil
}

// compare returns the paths at which the listing is not what was sealed, and
// those that had to be read to say so.
func (t *Tree) compare(ctx context.Context, s *seal, l *listing) (changed, rehashed []string, err error) {
	for _, dir := range s.dirs {
		if _, ok := slices.BinarySearch(l.dirs, dir); !ok {
			changed = append(changed, dir)
		}
	}
	paths := slices.Sorted(maps.Keys(s.items))
	stats, want := make([]Stat, len(paths)), make([]identity, len(paths))
	for i, p := range paths {
		stats[i], want[i] = l.stats[p], s.items[p]
	}
	same, reread, err := t.compareAll(ctx, paths, stats, want)
	for i, p := range paths {
		if !same[i] {
			changed = append(changed, p)
		} else if reread[i] {
			rehashed = append(rehashed, p)
		}
	}
	return changed, rehashed, err
}

// unexpected returns paths that came or went since the build was planned,
// other than by its own doing.
func (t *Tree) unexpected(s *seal, planned, now *listing) []string {
	var odd []string
	for _, p := range now.paths {
		_, was := planned.stats[p]
		if _, made := s.items[p]; !was && !made {
			odd = append(odd, p)
		}
	}
	for _, p := range planned.paths {
		_, is := now.stats[p]
		if _, removed := t.removed[p]; !is && !removed {
			odd = append(odd, p)
		}
	}
	return odd
}

func naming(paths []string) string {
	if more := len(paths) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(paths[:maxNamed], ", "), more)
	}
	return strings.Join(paths, ", ")
}

// Unchanged reports whether the tree is as it was sealed under key: the same
// files, and the same content of the sources and outputs. It returns the state
// that was sealed, also if the tree did change; the zero State if there is none.
// What lies below .buildnet is not looked at.
func (t *Tree) Unchanged(ctx context.Context, key string) (State, bool, error) {
	w := t.watcher.begin(ctx, t.Root())
	if s := w.sealed(key); s != nil {
		return s.state, true, nil
	}
	s, err := t.loadSeal(key)
	if s == nil || err != nil {
		return State{}, false, err
	}
	same, rehashed, err := t.unchanged(ctx, key, s, w)
	if err != nil {
		return State{}, false, fmt.Errorf("look for changes in %s: %w", t.Root(), err)
	}
	state := s.state
	state.Rehashed = rehashed
	return state, same, nil
}

func (t *Tree) loadSeal(key string) (*seal, error) {
	value, err := t.kv.Get(t.sealKey(key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the seal of the tree: %w", err)
	}
	s, err := decodeSeal(value)
	if err != nil { // as if it had never been sealed
		t.log.Warn("the state of a tree is unreadable; it is looked at in whole", "root", t.Root(), "err", err)
		return nil, nil
	}
	return s, t.load()
}

func (t *Tree) unchanged(ctx context.Context, key string, s *seal, w *watching) (same bool, rehashed []string, err error) {
	l, err := t.listed(ctx, w)
	if err != nil {
		return false, nil, err
	}
	w.settle(l)
	if l.set != s.set {
		return false, nil, nil
	}
	changed, rehashed, err := t.compare(ctx, s, l)
	if err != nil || len(changed) > 0 {
		return false, nil, err
	}
	w.seal(key, s)
	return true, rehashed, t.stats.save()
}

// listed returns the present listing, armed.
func (t *Tree) listed(ctx context.Context, w *watching) (*listing, error) {
	if l := w.current(); l != nil {
		return l, nil
	}
	return t.walk(ctx, w.add)
}
