package toolchain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
)

// DefaultPath is where an action finds programs, unless its environment says
// otherwise.
const DefaultPath = "/usr/local/bin:/usr/bin:/bin"

// Options say where a Prober looks.
type Options struct {
	// KV keeps digests across restarts; nil keeps them in memory alone.
	KV  store.KV
	Log *slog.Logger
	// Path is the PATH of actions, which compiler drivers are run from; ""
	// is DefaultPath.
	Path string
	// Dirs are directories that every action of this node sees besides the
	// system's own: they belong to every digest. Those that are not there do not.
	Dirs []string
	// System is where the databases of installed packages are; "" is the root.
	System string
	// Marks is a directory of the prober's own, for what Run watches it by; "" has
	// each Digest look at every file.
	Marks string
}

// Prober computes digests of toolchains, once until a file changes. Its
// methods may be called concurrently.
type Prober struct {
	opts Options
	idle time.Duration // idleGrip

	mu      sync.Mutex
	entries map[Spec]*entry // of plain specs, as is all below the exported methods
	hashes  map[string]fact // of files, by path
	running map[Spec]*probe
	// turn counts what the watch saw; 0 while nothing is watched.
	turn uint64
	news chan struct{} // there are records to watch
	// marks are files that are waited for, by name; marked counts them.
	marks  map[string]chan struct{}
	marked uint64
	taken  chan struct{} // a grip, while there was none
	open   int           // files that the grips of entries have open
}

// entry is a known digest.
type entry struct {
	record  *record
	checked time.Time // when all of it was last seen to hold
	turn    uint64    // of the prober, when all of it was seen to hold and was watched
	looked  time.Time // when a look began that saw its programs hold
	grip    *grip     // nil if none
	used    time.Time // when grip was last, by a look
	tried   time.Time // when it was last tried to take one
}

// probe is a computation that callers wait for.
type probe struct {
	done   chan struct{}
	record *record
	err    error
}

// settled is for how long a full check counts: a build asks once for each step.
const settled = time.Second

// New returns a prober.
func New(opts Options) *Prober {
	if opts.Path == "" {
		opts.Path = DefaultPath
	}
	if opts.System == "" {
		opts.System = "/"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Prober{opts: opts, entries: map[Spec]*entry{}, hashes: map[string]fact{}, running: map[Spec]*probe{}, news: make(chan struct{}, 1), marks: map[string]chan struct{}{}, taken: make(chan struct{}, 1), idle: idleGrip}
}

// Digest returns the digest of what s names on this machine, as text. The
// operating system and architecture are part of it. Files are read again only
// when their stat has changed, which is not looked at where Run watches and has
// seen nothing. ErrSpec says that s is malformed; other errors name the program
// that is not there.
func (p *Prober) Digest(ctx context.Context, s Spec) (string, error) {
	plain, _ := s.plain()
	r, err := p.record(ctx, plain)
	if err != nil {
		return "", fmt.Errorf("toolchain %s: %w", s.Spec, err)
	}
	return r.digest(s), nil
}

// record returns that of s, which it sees to hold.
func (p *Prober) record(ctx context.Context, s Spec) (*record, error) {
	for {
		r := p.recent(s)
		if r == nil {
			r = p.unchanged(ctx, s)
		}
		if r != nil {
			return r, nil
		}
		run, first := p.join(s)
		if first {
			p.finish(ctx, s, run)
		}
		select {
		case <-run.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !first && errors.Is(run.err, context.Canceled) {
			continue // the caller who looked went away: this one looks itself
		}
		return run.record, run.err
	}
}

// Fresh reports whether digest is that of s, as far as a stat of its programs
// and directories shows. A file that was changed in place, and is no program,
// is noticed by Digest alone, unless Run watches.
func (p *Prober) Fresh(s Spec, digest string) bool {
	plain, _ := s.plain()
	r := p.known(plain)
	return r != nil && r.digest(s) == digest && p.stillFresh(plain, r)
}

// stillFresh is Fresh of what r is the record of.
func (p *Prober) stillFresh(s Spec, r *record) bool {
	now, reads := mountsRead()
	if r.Mounts != now {
		if !r.holds() {
			return false
		}
		p.keep(s, &record{Digest: r.Digest, Facts: r.Facts, Mounts: now}, time.Time{})
		return true
	}
	began := time.Now()
	if !p.fresh(s, r, reads) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[s]; e != nil && e.record == r {
		e.looked = began
	}
	return true
}

// moment is how old a look may be for Lately.
const moment = 100 * time.Millisecond

// Lately is Current for what is asked again once the toolchain was used: that tells of
// each change since the look which Lately goes by. It may be a moment old, as long as
// Run watches and has seen nothing since.
func (p *Prober) Lately(ctx context.Context, s Spec, likely string) (string, error) {
	plain, _ := s.plain()
	p.mu.Lock()
	e := p.entries[plain]
	ok := e != nil && e.record.digest(s) == likely && p.turn != 0 && e.turn == p.turn && time.Since(e.looked) < moment
	p.mu.Unlock()
	if ok && e.record.Mounts == mounts() {
		return likely, nil
	}
	return p.Current(ctx, s, likely)
}

// Current returns the digest of what s names, which is likely to be the one
// given: where Run watches, that is sure without a look at every file.
func (p *Prober) Current(ctx context.Context, s Spec, likely string) (string, error) {
	p.mu.Lock()
	watched := p.turn != 0
	p.mu.Unlock()
	if watched && p.Fresh(s, likely) {
		return likely, nil
	}
	return p.Digest(ctx, s)
}

// recent returns the record of s if it was wholly checked a moment ago.
func (p *Prober) recent(s Spec) *record {
	p.mu.Lock()
	e := p.entries[s]
	ok := e != nil && time.Since(e.checked) < settled
	p.mu.Unlock()
	// A key must not be of what was there before: once the watch saw something
	// change, all is looked at.
	if !ok || e.record.Mounts != mounts() || !e.record.fresh(min(often, p.least(s))) {
		return nil
	}
	return e.record
}

// known returns the last record of s, from memory or from the last run.
func (p *Prober) known(s Spec) *record {
	p.mu.Lock()
	e := p.entries[s]
	p.mu.Unlock()
	if e != nil {
		return e.record
	}
	if p.opts.KV == nil {
		return nil
	}
	value, err := p.opts.KV.Get(p.recordKey(s))
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			p.opts.Log.Warn("toolchain is looked at anew", "toolchain", s.Spec, "error", err)
		}
		return nil
	}
	r, err := decodeRecord(value)
	if err != nil {
		p.opts.Log.Warn("toolchain is looked at anew", "toolchain", s.Spec, "error", err)
		return nil
	}
	p.keep(s, r, time.Time{})
	return r
}

