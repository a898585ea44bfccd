package link

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
)

// Files are those of this machine.
type Files interface {
	// At says what is at an absolute path.
	At(p string) At
	// Holds says what is in a file, by its real path. With deep it says of
	// objects whether they name libraries.
	Holds(file string, deep bool) (Content, error)
}

// At is what a path leads to.
type At struct {
	There bool
	Dir   bool
	// Real is where it leads to, and Parent the directory of its last name:
	// both without links.
	Real, Parent string
	// Links are on the way, and Left are the directories that it goes through
	// only to leave them by "..".
	Links []compile.Reference
	Left  []string
}

// Kind is what a file is to a linker.
type Kind uint8

// The kinds.
const (
	Object  Kind = iota + 1 // an object, or an archive of such
	Shared                  // a shared library
	Thin                    // an archive that names its members
	Script                  // a text, for all that is known
	Unknown                 // none of these
)

// Content is what a linker finds in a file.
type Content struct {
	Kind Kind
	// Needed are the libraries that a shared one needs, and Runtime is where
	// it says that they are.
	Needed, Runtime []string
	// Members are those of a thin archive, from its directory.
	Members []string
	// Text is that of a script.
	Text string
	// Names says that an object has names of libraries in it.
	Names bool
}

// Place is where a link works. Directories are absolute, and no links lead to
// them.
type Place struct {
	Dir string
	// Own are the directories of the compiler and its linker: all libraries in
	// them belong to the toolchain.
	Own []string
	// Bound are the directories that an action sees of its machine.
	Bound []string
}

// Reads is what a link may read. Paths are real ones; each is there once.
type Reads struct {
	// Files are those that the toolchain does not answer for.
	Files []string
	Links []compile.Reference
	// Dirs must be there, even with none of these files in them.
	Dirs []string
	// Foreign are directories within bound ones that have to be as a whole as
	// they are here, and Exact such that have to be without anything.
	Foreign, Exact []string
	// Coming are files that are named and are not there.
	Coming []string
	Local  []string
}

// Look finds what a link reads.
func Look(l *Link, at Place, files Files) Reads {
	k := look{l: l, at: at, files: files, seen: map[string]bool{}}
	for _, d := range at.Own {
		k.own = append(k.own, directory{path: d, own: true})
	}
	for _, d := range l.Runtime {
		for _, p := range origins(d, at.Dir, path.Dir(k.abs(l.Outputs[0]))) {
			k.search(&k.runtime, p)
		}
	}
	for _, d := range l.Dirs {
		k.search(&k.dirs, d)
	}
	for _, f := range l.Files {
		if !k.add(k.abs(f)) {
			k.gone(f)
		}
	}
	for _, f := range l.Lists {
		k.listed(f)
	}
	for _, f := range l.Scripts {
		if !k.named(f, "", true) {
			k.gone(f)
		}
	}
	for _, n := range l.Libraries {
		k.library(n)
	}
	return k.result()
}

// look is what was found so far.
type look struct {
	Reads
	l     *Link
	at    Place
	files Files
	// dirs are those of -L, and runtime those where needed libraries are.
	dirs, runtime, own []directory
	// libraries, words and needed are names that were looked for in dirs: once
	// there is another, they are looked for there as well.
	libraries, words, needed []string
	seen                     map[string]bool
}

// directory is one that libraries are looked for in.
type directory struct {
	path string // as it is written, absolute
	own  bool
}

func (k *look) abs(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return k.at.Dir + "/" + p
}

func (k *look) first(kind, what string) bool {
	key := kind + "\x00" + what
	if k.seen[key] {
		return false
	}
	k.seen[key] = true
	return true
}

func (k *look) local(format string, args ...any) {
	if why := fmt.Sprintf(format, args...); !slices.Contains(k.Local, why) {
		k.Local = append(k.Local, why)
	}
}

func (k *look) gone(f string) {
	k.Coming = append(k.Coming, k.abs(f))
	k.local("%s is not there", f)
}

// origins is a directory of -rpath as seen from where it may be meant.
func origins(d string, from ...string) []string {
	if !strings.Contains(d, "$") {
		return []string{d}
	}
	var out []string
	for _, f := range from {
		out = append(out, strings.NewReplacer("$ORIGIN", f, "${ORIGIN}", f).Replace(d))
	}
	return out
}

// search adds a directory to those of one kind, and looks there for what was
// looked for in the others.
func (k *look) search(list *[]directory, p string) {
	p = k.abs(p)
	if slices.Contains(*list, directory{path: p}) {
		return
	}
	at := k.files.At(p)
	switch {
	case !at.There && within(path.Clean(p), k.at.Bound):
		k.Exact = append(k.Exact, path.Clean(p))
	case !at.There, !at.Dir:
		return
	case slices.Contains(k.at.Own, at.Real):
		k.way(at)
		return // it is looked in as it is
	case within(at.Real, k.at.Bound):
		k.way(at)
		k.foreign(at.Real)
	default:
		k.way(at)
		k.Dirs = append(k.Dirs, at.Real)
	}
	*list = append(*list, directory{path: p})
	d := []directory{{path: p}}
	for _, n := range k.libraries {
		k.libraryIn(d, n)
	}
	for _, n := range k.needed {
		k.nameIn(d, n)
	}
	if list == &k.dirs {
		for _, w := range k.words {
			k.nameIn(d, w)
		}
	}
}

