package include

import (
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/compile"
)

// Limits of one unit.
const (
	maxFiles  = 50_000 // a hundred times what a large one reads
	maxRounds = 16     // of computed names that lead to further definitions
	maxTries  = 8      // while files change under the scan
)

// node is a file at its place: what is found from there is the same for every
// unit with this search path.
type node struct {
	src *source
	dir *dir
	at  int
	// edges are what text names, in its order.
	text  *text
	edges []edge
	epoch uint64
	seen  uint64
}

// place is a file as an includer names it, and the index of the directory where
// it was found. #include_next goes on after that.
type place struct {
	dir   *dir
	base  string
	at    int
	plain bool
}

// Where a file was found that was not found in a directory of the path.
const (
	beside = -1 // with the file that includes it: #include_next takes all of the path
	apart  = -2 // by its absolute path, or as the source: #include_next is an #include
)

// edge is where one name of a file leads.
type edge struct {
	first   *lookup // beside the file; nil if it does not count
	firstAt int     // beside, apart, or a directory's index
	beyond  *resolution
	to      *node
	// leaf says that the file counts and not what it reads.
	leaf  bool
	plain bool
	// silent says that a depfile does not name it.
	silent bool
}

// target returns what was found.
func (e *edge) target() (*lookup, int) {
	if e.first != nil && e.first.found() {
		return e.first, e.firstAt
	}
	if e.beyond != nil {
		if l := e.beyond.hit(); l != nil {
			return l, e.beyond.at
		}
	}
	return nil, 0
}

// Scan says what a unit reads, as the files are in this epoch.
func (s *Scanner) Scan(u Unit) Result {
	for range maxTries {
		v := &visit{s: s, u: &u, p: s.pathOf(&u)}
		generation := s.generation
		v.run()
		if s.generation == generation {
			if v.imports {
				v.r.Once = v.r.Files
			}
			return v.r
		}
	}
	return Result{Doubt: &Doubt{Why: "files change while they are read", Deaf: true}}
}

// visit is one walk over all that a unit reads.
type visit struct {
	s *Scanner
	u *Unit
	p *searchPath
	r Result

	queue   []*node
	reached []*node // those that were read
	askers  []asker // of computed names
	imports bool    // something is read once by #import, which can be anything
	links   map[Reference]bool
	dirs    map[*dir]bool
}

// asker is a computed name and the file that it is in.
type asker struct {
	node *node
	d    directive
}

func (v *visit) doubt(deaf bool, format string, args ...any) {
	if v.u.Told && !deaf {
		return
	}
	if v.r.Doubt == nil || deaf && !v.r.Doubt.Deaf {
		v.r.Doubt = &Doubt{Why: fmt.Sprintf(format, args...), Deaf: deaf}
	}
}

func (v *visit) run() {
	s := v.s
	s.turn++
	v.links, v.dirs = map[Reference]bool{}, map[*dir]bool{}
	v.r.Absent = slices.Clone(v.p.absent)
	if v.p.cwd == nil {
		v.doubt(true, "there is no directory %s", v.u.Dir)
		return
	}
	if v.p.own != "" {
		v.doubt(false, "%s has appeared, where the compiler looks by itself", v.p.own)
	}
	for i := range v.p.dirWays {
		v.pass(v.p.dirWays[i].links, v.p.dirWays[i].needed)
	}
	v.need(v.p.cwd)
	for _, d := range v.p.dirs {
		v.need(d)
	}
	v.begin()
	v.drain()
	for range maxRounds {
		before := len(v.reached)
		v.compute()
		v.drain()
		if len(v.reached) == before {
			return
		}
	}
	v.doubt(false, "computed names of headers lead on and on")
}

// begin takes the sources, and what the command line includes before them.
func (v *visit) begin() {
	c := v.u.Command
	for _, src := range c.Sources {
		e := v.named(src.Path)
		e.plain = src.Language == compile.Assembler
		v.take(&e)
		if !e.first.found() {
			v.doubt(true, "%s is not there", src.Path)
		}
	}
	for _, p := range v.u.Also {
		e := v.named(p)
		v.take(&e)
		if !e.first.found() {
			v.doubt(true, "%s is not there, which the compiler read", p)
		}
	}
	for _, read := range c.Reads {
		e := v.named(read)
		e.leaf, e.silent = true, true
		v.take(&e)
	}
	for _, f := range c.Forced {
		v.precompiled(f)
		e := v.named(f.Path)
		if !e.first.found() && f.Path[0] != '/' {
			e.beyond = v.s.resolve(v.p, name{0, f.Path})
		}
		if f.Path[0] != '/' {
			e.firstAt = beside
		}
		v.take(&e)
		if l, _ := e.target(); l == nil {
			v.doubt(true, "%s is not there, which is to be included", f.Path)
		}
	}
	// What glibc has gcc include before anything else.
	e := edge{beyond: v.s.resolve(v.p, name{v.p.bracket, "stdc-predef.h"})}
	v.take(&e)
}

