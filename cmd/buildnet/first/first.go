// Package first is what this program looks at before most of it is initialised,
// which takes longer than a build that has nothing to do: whether it is one. It
// depends on the standard library and on readers of ninja's files alone, for the
// packages that come later in the order of their paths are initialised after it.
package first

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/buildnet/buildnet/node/ninja/idle"
)

// memory bounds what is used without a collection of garbage, in bytes.
const memory = 256 << 20

func init() {
	c, ok := asked(os.Args)
	if !ok || ofProject(c.dir) {
		return
	}
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(memory)
	if idle.Nothing(c.dir, c.targets) {
		_, _ = os.Stdout.WriteString(c.answer()) // as for ninja, nobody may read it
		os.Exit(0)
	}
	debug.SetMemoryLimit(limit)
	debug.SetGCPercent(percent)
}

// call is a build without flags of a directory's build.ninja.
type call struct {
	dir     string // "" for the one that this process is in
	targets []string
}

// asked returns what the arguments of a process ask for, and whether it is such a
// build.
func asked(args []string) (c call, ok bool) {
	switch {
	case len(args) == 0:
		return c, false
	case filepath.Base(args[0]) == "ninja":
		args = args[1:]
	case len(args) > 1 && args[1] == "build":
		args = args[2:]
	default:
		return c, false
	}
	if len(args) > 1 && args[0] == "-C" && args[1] != "" {
		c.dir, args = args[1], args[2:]
	}
	for _, a := range args {
		if a == "" || a[0] == '-' {
			return c, false
		}
	}
	c.targets = args
	return c, true
}

// ofProject reports whether there may be a project of BuildNet's own around a
// directory, which goes before a build.ninja.
func ofProject(dir string) bool {
	at, err := filepath.Abs(dir)
	for ; err == nil; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".buildnet")); !os.IsNotExist(err) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
	return true
}

// answer is what ninja says.
func (c call) answer() string {
	var b strings.Builder
	if c.dir != "" {
		b.WriteString("ninja: Entering directory `" + c.dir + "'\n")
	}
	b.WriteString("ninja: no work to do.\n")
	return b.String()
}
