package include

import (
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
)

// Own are the directories where a compiler looks for headers by itself.
type Own struct {
	Dirs []string // in its order, absolute
	// Missing are those that it would look in and that are not there.
	Missing []string
}

// searchPath is where a command looks for headers, and what was found from
// there. It is made anew when anything that was found may be found elsewhere.
type searchPath struct {
	cwd *dir // nil if there is none
	// dirs are the directories that are there: from quote on for "x.h", from
	// bracket on for <x.h>.
	dirs    []*dir
	bracket int
	embed   []*dir
	// ways are how each was come to, those that are not there as well.
	dirWays []way
	absent  []string
	// own is one of the compiler's own that has appeared since it was asked.
	own string

	epoch, generation, used uint64
	found                   map[name]*resolution
	nodes                   map[place]*node
}

// name is a header's name, and the first directory to look in.
type name struct {
	from int
	name string
}

// pathOf returns the search path of a unit.
func (s *Scanner) pathOf(u *Unit) *searchPath {
	key := pathKey(u)
	p := s.paths[key]
	if p == nil {
		s.makeRoom()
		p = &searchPath{}
		s.paths[key] = p
	}
	p.used = s.turn
	if p.epoch == s.epoch && p.generation == s.generation {
		return p
	}
	s.walkPath(p, u)
	return p
}

// maxPaths bounds how many search paths are kept, with what was found on each:
// some 600 KB for a large C++ project. It takes two milliseconds to come to one
// again.
const maxPaths = 64

// makeRoom forgets the path that was not used for longest.
func (s *Scanner) makeRoom() {
	if len(s.paths) < maxPaths {
		return
	}
	oldest := ""
	for key, p := range s.paths {
		if o := s.paths[oldest]; o == nil || p.used < o.used || p.used == o.used && key < oldest {
			oldest = key
		}
	}
	delete(s.paths, oldest)
}

func pathKey(u *Unit) string {
	var b strings.Builder
	add := func(what byte, words ...string) {
		for _, w := range words {
			b.WriteByte(what)
			b.WriteString(w)
			b.WriteByte(0)
		}
	}
	add('d', u.Dir)
	for _, d := range u.Command.Dirs {
		add('0'+byte(d.Chain), d.Path)
	}
	add('o', u.Own.Dirs...)
	add('m', u.Own.Missing...)
	add('e', u.Command.EmbedDirs...)
	return b.String()
}

// walkPath finds the directories of a path, as gcc's incpath.c does: those that
// are not there fall away, and so do those that come a second time; one that
// is both the user's and the system's is the system's.
func (s *Scanner) walkPath(p *searchPath, u *Unit) {
	for {
		generation := s.generation
		s.compose(p, u)
		if generation == s.generation {
			break
		}
	}
	if p.generation != s.generation {
		p.found, p.nodes = map[name]*resolution{}, map[place]*node{}
	}
	p.epoch, p.generation = s.epoch, s.generation
}

func (s *Scanner) compose(p *searchPath, u *Unit) {
	p.dirWays, p.absent, p.own, p.embed = nil, nil, "", nil
	p.cwd = s.goTo(p, s.root, u.Dir)
	if p.cwd == nil {
		return
	}
	var chains [compile.After + 1][]*dir
	for _, d := range u.Command.Dirs {
		if at := s.goTo(p, p.cwd, d.Path); at != nil {
			chains[d.Chain] = append(chains[d.Chain], at)
		}
	}
	for _, d := range u.Own.Dirs {
		if at := s.goTo(p, s.root, d); at != nil {
			chains[compile.System] = append(chains[compile.System], at)
		}
	}
	for _, d := range u.Own.Missing {
		if s.goTo(p, s.root, d) != nil {
			p.own = d
		}
	}
	for _, d := range u.Command.EmbedDirs {
		if at := s.goTo(p, p.cwd, d); at != nil {
			p.embed = append(p.embed, at)
		}
	}
	system := unique(slices.Concat(chains[compile.System], chains[compile.After]), nil, nil)
	bracket := unique(chains[compile.Bracket], system, first(system))
	behind := slices.Concat(bracket, system)
	quote := unique(chains[compile.Quote], system, first(behind))
	p.dirs = slices.Concat(quote, behind)
	p.bracket = len(quote)
}

// goTo follows a directory of the command line.
func (s *Scanner) goTo(p *searchPath, from *dir, to string) *dir {
	var w way
	d := s.walk(s.start(from, to), to, &w)
	if d != nil {
		s.check(d)
		if d.stamp == (Stamp{}) && s.coming[d.path] == None {
			d = nil
		}
	}
	p.dirWays = append(p.dirWays, w)
	if d == nil {
		if !strings.HasPrefix(to, "/") {
			to = from.path + "/" + to
		}
		p.absent = append(p.absent, to)
	}
	return d
}

func first(dirs []*dir) *dir {
	if len(dirs) == 0 {
		return nil
	}
	return dirs[0]
}

// unique removes from a chain what is in system, what came before, and the last
// if it is next, the first of the chain behind.
func unique(chain, system []*dir, next *dir) []*dir {
	var kept []*dir
	for i, d := range chain {
		if slices.Contains(system, d) || slices.Contains(kept, d) || i == len(chain)-1 && d == next {
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

// resolution is where a name was found on a path, and where not.
type resolution struct {
	tried []*lookup // the last is the one that was found, if any
	at    int       // its directory's index
	epoch uint64
	seen  uint64
}

func (r *resolution) hit() *lookup {
	if n := len(r.tried); n > 0 && r.tried[n-1].found() {
		return r.tried[n-1]
	}
	return nil
}

// resolve looks for a name in the directories of p, from one on.
func (s *Scanner) resolve(p *searchPath, n name) *resolution {
	r := p.found[n]
	if r != nil {
		if r.epoch != s.epoch {
			r.epoch = s.epoch
			for _, l := range r.tried {
				s.verify(l)
			}
		}
		return r
	}
	r = &resolution{epoch: s.epoch}
	for i := n.from; i < len(p.dirs); i++ {
		l := s.lookUp(p.dirs[i], n.name)
		r.tried = append(r.tried, l)
		if l.found() {
			r.at = i
			break
		}
	}
	p.found[n] = r
	return r
}

// ParseOwn reads what `COMPILER -E -v -x LANGUAGE /dev/null` says, of gcc or
// clang. The command must name no directories of its own.
func ParseOwn(answer string) (Own, bool) {
	var o Own
	listing, whole := false, false
	for line := range strings.Lines(answer) {
		line = strings.TrimRight(line, "\r\n")
		missing, ignored := strings.CutPrefix(line, "ignoring nonexistent directory ")
		switch {
		case ignored:
			o.Missing = append(o.Missing, strings.Trim(missing, `"`))
		case strings.HasPrefix(line, `#include "...`):
			listing = true
		case strings.HasPrefix(line, "#include <...>"):
			listing = true
		case line == "End of search list.":
			listing, whole = false, true
		case listing:
			dir := strings.TrimSpace(line)
			if strings.HasSuffix(dir, "(framework directory)") || !strings.HasPrefix(dir, "/") {
				return Own{}, false
			}
			o.Dirs = append(o.Dirs, dir)
		}
	}
	return o, whole
}

// Path returns where a unit looks for "x.h", after the directory of the file
// that has it: in order, and from which index on for <x.h>.
func (s *Scanner) Path(u Unit) (dirs []string, bracket int) {
	p := s.pathOf(&u)
	for _, d := range p.dirs {
		dirs = append(dirs, d.path)
	}
	return dirs, p.bracket
}
