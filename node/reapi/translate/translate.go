// Package translate turns directory trees of Remote Execution clients into native
// ones, whose digests are BLAKE3, and native output directories into what the client
// reads. Everything about a tree that comes from outside is checked here. Its I/O
// goes through Blobs alone. Start reading at Translator.Root.
//
// Of node properties, the time of modification and the mode are kept, which make
// another tree of one. Named properties mean nothing here and are dropped.
package translate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Blobs is a store that answers to the names of both functions, as alias.Blobs is.
type Blobs interface {
	store.Blobs
	// Native returns the native digest of d; store.ErrNotFound if it is unknown.
	Native(ctx context.Context, d digest.Digest) (digest.Digest, error)
	// Name returns what a native blob is called in fn; store.ErrNotFound if that
	// takes its bytes and they are not here.
	Name(ctx context.Context, native digest.Digest, fn digest.Function) (digest.Digest, error)
}

// Options may be zero.
type Options struct {
	Limits Limits
	// MemoEntries bounds the entries of the directories that are remembered; 0 is
	// 500,000, which take some 80 MB.
	MemoEntries int
	// Bring brings blobs, native names, from wherever they are. What it cannot
	// bring is no error. nil brings nothing.
	Bring func(ctx context.Context, natives []digest.Digest) error
}

// Limits bound one tree. A zero is its default.
type Limits struct {
	// Depth in directories; 200, which fill a path of 4096 bytes with names of 20.
	Depth int
	// Directories that differ; 100,000.
	Directories int
	// Entries of directories that differ, by weight; 500,000.
	Entries int
	// Nodes of the tree when it is laid out, where one directory may stand in many
	// places; 2,000,000, as a result may have.
	Nodes int
	// DirectoryBytes of one Directory message; 16 MiB, some 100,000 files.
	DirectoryBytes int64
	// DirectoryEntries of one Directory message; 200,000.
	DirectoryEntries int
	// TreeBytes of a Tree message; 64 MiB.
	TreeBytes int
}

func (l Limits) orDefault() Limits {
	set(&l.Depth, 200)
	set(&l.Directories, 100_000)
	set(&l.Entries, 500_000)
	set(&l.Nodes, 2_000_000)
	set(&l.DirectoryBytes, 16<<20)
	set(&l.DirectoryEntries, 200_000)
	set(&l.TreeBytes, 64<<20)
	return l
}