// keep makes r what is known of s. It is indexed by that, and not changed after.
func (p *Prober) keep(s Spec, r *record, checked time.Time) {
	r.index()
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.entries[s]; old != nil {
		p.loosen(old)
	}
	p.entries[s] = &entry{record: r, checked: checked}
	for _, f := range r.Facts {
		if f.Hash != "" {
			p.hashes[f.Path] = f
		}
	}
	select {
	case p.news <- struct{}{}:
	default: // they are told already
	}
}

// join returns the computation of s that is running, or a new one that the
// caller must finish.
func (p *Prober) join(s Spec) (run *probe, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if run, ok := p.running[s]; ok {
		return run, false
	}
	run = &probe{done: make(chan struct{})}
	p.running[s] = run
	return run, true
}

func (p *Prober) finish(ctx context.Context, s Spec, run *probe) {
	run.record, run.err = p.compute(ctx, s)
	p.mu.Lock()
	delete(p.running, s)
	p.mu.Unlock()
	close(run.done)
}

func (p *Prober) compute(ctx context.Context, s Spec) (*record, error) {
	what, err := parse(s)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if old := p.known(s); old != nil && old.holds() {
		r := &record{Digest: old.Digest, Facts: old.Facts, Mounts: mounts()}
		p.keep(s, r, begin)
		return r, nil
	}
	asking, end := context.WithCancel(ctx)
	g := newGathering(ctx, p)
	defer g.ahead.Wait()
	defer end()
	g.text("platform", runtime.GOOS+"/"+runtime.GOARCH)
	if err := errors.Join(g.spec(asking, what), ctx.Err()); err != nil {
		return nil, err // what was cut short names nothing
	}
	r := g.record()
	r.settle(begin)
	p.keep(s, r, begin)
	p.persist(s, r)
	p.opts.Log.Info("toolchain looked at", "toolchain", s.Spec, "digest", r.Digest, "files", len(r.Facts), "took", time.Since(begin))
	return r, nil
}

func (p *Prober) persist(s Spec, r *record) {
	if p.opts.KV == nil {
		return
	}
	value, err := r.encode()
	if err == nil {
		err = p.opts.KV.Put(p.recordKey(s), value)
	}
	if err != nil {
		p.opts.Log.Warn("toolchain is looked at again after the next start", "toolchain", s.Spec, "error", err)
	}
}
