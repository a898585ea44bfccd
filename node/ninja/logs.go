package ninja

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// logs are the records of a directory, in memory and on disk. Each addition is
// one write to a file that is opened for it: a command may rewrite the records
// itself, as generators do with -t restat and -t recompact.
type logs struct {
	disk                   Disk
	commandsPath, depsPath string
	// dry leaves the files alone.
	dry      bool
	commands *record.Commands
	deps     *record.Deps
}

// openLogs reads the records in dir, empty for the build's own directory, and
// has warn say what is wrong with them.
func openLogs(disk Disk, dir string, dry bool, warn func(format string, args ...any)) (*logs, error) {
	l := &logs{disk: disk, commandsPath: ".ninja_log", depsPath: ".ninja_deps", dry: dry}
	if dir != "" {
		l.commandsPath, l.depsPath = dir+"/"+l.commandsPath, dir+"/"+l.depsPath
	}
	if err := l.read(l.commandsPath, "build", func(data []byte) (loaded record.Loaded) {
		l.commands, loaded = record.ReadCommands(data)
		return loaded
	}, warn); err != nil {
		return nil, err
	}
	if err := l.read(l.depsPath, "deps", func(data []byte) (loaded record.Loaded) {
		l.deps, loaded = record.ReadDeps(data)
		return loaded
	}, warn); err != nil {
		return nil, err
	}
	return l, nil
}

// read reads one file, and cuts off what is of no use. An empty file is as good
// as none.
func (l *logs) read(path, name string, parse func([]byte) record.Loaded, warn func(string, ...any)) error {
	text, err := l.disk.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("loading %s log %s: %w", name, path, err)
	}
	loaded := parse([]byte(text))
	if loaded.Warning != "" {
		warn("%s", loaded.Warning)
	}
	if l.dry || loaded.Keep == len(text) {
		return nil
	}
	if loaded.Keep == 0 {
		_, err = l.disk.Remove(path)
	} else {
		err = l.disk.Truncate(path, int64(loaded.Keep))
	}
	if err != nil {
		return fmt.Errorf("loading %s log %s: %w", name, path, err)
	}
	return nil
}

// compact rewrites the files of which most is superseded; all of them if asked
// to.
func (l *logs) compact(g *ninja.Graph, always bool) error {
	if l.dry {
		return nil
	}
	if l.commands.Stale() || always && l.exists(l.commandsPath) {
		if err := l.disk.Replace(l.commandsPath, l.commands.Compact(l.dead(g))); err != nil {
			return l.compactFault("build", always, err)
		}
	}
	if l.deps.Stale() || always && l.exists(l.depsPath) {
		if err := l.disk.Replace(l.depsPath, l.deps.Compact(liveIn(g))); err != nil {
			return l.compactFault("deps", always, err)
		}
	}
	return nil
}

func (l *logs) exists(path string) bool {
	mtime, err := l.disk.Stat(path)
	return err == nil && mtime > 0
}

func (l *logs) compactFault(name string, always bool, err error) error {
	if always {
		return fmt.Errorf("failed recompaction: %w", err)
	}
	return fmt.Errorf("opening %s log: %w", name, err)
}

// dead reports outputs that no edge makes and that are not there either: a
// generator may look at those that are.
func (l *logs) dead(g *ninja.Graph) func(output string) bool {
	return func(output string) bool {
		if n := g.Lookup(output); n != nil && n.In != nil {
			return false
		}
		return !l.exists(output)
	}
}

// liveIn reports outputs of edges that still have their inputs recorded.
func liveIn(g *ninja.Graph) func(output string) bool {
	return func(output string) bool {
		n := g.Lookup(output)
		if n == nil || n.In == nil {
			return false
		}
		kind, err := n.In.Deps()
		return err == nil && kind != ""
	}
}

// touch makes the record of commands even if nothing is in it, for generators
// that look.
func (l *logs) touch() error {
	if l.dry {
		return nil
	}
	return l.disk.Append(l.commandsPath, []byte(record.CommandsHeader), nil)
}

// close makes both files even if nothing is in them, as ninja does before it
// reads a new manifest.
func (l *logs) close() error {
	if l.dry {
		return nil
	}
	return errors.Join(l.touch(), l.disk.Append(l.depsPath, record.DepsHeader(), nil))
}

func (l *logs) recordCommand(outputs []string, c record.Command) error {
	line := l.commands.Record(outputs, c)
	if l.dry {
		return nil
	}
	if err := l.disk.Append(l.commandsPath, []byte(record.CommandsHeader), line); err != nil {
		return fmt.Errorf("Error writing to build log: %w", err)
	}
	return nil
}

func (l *logs) recordDeps(output string, mtime int64, inputs []string) error {
	entry, err := l.deps.Record(output, mtime, inputs)
	if err == nil && len(entry) > 0 && !l.dry {
		err = l.disk.Append(l.depsPath, record.DepsHeader(), entry)
	}
	if err != nil {
		return fmt.Errorf("Error writing to deps log: %w", err)
	}
	return nil
}
