// Package remote turns commands of compilers and archivers into steps that any
// machine with the same programs may run, each with exactly the files that it may
// read at their own places, and takes what came of them back as if they had run
// here. It acts on what its pure parts decide: remote/link and remote/archive, what
// those read that compile nothing; remote/terms, as which step a command may go,
// or why not; remote/tree, what its input tree is; remote/manifest, whether it was
// run before. Start reading at Desk, then at Prepare and Finish.
package remote

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/manifest"
	"github.com/buildnet/buildnet/node/compile/remote/tree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// defaultTimeout bounds a compile: many times the longest that is known.
	defaultTimeout = time.Hour
	// maxResponse bounds one response file, in bytes.
	maxResponse = 16 << 20
	// maxContents bounds the files whose content is known: some 200 bytes each.
	maxContents = 500_000
	// maxPuts is how many manifests are written at once.
	maxPuts = 64
)

// Inputs says what compiles read. It may be used concurrently.
type Inputs interface {
	// Of says what a command that works in dir reads; an error is that of ctx.
	Of(ctx context.Context, c *compile.Command, dir string) (compile.Answer, error)
	// Native is the answer to the command's NativeQuestion.
	Native(ctx context.Context, c *compile.Command, dir string) (string, error)
	// Libraries returns the compiler of a command that works in dir, and where
	// it and its linker look for libraries by themselves. An error that is not
	// of ctx is a reason not to link elsewhere.
	Libraries(ctx context.Context, c *compile.Command, dir string) (program string, dirs []string, err error)
	// Reproducible reports whether an archiver, by default, leaves times and
	// owners out of archives.
	Reproducible(ctx context.Context, archiver, dir string) (bool, error)
	// Begin says that a build begins, Stir that anything may have changed, and
	// Made that these files are there now.
	Begin(ctx context.Context) error
	Stir(ctx context.Context) error
	Made(ctx context.Context, paths ...string) error
}

// Files are those of this machine, by absolute path. They may be used
// concurrently.
type Files interface {
	// Ingest brings files into the store and says what each is, in order. It
	// calls hold with each digest before it asks whether that is there.
	Ingest(ctx context.Context, paths []string, hold func(...digest.Digest)) ([]action.Output, error)
	// Changed returns those of files, which were ingested, that are not what they
	// were then, by absolute path.
	Changed(ctx context.Context, files []action.Output) ([]string, error)
	// Settling is how long it takes until a change of files that were ingested
	// shows in their stat, and Held names the first of files that may have been
	// another between since and now, "" if none was.
	Settling(files []action.Output) time.Duration
	Held(ctx context.Context, files []action.Output, since time.Time) string
	// Place puts files into their places, in order and as of now, with what the
	// umask leaves them; nil is that of this process. Their paths are from the file
	// system's root.
	Place(ctx context.Context, outs []action.Output, umask *fs.FileMode) error
}

// Options of a Desk. All but Manifests, Trusted and Log are needed.
type Options struct {
	Inputs Inputs
	Files  Files
	Blobs  store.Blobs
	// Toolchain is the digest of what a spec and its further directories name
	// on this machine.
	Toolchain func(ctx context.Context, spec, dirs string) (string, error)
	// Current reports whether the programs of a step are now what they were when it
	// was made.
	Current func(ctx context.Context, step *action.Step) (bool, error)
	// Depfile reads a depfile, and returns what its targets depend on.
	Depfile func(text string) ([]string, error)
	// Manifests remembers what was read; nil has every file count that may be.
	Manifests manifest.Store
	// Bound are the directories that an action sees of its machine, and Path is
	// where it finds programs.
	Bound []string
	Path  string
	// Trusted are patterns of commands that read nothing but what a graph
	// declares and what is installed: words, with * for anything.
	Trusted []string
	Log     *slog.Logger
}

// Desk is where compiles go out and come back. It may be used concurrently, for
// one build at a time.
type Desk struct {
	o Options
	// turn is held by whoever uses the fields below.
	turn   chan struct{}
	lease  store.Lease
	forest *tree.Forest
	// epoch counts when files may have changed.
	epoch    uint64
	contents map[string]*content
	holder   map[digest.Digest]string // a file that has had a content
	shared   map[digest.Digest]bool   // contents of which there are, or were, several files
	ways     map[string]*way
	held     map[string]held      // what linkers find in files, by their real paths
	chains   map[[2]string]string // toolchains of this build, by spec and directories
	tools    map[string]tools
	families map[string]compile.Family
	locales  map[string]bool // whether this machine has them
	mentions map[mention]bool
	bound    []string
	pending  map[digest.Digest][]byte // manifests that are not kept yet
	trusted  [][]*regexp.Regexp
	direct   map[string]*Run // that go on, by what they write
}