// precompiled looks for the header that clang's driver takes instead of one that
// is forced: gcc's own are found with the header.
func (v *visit) precompiled(f compile.Forced) {
	if v.u.Command.Family != compile.Clang || f.Macros {
		return
	}
	l := v.named(f.Path + ".pch").first
	if v.tried(l); l.found() {
		v.doubt(true, "%s is a precompiled header", l.path)
	}
}

// named is where a path of the command line leads.
func (v *visit) named(p string) edge {
	return edge{first: v.s.lookUp(v.s.start(v.p.cwd, p), p), firstAt: apart}
}

// drain visits what is queued.
func (v *visit) drain() {
	for len(v.queue) > 0 {
		n := v.queue[len(v.queue)-1]
		v.queue = v.queue[:len(v.queue)-1]
		if len(v.reached) >= maxFiles {
			v.doubt(false, "more than %d files", maxFiles)
			v.queue = nil
			return
		}
		v.open(n)
		for i := range n.edges {
			v.take(&n.edges[i])
		}
	}
}

// open reads a file and finds where its names lead.
func (v *visit) open(n *node) {
	t := v.s.read(n.src)
	v.reached = append(v.reached, n)
	v.judge(n, t)
	for _, d := range t.computed {
		v.askers = append(v.askers, asker{n, d})
	}
	if n.text == t {
		if n.epoch != v.s.epoch {
			v.again(n)
		}
		return
	}
	n.edges = n.edges[:0]
	for _, d := range t.named {
		n.edges = v.edges(n.edges, n, d)
	}
	n.text, n.epoch = t, v.s.epoch
}

// again makes sure that a node's edges hold in this epoch. Where one does not,
// the generation says so, and this scan is not the last.
func (v *visit) again(n *node) {
	for i := range n.edges {
		e := &n.edges[i]
		if e.first != nil {
			v.s.verify(e.first)
		}
		if e.beyond != nil && e.beyond.epoch != v.s.epoch {
			e.beyond.epoch = v.s.epoch
			for _, l := range e.beyond.tried {
				v.s.verify(l)
			}
		}
	}
	n.epoch = v.s.epoch
}

// take notes where an edge leads and what was tried on the way, and queues the
// file that it leads to.
func (v *visit) take(e *edge) {
	turn := v.s.turn
	if e.first != nil {
		v.tried(e.first)
	}
	if e.beyond != nil && e.beyond.seen != turn {
		e.beyond.seen = turn
		for _, l := range e.beyond.tried {
			v.tried(l)
		}
	}
	if e.to == nil {
		l, at := e.target()
		if l == nil || l.file == nil {
			return
		}
		e.to = v.nodeAt(l, at, e.plain)
	}
	v.count(e.to.src, e.silent)
	if !e.leaf && e.to.seen != turn {
		e.to.seen = turn
		v.queue = append(v.queue, e.to)
	}
}

func (v *visit) nodeAt(l *lookup, at int, plain bool) *node {
	key := place{l.dir, l.base, at, plain}
	n := v.p.nodes[key]
	if n == nil {
		n = &node{src: l.file, dir: l.dir, at: at}
		if plain {
			n.src = v.s.plainAt(l.file.path)
		}
		v.p.nodes[key] = n
	}
	return n
}

// tried notes one look-up.
func (v *visit) tried(l *lookup) {
	if l.seen == v.s.turn {
		return
	}
	l.seen = v.s.turn
	switch {
	case l.coming:
		v.r.Coming = append(v.r.Coming, l.path)
	case l.file == nil:
		v.r.Absent = append(v.r.Absent, l.path)
	}
	if l.pch != "" {
		v.doubt(true, "%s is a precompiled header", l.pch)
	}
	v.pass(l.links, l.needed)
}

