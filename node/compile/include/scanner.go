// Package include says which files a compile reads, without running the
// compiler: it reads each file once, takes every branch of every conditional,
// and looks headers up where and in the order in which the compiler does. What
// it says is a superset, and it says when it does not know. Everything is kept
// from one scan to the next, and looked at anew in each epoch. The package is
// pure: what it reads comes through Files. Start reading at Scanner, then at
// Scan; lex.go is how a file is read, path.go the order of directories.
package include

import (
	"path"
	"slices"
	"strings"
)

// maxKnown bounds how many files and directories are kept: some 5 KB each.
const maxKnown = 200_000

// Scanner keeps what it has read. It is not for concurrent use.
type Scanner struct {
	files Files
	bound []string

	// epoch counts when things may have changed, and settled is the last at
	// which they may have in bound directories as well. generation counts
	// changes of what was found, and turn scans.
	epoch, settled, generation, turn uint64

	root    *dir
	dirs    map[string]*dir
	sources map[string]*source
	plains  map[string]*source
	paths   map[string]*searchPath
	coming  map[string]Kind // File, or Dir for what lies above one
}

// Options of a Scanner.
type Options struct {
	// Bound are the directories that an action sees as a whole, as the
	// compiler's own are: files in them go to Result.System.
	Bound []string
}

// New returns a scanner that knows nothing.
func New(files Files, o Options) *Scanner {
	s := &Scanner{files: files, epoch: 1, settled: 1, generation: 1}
	s.forget()
	s.Bind(o.Bound...)
	return s
}

// Bind adds bound directories: see Options.
func (s *Scanner) Bind(dirs ...string) {
	more := false
	for _, b := range dirs {
		b = path.Clean(b)
		if d := s.walk(s.root, b, &way{}); d != nil {
			b = d.path
		}
		if b = strings.TrimSuffix(b, "/") + "/"; !slices.Contains(s.bound, b) {
			s.bound, more = append(s.bound, b), true
		}
	}
	if more {
		s.forget() // what is known was told apart without them
	}
}

func (s *Scanner) forget() {
	s.dirs, s.sources, s.plains, s.paths = map[string]*dir{}, map[string]*source{}, map[string]*source{}, map[string]*searchPath{}
	s.root = s.dirAt("/", nil)
}

// Begin starts a build: all that is known is looked at anew, each file and
// directory once, when it is next asked for.
func (s *Scanner) Begin() {
	s.Stir()
	s.settled = s.epoch
	if len(s.dirs)+len(s.sources) > maxKnown {
		s.forget()
	}
}

// Stir says that anything outside the bound directories may have changed that
// Made was not told of, as when a command was run that says nothing of what it
// writes.
func (s *Scanner) Stir() { s.epoch++ }

// holds reports whether what was seen in an epoch needs no further look.
func (s *Scanner) holds(epoch uint64, bound bool) bool {
	return epoch == s.epoch || bound && epoch >= s.settled
}

// real is the path of p without links in its directory, as far as that is there.
func (s *Scanner) real(p string) string {
	d, rest := s.root, strings.TrimPrefix(path.Clean(p), "/")
	for {
		name, after, below := strings.Cut(rest, "/")
		if !below {
			return join(d.path, name)
		}
		next := s.enter(d, name, &way{})
		if next == nil {
			return join(d.path, rest)
		}
		d, rest = next, after
	}
}

// Expect says that the graph will make these files, by absolute path. A scan
// that meets one says so in Result.Coming.
func (s *Scanner) Expect(paths ...string) {
	if s.coming == nil {
		s.coming = map[string]Kind{}
	}
	for _, p := range paths {
		p = s.real(p)
		s.coming[p] = File
		for d := path.Dir(p); s.coming[d] == None; d = path.Dir(d) {
			s.coming[d] = Dir
			s.unlearn(d)
			if d == "/" {
				break
			}
		}
		s.unlearn(p)
	}
}

// Made says that these files are there now, or are not to come any more.
func (s *Scanner) Made(paths ...string) {
	for _, p := range paths {
		p = s.real(p)
		if s.coming[p] == File {
			delete(s.coming, p)
			s.unlearn(p)
		}
		s.renew(p)
	}
}

// renew has p looked at again, and all that leads to it.
func (s *Scanner) renew(p string) {
	for _, m := range []map[string]*source{s.sources, s.plains} {
		if f := m[p]; f != nil {
			f.epoch = 0
		}
	}
	for d := path.Dir(p); ; d = path.Dir(d) {
		if known := s.dirs[d]; known != nil && known.epoch != 0 {
			known.epoch = 0
			s.check(known)
		}
		if d == "/" {
			return
		}
	}
}

// unlearn forgets what p is.
func (s *Scanner) unlearn(p string) {
	d, name := s.dirs[path.Dir(p)], path.Base(p)
	if d == nil {
		return
	}
	if _, asked := d.known[name]; asked {
		delete(d.known, name)
		s.generation++
	}
}

// source is a regular file, at its real path.
type source struct {
	path  string
	bound bool
	plain bool // assembler that no preprocessor sees
	stamp Stamp
	epoch uint64
	text  *text
	seen  uint64
}

func (s *Scanner) sourceAt(p string) *source { return s.at(s.sources, p, false) }

// plainAt is the file read as the assembler reads it.
func (s *Scanner) plainAt(p string) *source { return s.at(s.plains, p, true) }

func (s *Scanner) at(in map[string]*source, p string, plain bool) *source {
	f := in[p]
	if f == nil {
		f = &source{path: p, plain: plain, bound: s.isBound(p)}
		in[p] = f
	}
	return f
}

func (s *Scanner) isBound(p string) bool {
	for _, b := range s.bound {
		if strings.HasPrefix(p, b) {
			return true
		}
	}
	return false
}

// read makes f's text hold in this epoch. It keeps the text where a file was
// written anew and means the same.
func (s *Scanner) read(f *source) *text {
	if s.holds(f.epoch, f.bound) {
		return f.text
	}
	st := s.files.Lstat(f.path)
	if f.text == nil || st.Stamp != f.stamp || st.Stamp.Young {
		f.stamp = st.Stamp
		content, err := s.files.Read(f.path, maxFileBytes)
		t := &text{deaf: "it cannot be read"}
		if err == nil {
			t = lex(content, f.plain)
		}
		if f.text == nil || !t.equal(f.text) {
			f.text = t
		}
	}
	f.epoch = s.epoch
	return f.text
}