func set[T int | int64](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

const (
	// loadsAtOnce is how many directories of one tree are read at a time, allLoads of
	// all trees.
	loadsAtOnce, allLoads = 8, 16
	// largeBytes is from what size on a directory is read alone.
	largeBytes = 1 << 20
	// largeWeight is from what weight on a tree is walked alone.
	largeWeight = 20_000
)

// Translator remembers directories that it has checked and translated, whoever asked
// for them. All methods may be called concurrently; what several want at once is done
// once.
type Translator struct {
	blobs  Blobs
	limits Limits
	bring  func(context.Context, []digest.Digest) error

	memo           memo
	loading        chan struct{} // of all who load
	loadingLarge   chan struct{} // of who loads a large directory
	walkingLarge   chan struct{} // of who walks a large tree
	loads, encodes singleflight.Group
}

// New returns a Translator that remembers nothing yet.
func New(blobs Blobs, opts Options) *Translator {
	set(&opts.MemoEntries, 500_000)
	if opts.Bring == nil {
		opts.Bring = func(context.Context, []digest.Digest) error { return nil }
	}
	return &Translator{
		blobs: blobs, limits: opts.Limits.orDefault(), bring: opts.Bring,
		memo: memo{max: opts.MemoEntries}, loading: make(chan struct{}, allLoads),
		loadingLarge: make(chan struct{}, 1), walkingLarge: make(chan struct{}, 1),
	}
}

// Root returns the native digest of the input root that a client calls root, with
// all of its directories kept under their native names. Where blobs are missing,
// directories or files, at any depth that could be read, it returns all of them under
// the client's names, each once, and no digest. A tree that breaks the
// specification or a limit is a *Fault.
func (t *Translator) Root(ctx context.Context, root digest.Digest) (native digest.Digest, missing []digest.Digest, err error) {
	return t.HeldRoot(ctx, root, nil)
}

// HeldRoot is Root that tells hold of the native blobs of the tree, each before it is
// looked for: a lease's Hold has them stay. hold may be nil.
func (t *Translator) HeldRoot(ctx context.Context, root digest.Digest, hold func(...digest.Digest)) (native digest.Digest, missing []digest.Digest, err error) {
	w := newWalk(t, root.Function())
	if hold != nil {
		w.hold = hold
	}
	defer w.end()
	if err := w.read(ctx, root); err != nil {
		return digest.Digest{}, nil, err
	}
	if err := w.measure(root); err != nil {
		return digest.Digest{}, nil, err
	}
	if err := w.files(ctx); err != nil {
		return digest.Digest{}, nil, fmt.Errorf("files of input root %v: %w", root, err)
	}
	if len(w.missing) > 0 {
		return digest.Digest{}, w.missing, nil
	}
	native, err = t.encode(ctx, w, root)
	if err != nil {
		return digest.Digest{}, nil, fmt.Errorf("translate input root %v: %w", root, err)
	}
	return native, nil, nil
}

// here says which of natives are here, after what is not was brought if it could be.
func (t *Translator) here(ctx context.Context, natives []digest.Digest) ([]bool, error) {
	here, err := t.blobs.Has(ctx, natives)
	if err != nil {
		return nil, err
	}
	var absent []digest.Digest
	var at []int
	for i, ok := range here {
		if !ok {
			absent, at = append(absent, natives[i]), append(at, i)
		}
	}
	if len(absent) == 0 {
		return here, nil
	}
	if err := t.bring(ctx, absent); err != nil {
		return nil, err
	}
	brought, err := t.blobs.Has(ctx, absent)
	if err != nil {
		return nil, err
	}
	for i, ok := range brought {
		here[at[i]] = ok
	}
	return here, nil
}

// gather returns the directories ds, in order; nil for what is missing.
func (t *Translator) gather(ctx context.Context, ds []digest.Digest) ([]*dir, error) {
	dirs := make([]*dir, len(ds))
	var natives []digest.Digest
	var at []int
	for i, d := range ds {
		if dirs[i] = t.memo.of(d); dirs[i] != nil {
			continue
		}
		if d.Size() > t.limits.DirectoryBytes {
			return nil, tooLarge(d, "a message of %d bytes, the limit is %d", d.Size(), t.limits.DirectoryBytes)
		}
		n, err := t.blobs.Native(ctx, d)
		switch {
		case err == nil:
			natives, at = append(natives, n), append(at, i)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	here, err := t.here(ctx, natives)
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loadsAtOnce)
	for i, ok := range here {
		if !ok {
			continue
		}
		g.Go(func() error {
			loaded, err := t.load(gctx, ds[at[i]])
			if errors.Is(err, store.ErrNotFound) {
				return nil // went meanwhile
			}
			dirs[at[i]] = loaded
			return err
		})
	}
	return dirs, g.Wait()
}

// load reads and checks one directory, and remembers it.
func (t *Translator) load(ctx context.Context, d digest.Digest) (*dir, error) {
	return once(ctx, &t.loads, d, func() (*dir, error) {
		if known := t.memo.of(d); known != nil {
			return known, nil
		}
		turn := t.loading
		if d.Size() > largeBytes {
			turn = t.loadingLarge
		}
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-turn }()
		content, err := store.ReadAll(ctx, t.blobs, d, t.limits.DirectoryBytes)
		if err != nil {
			return nil, err
		}
		// With this no tree can have a cycle, whatever the store says.
		if digest.Of(d.Function(), content) != d {
			return nil, fmt.Errorf("directory %v: %w", d, store.ErrMismatch)
		}
		loaded, err := decode(d, content, t.limits.DirectoryEntries)
		if err != nil {
			return nil, err
		}
		t.memo.add(loaded)
		return loaded, nil
	})
}

// once has one of those who want d call f. Another's cancellation is not ours.
func once[T any](ctx context.Context, g *singleflight.Group, d digest.Digest, f func() (T, error)) (T, error) {
	v, err, _ := g.Do(string(d.Binary()), func() (any, error) { return f() })
	if err == nil {
		return v.(T), nil
	}
	if ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return f()
	}
	var none T
	return none, err
}

// encode makes the native directories of a tree of which nothing is missing, those
// below first.
func (t *Translator) encode(ctx context.Context, w *walk, root digest.Digest) (digest.Digest, error) {
	if err := t.forgetLost(ctx, w); err != nil {
		return digest.Digest{}, err
	}
	natives := make(map[digest.Digest]digest.Digest, len(w.post))
	for _, d := range w.post {
		dir := w.dirs[d]
		n, err := once(ctx, &t.encodes, d, func() (digest.Digest, error) {
			if known := dir.translated(); !known.IsZero() {
				return known, nil
			}
			return t.put(ctx, dir, natives)
		})
		if err != nil {
			return digest.Digest{}, err
		}
		dir.translate(n)
		natives[d] = n
		w.hold(n) // others may have encoded it
	}
	return natives[root], nil
}