func (v *visit) count(f *source, silent bool) {
	if silent && !f.bound && !slices.Contains(v.r.Silent, f.path) {
		v.r.Silent = append(v.r.Silent, f.path)
	}
	if f.seen == v.s.turn {
		return
	}
	f.seen = v.s.turn
	if f.bound {
		v.r.System = append(v.r.System, f.path)
	} else {
		v.r.Files = append(v.r.Files, f.path)
	}
}

// pass notes links and directories on the way.
func (v *visit) pass(links []Reference, dirs []*dir) {
	for _, l := range links {
		if !v.links[l] && !v.s.isBound(l.Path) {
			v.links[l] = true
			v.r.Links = append(v.r.Links, l)
		}
	}
	for _, d := range dirs {
		v.need(d)
	}
}

func (v *visit) need(d *dir) {
	if !v.dirs[d] && !v.s.isBound(join(d.path, "")) {
		v.dirs[d] = true
		v.r.Dirs = append(v.r.Dirs, d.path)
	}
}

// judge notes what of a file matters beyond what it names.
func (v *visit) judge(n *node, t *text) {
	v.r.Clock = max(v.r.Clock, t.clock)
	v.imports = v.imports || t.imports
	if t.once && !n.src.bound {
		v.r.Once = append(v.r.Once, n.src.path)
	}
	if t.wrought && v.r.Wrought == "" && !n.src.bound {
		v.r.Wrought = n.src.path
	}
	c := v.u.Command
	switch {
	case t.tooMuch:
		v.doubt(false, "%s is too large", n.src.path)
	case t.deaf != "":
		v.doubt(true, "%s: %s", n.src.path, t.deaf)
	case t.asmDeaf != "" && c.Assembles():
		v.doubt(true, "%s: %s", n.src.path, t.asmDeaf)
	case t.glued || t.otherwise(c.Dialect):
		v.doubt(false, "%s reads otherwise in this dialect", n.src.path)
	}
}

// edges adds where a directive of n leads.
func (v *visit) edges(es []edge, n *node, d directive) []edge {
	s, p := v.s, v.p
	if len(d.name) > 0 && d.name[0] == '/' {
		return append(es, edge{first: s.lookUp(s.root, d.name), firstAt: apart, leaf: d.deed.leaf(), plain: d.deed == assembles, silent: d.deed.silent()})
	}
	e := edge{leaf: d.deed.leaf(), firstAt: beside}
	switch d.deed {
	case embeds, incbins, assembles:
		return v.lists(es, n, d)
	case readsNext, asksNext:
		switch n.at {
		case apart:
		case beside:
			return v.anyNext(es, n, d)
		default:
			e.beyond = s.resolve(p, name{n.at + 1, d.name})
			return append(es, e)
		}
	}
	if d.form == angled {
		e.beyond = s.resolve(p, name{p.bracket, d.name})
		return append(es, e)
	}
	e.first = s.lookUp(n.dir, d.name)
	if !e.first.found() {
		e.beyond = s.resolve(p, name{0, d.name})
	}
	return append(es, e)
}

// anyNext adds every file that may be the next of one that was found beside its
// includer. gcc takes the first of the path, clang the one after the directory
// where the includer was found, or its includer, or none of that.
func (v *visit) anyNext(es []edge, n *node, d directive) []edge {
	es = append(es, edge{first: v.s.lookUp(n.dir, d.name), firstAt: beside, leaf: d.deed.leaf()})
	for i, in := range v.p.dirs {
		es = append(es, edge{first: v.s.lookUp(in, d.name), firstAt: i, leaf: d.deed.leaf()})
	}
	return es
}

// lists adds every file that the assembler, or #embed, may mean.
func (v *visit) lists(es []edge, n *node, d directive) []edge {
	at := append([]*dir{v.p.cwd, n.dir}, v.p.dirs[v.p.bracket:]...)
	if d.deed == embeds {
		if l := v.s.lookUp(n.dir, d.name); d.form == quoted && l.found() { // before all others
			return append(es, edge{first: l, firstAt: beside, leaf: true, silent: true})
		}
		at = append(at, v.p.embed...)
	}
	for _, in := range at {
		es = append(es, edge{first: v.s.lookUp(in, d.name), firstAt: beside, leaf: d.deed.leaf(), plain: d.deed == assembles, silent: d.deed.silent()})
	}
	return es
}
