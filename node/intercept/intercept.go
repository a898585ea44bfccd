// Package intercept puts itself between a build and its compilers: a library
// that the loader gives every program of the build has the shim executed for a
// compiler, and the shim asks the node. Both are C, of which the source is in
// this program, and are made with the user's own compiler when they are first
// needed. It acts on files and processes. Start reading at Open, then at
// native/preload.c and native/shim.c.
package intercept

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The files of a kit, as native/common.h has them.
const (
	shimName    = "buildnet-exec"
	preloadName = "libbuildnet-exec.so"
	launchName  = "buildnet-launch"
)

// The variables of an invocation, as native/common.h has them.
const (
	varSocket     = "BUILDNET_EXEC_SOCKET"
	varInvocation = "BUILDNET_EXEC_INVOCATION"
	varKit        = "BUILDNET_EXEC_KIT"
	varShims      = "BUILDNET_EXEC_SHIMS"
	varFaults     = "BUILDNET_EXEC_FAULTS"
	varSlots      = "BUILDNET_EXEC_SLOTS"
)

var ourVariables = []string{varSocket, varInvocation, varKit, varShims, varFaults, varSlots}

var (
	// ErrUnsupported says that commands cannot be intercepted on this system.
	ErrUnsupported = errors.New("commands are intercepted on Linux alone")
	// ErrNoCompiler says that there is nothing to make a kit with.
	ErrNoCompiler = errors.New("no C compiler called cc, gcc or clang is in PATH")
)

// Kit is what intercepts, made for this machine.
type Kit struct {
	dir   string // absolute
	shims string // a directory of links to the shim, by the names of compilers
}

// Invocation is what commands are to be asked of.
type Invocation struct {
	// Socket is the node's, and ID that of the invocation.
	Socket, ID string
	// Faults is a file, or "": the shim adds a line for each command with which it
	// could not ask the node. What holds Slots is locks on it.
	Faults string
	// Slots is how many commands run here at once where no node counts them, as when
	// it was lost; 0 is no bound.
	Slots int
}

// Environ returns an environment whose commands are intercepted. Libraries that
// the user preloads stay, behind ours.
func (k *Kit) Environ(environ []string, in Invocation) []string {
	env := Clean(environ)
	preload := filepath.Join(k.dir, preloadName)
	if users := value(env, preloadVariable); users != "" {
		preload += ":" + users
	}
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, preloadVariable+"=") })
	env = append(env,
		preloadVariable+"="+preload,
		varSocket+"="+in.Socket, varInvocation+"="+in.ID, varKit+"="+k.dir, varShims+"="+k.shims)
	if in.Faults != "" {
		env = append(env, varFaults+"="+in.Faults, varSlots+"="+strconv.Itoa(in.Slots))
	}
	return env
}

// Command returns the program and the arguments that run a command with what
// Environ returns.
func (k *Kit) Command(argv []string) (program string, args []string) {
	program = filepath.Join(k.dir, launchName)
	return program, slices.Concat([]string{launchName}, argv)
}

// Compile returns the program and the arguments that ask the node for a command
// of the compiler that is at path. It is for a process in an invocation, which is
// what its environment says; ok says if it is.
func Compile(environ []string, path string, argv []string) (program string, args []string, ok bool) {
	kit := value(environ, varKit)
	if kit == "" || value(environ, varInvocation) == "" || value(environ, varSocket) == "" || len(argv) == 0 {
		return "", nil, false
	}
	return filepath.Join(kit, shimName), slices.Concat([]string{shimName, path}, argv), true
}

// preloadVariable is where the loader is told of libraries.
const preloadVariable = "LD_PRELOAD"

// Clean returns an environment without an invocation.
func Clean(environ []string) []string {
	preload := filepath.Join(value(environ, varKit), preloadName)
	shims := value(environ, varShims)
	var env []string
	for _, v := range environ {
		name, list, _ := strings.Cut(v, "=")
		switch {
		case slices.Contains(ourVariables, name):
			continue
		case name == preloadVariable:
			if list = without(list, " :", preload); list == "" {
				continue
			}
			v = name + "=" + list
		case name == "PATH" && shims != "":
			v = name + "=" + without(list, ":", shims)
		}
		env = append(env, v)
	}
	return env
}

// without takes an item out of a list whose items end at any of separators.
func without(list, separators, item string) string {
	var b strings.Builder
	kept, before := false, ""
	for rest := list; ; {
		n := strings.IndexAny(rest, separators)
		at, after := rest, ""
		if n >= 0 {
			at, after = rest[:n], rest[n:n+1]
		}
		if at != item {
			if kept {
				b.WriteString(before)
			}
			b.WriteString(at)
			kept = true
		}
		if n < 0 {
			return b.String()
		}
		before, rest = after, rest[n+1:]
	}
}

// value returns a variable; the last of a name counts.
func value(environ []string, name string) string {
	for _, v := range slices.Backward(environ) {
		if found, ok := strings.CutPrefix(v, name+"="); ok {
			return found
		}
	}
	return ""
}

// tool matches the names of compiler drivers and archivers, as native/common.h
// and node/compile do.
var tool = regexp.MustCompile(`^(?:[a-zA-Z0-9_.]+-)*(cc|gcc|g\+\+|c\+\+|clang|clang\+\+|ar|ranlib)(?:-[0-9]+(?:\.[0-9]+)*)?$`)