// content is what is in a file.
type content struct {
	file  tree.File
	epoch uint64 // when it was last looked at
	given bool   // to a step
}

// New returns a desk for no build yet.
func New(o Options) *Desk {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{
		trusted: patterns(o.Trusted),
		o:       o, turn: make(chan struct{}, 1), forest: tree.New(), contents: map[string]*content{}, holder: map[digest.Digest]string{}, shared: map[digest.Digest]bool{}, ways: map[string]*way{}, held: map[string]held{},
		chains: map[[2]string]string{}, tools: map[string]tools{}, families: map[string]compile.Family{}, locales: map[string]bool{}, mentions: map[mention]bool{}, pending: map[digest.Digest][]byte{}, direct: map[string]*Run{},
	}
}

// Begin begins a build, whose inputs lease is to hold: all files are looked at
// anew when they are next asked for. It comes before all else.
func (d *Desk) Begin(ctx context.Context, lease store.Lease) error {
	if err := d.o.Inputs.Begin(ctx); err != nil {
		return err
	}
	return d.with(ctx, func() {
		d.lease = lease
		if len(d.contents) > maxContents {
			clear(d.contents)
			clear(d.holder)
			clear(d.shared)
			clear(d.held)
		}
		d.forest.Begin()
		clear(d.chains)
		d.stir()
	})
}

// Stir says that a command was run of which nobody knows what it wrote.
func (d *Desk) Stir(ctx context.Context) error {
	if err := d.o.Inputs.Stir(ctx); err != nil {
		return err
	}
	return d.with(ctx, d.stir)
}

func (d *Desk) stir() {
	d.epoch++
	clear(d.ways)
	clear(d.tools)
	clear(d.families)
	clear(d.locales)
	d.bound = d.realDirs(d.o.Bound)
}

// Made says that something wrote these files, by absolute path. What Finish
// places it knows of.
func (d *Desk) Made(ctx context.Context, paths ...string) error {
	return d.made(ctx, paths, func() { clear(d.ways) }) // links may lead elsewhere now
}

func (d *Desk) made(ctx context.Context, paths []string, first func()) error {
	if err := d.o.Inputs.Made(ctx, paths...); err != nil {
		return err
	}
	return d.with(ctx, func() {
		first()
		for _, p := range paths {
			if w, err := d.real(path.Dir(p)); err == nil {
				p = path.Join(w.path, path.Base(p))
			}
			d.cross(p)
			if c := d.contents[p]; c != nil {
				c.epoch = 0
			}
		}
	})
}

// Changed returns which files that steps of this build were given are not what
// they were then: what was made of these is not what is wanted now.
func (d *Desk) Changed(ctx context.Context) ([]string, error) {
	var given []tree.File
	err := d.with(ctx, func() {
		for _, c := range d.contents {
			if c.epoch != 0 && c.given {
				given = append(given, c.file)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(given, func(a, b tree.File) int { return strings.Compare(a.Path, b.Path) })
	return d.changed(ctx, given)
}

// changed returns which of files are not what they were when they were ingested.
func (d *Desk) changed(ctx context.Context, files []tree.File) ([]string, error) {
	return d.o.Files.Changed(ctx, seen(files))
}

// Save keeps what was learned about what commands read.
func (d *Desk) Save(ctx context.Context) error {
	if d.o.Manifests == nil {
		return nil
	}
	var pending map[digest.Digest][]byte
	if err := d.with(ctx, func() { pending, d.pending = d.pending, map[digest.Digest][]byte{} }); err != nil {
		return err
	}
	var g errgroup.Group // a store syncs at once what is put at once
	g.SetLimit(maxPuts)
	for key, m := range pending {
		g.Go(func() error { return d.o.Manifests.Keep(ctx, key, m) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("keep what compiles read: %w", err)
	}
	return nil
}

// with does something in turn.
func (d *Desk) with(ctx context.Context, do func()) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.turn }()
	do()
	return nil
}

// readResponse reads a response file of a command that works in dir.
func readResponse(dir string) func(string) ([]byte, error) {
	return func(p string) ([]byte, error) {
		f, err := os.Open(abs(dir, p))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxResponse))
	}
}

// abs is p as seen from dir. It keeps "..", which may follow a link.
func abs(dir, p string) string {
	if path.IsAbs(p) {
		return p
	}
	return dir + "/" + p
}
