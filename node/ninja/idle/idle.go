// Package idle says of a build of a build.ninja that it has nothing to do, and
// nothing else: where it is in any doubt the build has to be begun as all others
// are. It writes nothing, and imports so little that a program can ask it before
// most of that program is initialised. Start reading at Nothing.
package idle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/plan"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

const manifest = "build.ninja"

// errDoubt says that package ninja has to look.
var errDoubt = errors.New("it is not that simple")

// Nothing reports whether a build of these targets in dir, of its build.ninja with
// no flags, says that there is no work to do, without a warning and without a
// change of its records.
func Nothing(dir string, targets []string) bool {
	b := build{files: files{dir}}
	return b.read() == nil && b.upToDate(targets) == nil
}

// build is what a build begins with.
type build struct {
	files    files
	graph    *ninja.Graph
	commands *record.Commands
	deps     *record.Deps
}

func (b *build) read() (err error) {
	warned := false
	b.graph, err = ninja.Load(b.files, manifest, ninja.Options{Warn: func(string) { warned = true }})
	if err != nil {
		return err
	}
	in := b.graph.Scope.Lookup("builddir")
	if in != "" {
		if at, err := b.files.Stat(in); err != nil || at == 0 {
			return errDoubt // it would be made
		}
		in += "/"
	}
	err = errors.Join(
		b.record(in+".ninja_log", func(text []byte) (loaded record.Loaded, stale bool) {
			b.commands, loaded = record.ReadCommands(text)
			return loaded, b.commands.Stale()
		}),
		b.record(in+".ninja_deps", func(text []byte) (loaded record.Loaded, stale bool) {
			b.deps, loaded = record.ReadDeps(text)
			return loaded, b.deps.Stale()
		}))
	if warned {
		return errDoubt
	}
	return err
}

// record reads a record that nothing would be done to.
func (b *build) record(path string, parse func([]byte) (loaded record.Loaded, stale bool)) error {
	text, err := b.files.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	loaded, stale := parse([]byte(text))
	if loaded.Warning != "" || loaded.Keep != len(text) || stale {
		return errDoubt
	}
	return nil
}

// upToDate returns nil if neither the manifest nor the targets are to be made.
func (b *build) upToDate(targets []string) error {
	for _, path := range b.deps.Paths() { // they can be targets, too
		b.graph.Node(path)
	}
	scan := plan.NewScan(b.graph, b.files, plan.Options{Commands: b.commands, Deps: b.deps})
	if n := b.graph.Lookup(manifest); n != nil {
		if err := nothing(scan, n); err != nil {
			return err
		}
	}
	nodes, err := b.targets(targets)
	if err != nil {
		return err
	}
	return nothing(scan, nodes...)
}

func (b *build) targets(names []string) ([]*ninja.Node, error) {
	if len(names) == 0 {
		return b.graph.DefaultNodes()
	}
	nodes := make([]*ninja.Node, len(names))
	for i, name := range names {
		if strings.HasSuffix(name, "^") { // what a file is for
			return nil, errDoubt
		}
		var err error
		if nodes[i], err = b.graph.Target(name, func(*ninja.Node) *ninja.Node { return nil }); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// nothing returns nil if none of nodes is to be made.
func nothing(scan *plan.Scan, nodes ...*ninja.Node) error {
	p := plan.New(scan)
	for _, n := range nodes {
		if err := p.Add(n); err != nil {
			return err
		}
	}
	if p.More() {
		return errDoubt
	}
	return nil
}

// files are those of a directory, as a build has them.
type files struct{ dir string }

func (f files) at(path string) string {
	if f.dir == "" || strings.HasPrefix(path, "/") {
		return path
	}
	return f.dir + "/" + path
}

// Stat implements plan.Files: it follows links, and a file of 1970 counts as one
// nanosecond newer than none.
func (f files) Stat(path string) (int64, error) {
	info, err := os.Stat(f.at(path))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return max(info.ModTime().UnixNano(), 1), nil
}

// ReadFile implements plan.Files and ninja.Files. What is no ordinary file is not
// waited for here.
func (f files) ReadFile(path string) (string, error) {
	info, err := os.Stat(f.at(path))
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > ninja.MaxText {
		return "", errDoubt
	}
	text, err := os.ReadFile(f.at(path))
	return string(text), err
}
