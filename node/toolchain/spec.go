// Package toolchain says what the programs of an action are on this machine,
// as one digest: two machines whose digests of a Spec are equal may share the
// results of actions that have it. Start reading at SpecOf, then at
// Prober.Digest.
package toolchain

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Spec says of what a digest is: Spec is "cc:NAME" (a compiler driver that
// compiles), "link:NAME" (one that links), "tools:A,B" (programs) or "host"
// (everything that is installed). Dirs are further toolchain directories, by
// ':'; all that is in them belongs to the digest. A kind that ends in "+native"
// is of this machine's processor as well.
type Spec struct{ Spec, Dirs string }

// Kinds of specs.
const (
	kindCompile = "cc"
	kindLink    = "link"
	kindTools   = "tools"
	kindHost    = "host"
)

// ErrSpec says that a spec is none, or asks for what a node does not look at.
var ErrSpec = errors.New("malformed toolchain spec")

// driver matches the names of C and C++ compiler drivers: with a target in
// front and a version behind.
var driver = regexp.MustCompile(`^([a-zA-Z0-9_]+-)*(cc|gcc|g\+\+|c\+\+|clang|clang\+\+)(-[0-9]+(\.[0-9]+)*)?$`)

// SpecOf returns what the toolchain of a command is. tools are the programs
// that it was declared to run, which narrows the digest to them.
func SpecOf(argv, tools, dirs []string) Spec {
	s := Spec{Spec: kindHost, Dirs: strings.Join(dirs, ":")}
	switch {
	case len(tools) > 0:
		sorted := slices.Compact(slices.Sorted(slices.Values(tools)))
		s.Spec = kindTools + ":" + strings.Join(sorted, ",")
	case len(argv) > 0 && driver.MatchString(argv[0]) && !slices.ContainsFunc(argv[1:], leavesDriver):
		kind := kindLink
		if slices.ContainsFunc(argv[1:], compilesOnly) {
			kind = kindCompile
		}
		s.Spec = kind + ":" + argv[0]
	}
	if slices.ContainsFunc(argv, forThisProcessor) {
		kind, _, _ := strings.Cut(s.Spec, ":")
		s.Spec = kind + native + s.Spec[len(kind):]
	}
	return s
}

// native is the ending of kinds whose results depend on the processor.
const native = "+native"

// plain is s without what it says of the processor, which is in no file: all that is
// known of a machine is of plain specs.
func (s Spec) plain() (Spec, bool) {
	kind, _, _ := strings.Cut(s.Spec, ":")
	bare, ok := strings.CutSuffix(kind, native)
	return Spec{Spec: bare + s.Spec[len(kind):], Dirs: s.Dirs}, ok
}

// forThisProcessor matches -march=native and its like of other compilers.
func forThisProcessor(arg string) bool { return strings.HasSuffix(arg, "=native") }

func compilesOnly(arg string) bool {
	return slices.Contains([]string{"-c", "-S", "-E", "-M", "-MM", "-fsyntax-only"}, arg)
}

// absolute matches an argument that names a file of the machine.
var absolute = regexp.MustCompile(`^/|^-[A-Za-z-]+/|=/`)

// leavesDriver reports whether an argument makes a driver read or run what it
// does not say by itself that it does: then only the whole host is safe.
// Arguments in a file are not seen, but lie within the inputs.
func leavesDriver(arg string) bool {
	if strings.HasPrefix(arg, "-D") || strings.Contains(arg, "-prefix-map=") {
		return false
	}
	for _, p := range []string{"-B", "-specs", "--specs", "-wrapper", "-fplugin", "-m32", "-mx32", "-target", "--target", "--sysroot", "-isysroot", "-fuse-ld", "-Xclang"} {
		if strings.HasPrefix(arg, p) {
			return true
		}
	}
	return absolute.MatchString(arg)
}

// parsed is a plain spec that was checked: it may come from a peer.
type parsed struct {
	kind  string
	names []string
	dirs  []string
}

// Limits of a spec.
const (
	maxNames = 100
	maxDirs  = 100
)

// name matches a program's name. A path is none: a peer could have any file run.
var name = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

// parse checks a plain spec. Its errors leave it to the caller to name it as it was asked for.
func parse(s Spec) (parsed, error) {
	var p parsed
	var rest string
	p.kind, rest, _ = strings.Cut(s.Spec, ":")
	switch p.kind {
	case kindHost:
	case kindCompile, kindLink:
		if !driver.MatchString(rest) {
			return p, fmt.Errorf("%w: %q is no compiler driver", ErrSpec, rest)
		}
		p.names = []string{rest}
	case kindTools:
		p.names = strings.Split(rest, ",")
	default:
		return p, fmt.Errorf("%w: want cc:NAME, link:NAME, tools:NAMES or host", ErrSpec)
	}
	for _, n := range p.names {
		if !name.MatchString(n) {
			return p, fmt.Errorf("%w: tool %q: name a program by its name alone, and its directory under `toolchains`", ErrSpec, n)
		}
	}
	for d := range strings.SplitSeq(s.Dirs, ":") {
		if d == "" {
			continue
		}
		if !path.IsAbs(d) || path.Clean(d) != d || d == "/" {
			return p, fmt.Errorf("%w: toolchain directory %q is not a clean absolute path", ErrSpec, d)
		}
		p.dirs = append(p.dirs, filepath.FromSlash(d))
	}
	if len(p.names) > maxNames || len(p.dirs) > maxDirs {
		return p, fmt.Errorf("%w: more than %d tools or %d directories", ErrSpec, maxNames, maxDirs)
	}
	return p, nil
}
