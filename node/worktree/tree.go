package worktree

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// granularity is how far the clock that stamps files may lag behind the
	// time of day: two ticks of a kernel with 100 ticks a second.
	granularity = 20 * time.Millisecond
	// coarseGranularity is that of a file system without fractions of a
	// second; FAT counts in two.
	coarseGranularity = 2 * time.Second
	// maxAttempts is how often a file that changes while it is read is read.
	maxAttempts = 4
)

// ErrUnstable says that a file kept changing while it was read.
var ErrUnstable = errors.New("file keeps changing while it is read")

// Options of a tree may be zero.
type Options struct {
	// Watcher watches the tree if it is Local; nil means a stat walk each time.
	Watcher *Watcher
	Log     *slog.Logger
	// Parallel bounds the files that are read or written at once; 0 is twice
	// the number of processors.
	Parallel int
}

// Tree is the working tree of one project. Its methods are for one build at a
// time, which may call Unchanged, Ingest and InPlace concurrently.
type Tree struct {
	files    Files
	kv       store.KV
	blobs    store.Blobs
	watcher  *Watcher
	log      *slog.Logger
	parallel int
	prefix   string

	// stats knows the content of files by their stat.
	stats *table[record]
	// placed knows what builds put where.
	placed *table[[]identity]
	// removed are the paths that Place removed since the last Scan; owned by
	// the build.
	removed map[string]struct{}
}

// Open returns the tree of files. kv holds what is remembered of it between
// builds, for many trees; it may lose the last of it in an unclean stop.
func Open(files Files, kv store.KV, blobs store.Blobs, opts Options) (*Tree, error) {
	t := &Tree{
		files: files, kv: kv, blobs: blobs, log: opts.Log, parallel: opts.Parallel,
		prefix:  digest.Of(digest.BLAKE3, []byte(files.Root())).Hex()[:24] + "/",
		removed: map[string]struct{}{},
	}
	if _, ok := files.(*local); ok {
		t.watcher = opts.Watcher
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.parallel <= 0 {
		t.parallel = 2 * runtime.NumCPU()
	}
	t.stats = newTable(kv, t.prefix+"s/", rows[record]{encode: appendRecord, decode: (*decoder).record})
	t.placed = newTable(kv, t.prefix+"p/", rows[[]identity]{encode: appendIdentities, decode: (*decoder).identities})
	return t, nil
}

// load reads what is remembered of the tree.
func (t *Tree) load() error {
	if err := t.stats.load(); err != nil {
		return err
	}
	return t.placed.load()
}

// Empty reports whether nothing at all lies in the tree.
func (t *Tree) Empty(ctx context.Context) (bool, error) {
	entries, err := t.files.List(ctx, "")
	if err != nil {
		return false, fmt.Errorf("look into %s: %w", t.Root(), err)
	}
	return len(entries) == 0, nil
}

// ReadFile returns the content of a file of at most limit bytes, such as the
// configuration. The error matches fs.ErrNotExist if there is none.
func (t *Tree) ReadFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	f, err := t.files.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if _, closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", t.name(path), limit)
	}
	return content, err
}

// Root is the absolute path of the tree.
func (t *Tree) Root() string { return t.files.Root() }

// RunHook runs a command with the user's rights.
func (t *Tree) RunHook(ctx context.Context, h Hook) (HookResult, error) {
	return t.files.RunHook(ctx, h)
}

// identity is what a build sees of a file: two files with one identity are the
// same to it.
type identity struct {
	kind       Kind
	executable bool
	digest     digest.Digest
	target     string
}

func identityOf(o action.Output) identity {
	switch o.Kind {
	case action.File:
		return identity{kind: Regular, executable: o.Executable, digest: o.Digest}
	case action.Symlink:
		return identity{kind: Symlink, target: o.Target}
	default:
		return identity{kind: Directory}
	}
}

// output is the inverse of identityOf for files and links.
func (i identity) output(path string) action.Output {
	if i.kind == Symlink {
		return action.Output{Path: path, Kind: action.Symlink, Target: i.target}
	}
	return action.Output{Path: path, Kind: action.File, Digest: i.digest, Executable: i.executable}
}

func appendIdentities(b []byte, ids []identity) []byte {
	b = appendCount(b, uint64(len(ids)))
	for _, i := range ids {
		b = appendFlag(append(b, byte(i.kind)), i.executable)
		b = appendString(appendDigest(b, i.digest), i.target)
	}
	return b
}

func (d *decoder) identities() []identity {
	var ids []identity
	for range d.count() {
		ids = append(ids, identity{kind: Kind(d.byte()), executable: d.flag(), digest: d.digest(), target: d.string()})
	}
	return ids
}

// record is what a file's bytes were when its stat was this.
type record struct {
	stat   Stat
	digest digest.Digest
	// verified is when the bytes were known to be these, in nanoseconds.
	verified int64
	// placed says that the modification time was set back by Temp.Commit.
	placed bool
}

func appendRecord(b []byte, r record) []byte {
	b = appendDigest(appendStat(b, r.stat), r.digest)
	return appendFlag(binary.AppendVarint(b, r.verified), r.placed)
}

func (d *decoder) record() record {
	return record{stat: d.stat(), digest: d.digest(), verified: d.varint(), placed: d.flag()}
}

// clean reports whether every change since the bytes were verified shows in
// the stat. A change within the clock's granularity of the reading may not
// ("racy git").
func (r record) clean() bool { return r.shows() < r.verified }

// shows is since when a change of the file shows in its stat, in nanoseconds.
func (r record) shows() int64 {
	stamp := r.stat.ChangeTime
	if stamp == 0 || r.placed {
		stamp = r.stat.ModTime
	}
	g := granularity
	if stamp%int64(time.Second) == 0 {
		g = coarseGranularity
	}
	return stamp + int64(g)
}

// known returns the identity that a stat stands for, if its bytes need not be
// read to say so.
func (t *Tree) known(path string, s Stat) (identity, bool) {
	if s.Kind != Regular {
		return identity{kind: s.Kind, target: s.Target}, true
	}
	r, ok := t.stats.get(path)
	if !ok || !r.stat.same(s) || !r.clean() {
		return identity{}, false
	}
	return identity{kind: Regular, executable: s.Executable, digest: r.digest}, true
}