// forgetLost has directories encoded again whose native message went.
func (t *Translator) forgetLost(ctx context.Context, w *walk) error {
	var known []digest.Digest
	var of []*dir
	for _, d := range w.post {
		if n := w.dirs[d].translated(); !n.IsZero() {
			known, of = append(known, n), append(of, w.dirs[d])
		}
	}
	w.hold(known...)
	here, err := t.blobs.Has(ctx, known)
	if err != nil {
		return err
	}
	for i, ok := range here {
		if !ok {
			of[i].translate(digest.Digest{})
		}
	}
	return nil
}

// put keeps the native message of dir, whose subdirectories are natives.
func (t *Translator) put(ctx context.Context, d *dir, natives map[digest.Digest]digest.Digest) (digest.Digest, error) {
	files, err := d.resolve(ctx, t.blobs)
	if err != nil {
		return digest.Digest{}, err
	}
	b, err := action.EncodeBlob(d.message(
		func(i int) digest.Digest { return files[i] },
		func(i int) digest.Digest { return natives[d.subs[i].digest] },
	))
	if err != nil {
		return digest.Digest{}, err
	}
	return b.Digest, t.blobs.Put(ctx, b.Digest, bytes.NewReader(b.Content))
}

// dir is a directory that was checked.
type dir struct {
	digest digest.Digest
	files  []file
	subs   []sub
	links  []link
	said   *action.Properties // of itself; nil if nothing is

	mu sync.Mutex
	// native is the digest of the translated message, once it is kept.
	native digest.Digest
	// natives are those of the files, once all are known.
	natives []digest.Digest
}

type file struct {
	name       string
	digest     digest.Digest
	executable bool
	said       *action.Properties // nil if nothing is
}

type sub struct {
	name   string
	digest digest.Digest
}

type link struct {
	name, target string
	said         *action.Properties // nil if nothing is
}

// properties are nil if nothing is said.
func properties(m *repb.NodeProperties) (*action.Properties, error) {
	p, err := action.PropertiesOf(m)
	if err != nil || p == (action.Properties{}) {
		return nil, err
	}
	return &p, nil
}

func nodeProperties(p *action.Properties) *repb.NodeProperties {
	if p == nil {
		return nil
	}
	return p.Message()
}

// textWeight is how many bytes of names and of targets weigh as much as an entry.
const textWeight = 128

// weight is the number of entries, where long names and targets count for more: those
// of a few entries may be megabytes.
func (d *dir) weight() int {
	text := 0
	for _, f := range d.files {
		text += len(f.name)
	}
	for _, s := range d.subs {
		text += len(s.name)
	}
	for _, l := range d.links {
		text += len(l.name) + len(l.target)
	}
	return len(d.files) + len(d.subs) + len(d.links) + text/textWeight
}

func (d *dir) translated() digest.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.native
}

func (d *dir) translate(n digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.native = n
}

// resolve returns the native digest of each file, zero where it is unknown. When all
// are known it remembers them.
func (d *dir) resolve(ctx context.Context, blobs Blobs) ([]digest.Digest, error) {
	d.mu.Lock()
	natives := d.natives
	d.mu.Unlock()
	if natives != nil {
		return natives, nil
	}
	complete := true
	natives = make([]digest.Digest, len(d.files))
	for i, f := range d.files {
		n, err := blobs.Native(ctx, f.digest)
		switch {
		case err == nil:
			natives[i] = n
		case errors.Is(err, store.ErrNotFound):
			complete = false
		default:
			return nil, err
		}
	}
	if complete {
		d.mu.Lock()
		d.natives = natives
		d.mu.Unlock()
	}
	return natives, nil
}

// message is d with other digests.
func (d *dir) message(file, sub func(i int) digest.Digest) *repb.Directory {
	m := &repb.Directory{NodeProperties: nodeProperties(d.said)}
	for i, f := range d.files {
		m.Files = append(m.Files, &repb.FileNode{Name: f.name, Digest: action.ReapiDigest(file(i)), IsExecutable: f.executable, NodeProperties: nodeProperties(f.said)})
	}
	for i, s := range d.subs {
		m.Directories = append(m.Directories, &repb.DirectoryNode{Name: s.name, Digest: action.ReapiDigest(sub(i))})
	}
	for _, l := range d.links {
		m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: l.name, Target: l.target, NodeProperties: nodeProperties(l.said)})
	}
	return m
}