func (k *look) foreign(dir string) {
	if slices.Contains(k.at.Bound, dir) || strings.Contains(dir, ":") {
		k.local("it looks for libraries in %s, of which each machine has its own", dir)
		return
	}
	k.Foreign = append(k.Foreign, dir)
}

func (k *look) way(at At) {
	k.Links = append(k.Links, at.Links...)
	k.Dirs = append(k.Dirs, at.Left...)
}

func within(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		return len(p) >= len(d) && p[:len(d)] == d && (len(p) == len(d) || p[len(d)] == '/')
	})
}

// library looks for a library by its name in -l.
func (k *look) library(name string) {
	if !k.first("library", name) {
		return
	}
	k.libraries = append(k.libraries, name)
	k.libraryIn(slices.Concat(k.dirs, k.own), name)
}

func (k *look) libraryIn(dirs []directory, name string) {
	if file, is := strings.CutPrefix(name, ":"); is {
		k.nameIn(dirs, file)
		return
	}
	k.nameIn(dirs, "lib"+name+".so")
	k.nameIn(dirs, "lib"+name+".a")
}

// nameIn adds what is called name in any of the directories.
func (k *look) nameIn(dirs []directory, name string) (found bool) {
	for _, d := range slices.Clone(dirs) {
		found = k.add(d.path+"/"+name) || found
	}
	return found
}

// named looks for a file that a script or an argument names, beside the script
// as well. strict is for what is to be there.
func (k *look) named(name, beside string, strict bool) (found bool) {
	if path.IsAbs(name) {
		return k.add(name)
	}
	if strict || k.first("word", name) {
		k.words = append(k.words, name)
		found = k.add(k.abs(name))
		found = k.nameIn(slices.Concat(k.dirs, k.own), name) || found
	}
	if beside != "" {
		found = k.add(beside+"/"+name) || found
	}
	return found
}

// listed looks for a file that names no others.
func (k *look) listed(f string) {
	found := false
	for _, p := range append([]string{k.abs(f)}, k.below(f)...) {
		at := k.files.At(p)
		if at.There && !at.Dir {
			k.way(at)
			k.input(at)
		}
		found = found || at.There
	}
	if !found {
		k.gone(f)
	}
}

func (k *look) below(name string) (paths []string) {
	if !path.IsAbs(name) {
		for _, d := range slices.Concat(k.dirs, k.own) {
			paths = append(paths, d.path+"/"+name)
		}
	}
	return paths
}

// add adds a file, and what it names. It reports whether there is one.
func (k *look) add(p string) bool {
	at := k.files.At(p)
	if !at.There || at.Dir {
		return false
	}
	if !k.first("file", p) {
		return true
	}
	k.way(at)
	k.input(at)
	c, err := k.files.Holds(at.Real, k.l.Linker == "lld")
	if err != nil {
		k.local("%s: %v", p, err)
		return true
	}
	k.follow(p, at, &c)
	return true
}

// input has a file go along, unless the toolchain answers for it.
func (k *look) input(at At) {
	name := path.Base(at.Real)
	if covered := slices.Contains(k.at.Own, at.Parent) || slices.Contains(k.at.Own, path.Dir(at.Real)); covered && Linkable(name) {
		return
	}
	k.Files = append(k.Files, at.Real)
}

// Linkable reports whether a file in a directory of a toolchain belongs to what
// links are made of, by its name.
func Linkable(name string) bool {
	return strings.HasSuffix(name, ".a") || strings.HasSuffix(name, ".o") || strings.HasSuffix(name, ".spec") ||
		(strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld")) && (strings.HasSuffix(name, ".so") || strings.Contains(name, ".so."))
}

// follow looks for what a file names.
func (k *look) follow(p string, at At, c *Content) {
	beside := path.Dir(p)
	switch c.Kind {
	case Object:
		if c.Names {
			k.local("%s names libraries, which only lld looks for", p)
		}
	case Shared:
		k.needs(at, beside, c)
	case Thin:
		for _, m := range c.Members {
			if !path.IsAbs(m) {
				m = beside + "/" + m
			}
			if !k.add(m) {
				k.gone(m)
			}
		}
	case Script:
		k.script(c.Text, beside)
	case Unknown:
		if !k.l.Raw {
			k.local("%s is no object, no library and no script", p)
		}
	}
}

// needs looks for the libraries that a shared one needs, in all directories that
// it may be found in.
func (k *look) needs(at At, beside string, c *Content) {
	for _, list := range c.Runtime {
		for _, d := range pathList(list) {
			for _, p := range origins(d, beside, path.Dir(at.Real)) {
				k.search(&k.runtime, p)
			}
		}
	}
	for _, n := range c.Needed {
		if strings.Contains(n, "/") {
			k.add(k.abs(n))
		} else if k.first("needed", n) {
			k.needed = append(k.needed, n)
			k.nameIn(slices.Concat(k.runtime, k.dirs, k.own), n)
		}
	}
}

// result puts what was found in order.
func (k *look) result() Reads {
	r := k.Reads
	slices.Sort(r.Foreign)
	r.Foreign = slices.Compact(r.Foreign)
	r.Files = slices.DeleteFunc(r.Files, func(f string) bool { return within(f, r.Foreign) })
	for _, list := range []*[]string{&r.Files, &r.Dirs, &r.Exact, &r.Coming} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(r.Links, func(a, b compile.Reference) int { return strings.Compare(a.Path, b.Path) })
	r.Links = slices.Compact(r.Links)
	return r
}
