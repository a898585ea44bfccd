package include

import (
	"path"
	"strings"
)

// maxListed is up to how many names a directory is known by its list. In one
// that has more, names are looked up one by one: builds keep adding to it.
const maxListed = 2048

// maxLinks is the kernel's limit of links on a path.
const maxLinks = 40

// dir is a directory, at its real path: none of its parents is a link.
type dir struct {
	path   string
	parent *dir // of the root: itself
	bound  bool
	stamp  Stamp
	epoch  uint64 // when that stamp was last seen to hold
	asked  bool   // listed and stamp are of some epoch
	listed map[string]Kind
	many   bool // listed has none of them
	// pch says that something in it ends in .gch.
	pch bool
	// known are the answers that were given. If one of them changes, so may
	// everything that was found.
	known      map[string]entry
	lookups    map[string]*lookup
	generation uint64 // of lookups
}

// entry is what a name in a directory is.
type entry struct {
	kind   Kind
	target string
	coming bool // the graph will make it, or make it anew
}

// lookup is what came of looking for a name from a directory.
type lookup struct {
	path string // what was looked for
	file *source
	dir  *dir // the one that holds it, as the includer sees it
	base string
	// pch is the precompiled header that stands in for it, or would.
	pch    string
	coming bool
	dirs   []*dir // what the answer depends on
	links  []Reference
	needed []*dir // passed on the way, and left again by ".."
	seen   uint64
}

func (l *lookup) found() bool { return l.file != nil || l.coming }

func (s *Scanner) dirAt(p string, parent *dir) *dir {
	d := s.dirs[p]
	if d == nil {
		d = &dir{path: p, parent: parent, bound: s.isBound(join(p, "")), known: map[string]entry{}}
		if parent == nil {
			d.parent = d
		}
		s.dirs[p] = d
	}
	return d
}

// join appends a name to a clean path.
func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// check makes what is known of d hold in this epoch.
func (s *Scanner) check(d *dir) {
	if s.holds(d.epoch, d.bound) {
		return
	}
	first := !d.asked
	d.epoch, d.asked = s.epoch, true
	st := s.files.Lstat(d.path)
	if !first && st.Kind == Dir && st.Stamp == d.stamp && !st.Stamp.Young {
		return
	}
	d.stamp = st.Stamp
	pch := d.pch
	s.list(d, st.Kind)
	changed := pch != d.pch
	for name, was := range d.known {
		if now := s.look(d, name); now != was {
			d.known[name] = now
			changed = true
		}
	}
	if changed && !first {
		s.generation++
	}
}

func (s *Scanner) list(d *dir, kind Kind) {
	d.listed, d.many, d.pch = nil, false, false
	if kind != Dir {
		return
	}
	entries, err := s.files.List(d.path, maxListed)
	if err != nil {
		d.many = err == ErrMany //nolint:errorlint // Files returns it as it is
		d.pch = d.many
		return
	}
	d.listed = make(map[string]Kind, len(entries))
	for _, e := range entries {
		d.listed[e.Name] = e.Kind
		d.pch = d.pch || strings.HasSuffix(e.Name, ".gch")
	}
}

// entry returns what a name in d is.
func (s *Scanner) entry(d *dir, name string) entry {
	s.check(d)
	e, ok := d.known[name]
	if !ok {
		e = s.look(d, name)
		d.known[name] = e
	}
	return e
}

func (s *Scanner) look(d *dir, name string) entry {
	e := entry{kind: d.listed[name]}
	if d.many || e.kind == Link {
		st := s.files.Lstat(join(d.path, name))
		e = entry{kind: st.Kind, target: st.Target}
	}
	if len(s.coming) == 0 {
		return e
	}
	switch s.coming[join(d.path, name)] {
	case File:
		e.coming = true
	case Dir:
		if e.kind == None {
			e.kind = Dir
		}
	}
	return e
}

// way is what is met on the way to a file.
type way struct {
	dirs   []*dir
	links  []Reference
	needed []*dir
}

// walk follows rel from d. It returns nil where there is no such directory.
func (s *Scanner) walk(d *dir, rel string, w *way) *dir {
	for d != nil && rel != "" {
		var name string
		name, rel, _ = strings.Cut(rel, "/")
		switch name {
		case "", ".":
		case "..":
			w.needed = append(w.needed, d)
			d = d.parent
		default:
			d = s.enter(d, name, w)
		}
	}
	return d
}

// enter follows one name from d.
func (s *Scanner) enter(d *dir, name string, w *way) *dir {
	w.dirs = append(w.dirs, d)
	switch e := s.entry(d, name); {
	case e.kind == Dir:
		return s.dirAt(join(d.path, name), d)
	case e.kind == Link && w.follow(d, name, e):
		return s.walk(s.start(d, e.target), e.target, w)
	default:
		return nil
	}
}

// follow notes a link, unless there are too many.
func (w *way) follow(d *dir, name string, e entry) bool {
	w.links = append(w.links, Reference{Path: join(d.path, name), Target: e.target})
	return len(w.links) <= maxLinks
}

// start is where a path begins that is read in d.
func (s *Scanner) start(d *dir, p string) *dir {
	if strings.HasPrefix(p, "/") {
		return s.root
	}
	return d
}

// lookUp looks for a name from d.
func (s *Scanner) lookUp(d *dir, name string) *lookup {
	if d.generation != s.generation {
		clear(d.lookups)
		d.generation = s.generation
	}
	if l := d.lookups[name]; l != nil {
		s.verify(l)
		return l
	}
	generation := s.generation
	l := s.find(d, name)
	if generation == s.generation {
		if d.lookups == nil {
			d.lookups = map[string]*lookup{}
		}
		d.lookups[name] = l
	}
	return l
}

// verify makes every directory that an answer depends on hold in this epoch.
// If one has changed, so has the generation.
func (s *Scanner) verify(l *lookup) {
	for _, d := range l.dirs {
		s.check(d)
	}
}

func (s *Scanner) find(d *dir, name string) *lookup {
	l := &lookup{path: path.Join(d.path, name)}
	var w way
	parent, base := path.Split(name)
	if in := s.walk(s.start(d, name), parent, &w); in != nil && base != "" && base != "." && base != ".." {
		l.dir, l.base = in, base
		l.file, l.coming = s.final(in, base, &w)
		if in.pch {
			if e := s.entry(in, base+".gch"); e.kind != None {
				l.pch = join(in.path, base+".gch")
			}
		}
	}
	l.dirs, l.links, l.needed = w.dirs, w.links, w.needed
	return l
}

// final returns the file of a name in d, and whether the graph will make it.
func (s *Scanner) final(d *dir, base string, w *way) (*source, bool) {
	w.dirs = append(w.dirs, d)
	switch e := s.entry(d, base); {
	case e.kind == File:
		return s.sourceAt(join(d.path, base)), e.coming
	case e.kind == Link && w.follow(d, base, e):
		parent, last := path.Split(e.target)
		in := s.walk(s.start(d, e.target), parent, w)
		if in == nil || last == "" || last == "." || last == ".." {
			return nil, e.coming
		}
		file, coming := s.final(in, last, w)
		return file, coming || e.coming
	default:
		return nil, e.coming
	}
}
