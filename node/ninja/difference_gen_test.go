package ninja

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// project is a generated manifest and its sources. Its files are all in one
// directory; what commands do depends on nothing but their files.
type project struct {
	rng     *rand.Rand
	sources map[string]string
	edges   []*edge
	pools   []int // depths
	// self has the manifest made by an edge of its own.
	self     bool
	defaults []string
	dyndep   bool
}

// edge is one build statement to be.
type edge struct {
	name               string
	outs, implicitOuts []string
	ins, implicit      []string
	order, validations []string
	phony              bool
	restat, generator  bool
	rspfile            bool
	describe           bool
	// talks has its command say something.
	talks bool
	// deps is empty, "file" for a depfile that stays, or gcc.
	deps    string
	pool    string
	dyndep  bool
	version int
	// discovered is the output that the dyndep file always names. Were it named
	// from now on only, the two files' ages would count, which nothing has put in
	// an order.
	discovered string
}

// generate draws a project. Every edge reads sources and outputs of edges before
// it.
func generate(rng *rand.Rand) *project {
	p := &project{rng: rng, sources: map[string]string{}, self: rng.IntN(4) == 0, dyndep: rng.IntN(3) == 0}
	for i := range 2 + rng.IntN(4) {
		p.sources[fmt.Sprintf("s%d", i)] = "1\n"
	}
	for i := range 2 + rng.IntN(3) {
		p.sources[fmt.Sprintf("h%d", i)] = "2\n"
	}
	for range rng.IntN(3) {
		p.pools = append(p.pools, 1+rng.IntN(2))
	}
	for range 3 + rng.IntN(8) {
		p.addEdge()
	}
	if rng.IntN(3) == 0 {
		p.defaults = p.some(p.outputs(), 2)
	}
	return p
}

func (p *project) chance(oneIn int) bool { return p.rng.IntN(oneIn) == 0 }

// some draws up to n of the words, each once.
func (p *project) some(words []string, n int) (drawn []string) {
	for range min(n, len(words)) {
		w := words[p.rng.IntN(len(words))]
		if !slices.Contains(drawn, w) {
			drawn = append(drawn, w)
		}
	}
	return drawn
}

func (p *project) outputs() (all []string) {
	for _, e := range p.edges {
		all = append(append(all, e.outs...), e.implicitOuts...)
	}
	return all
}

// files are what an edge may read.
func (p *project) files() []string { return append(sortedKeys(p.sources), p.outputs()...) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *project) addEdge() {
	name := fmt.Sprintf("o%d", len(p.edges))
	e := &edge{name: name, outs: []string{name}, describe: p.chance(2), talks: p.chance(3)}
	files := p.files()
	e.ins = p.some(files, 1+p.rng.IntN(3))
	if p.chance(12) {
		e.ins = nil
	}
	if p.chance(3) {
		e.implicit = p.some(files, 2)
	}
	if p.chance(4) {
		e.order = p.some(files, 2)
	}
	if outs := p.outputs(); p.chance(6) {
		e.validations = p.some(outs, 1)
	}
	if p.chance(5) {
		e.phony = true
		p.edges = append(p.edges, e)
		return
	}
	if p.chance(5) {
		e.outs = append(e.outs, name+"b")
	}
	if p.chance(6) {
		e.implicitOuts = []string{name + "i"}
	}
	e.restat, e.generator, e.rspfile = p.chance(3) && !p.readsPhony(e), p.chance(12), p.chance(8)
	switch p.rng.IntN(4) {
	case 0:
		e.deps = "gcc"
	case 1:
		e.deps = "file"
	}
	if e.deps != "" {
		p.sources["deps_"+name] = p.headers()
		e.implicit = append(e.implicit, "deps_"+name)
	}
	switch p.rng.IntN(6) {
	case 0:
		if len(p.pools) > 0 {
			e.pool = fmt.Sprintf("p%d", p.rng.IntN(len(p.pools)))
		}
	case 1:
		e.pool = "console"
	}
	p.edges = append(p.edges, e)
	if p.dyndep && len(p.edges) > 2 && p.chance(3) {
		e.dyndep = true
		if in := p.edges[p.rng.IntN(len(p.edges)-1)]; !in.phony && p.chance(2) {
			e.discovered = in.outs[0]
		}
		p.sources["dd_"+name+".in"] = p.dyndepText(e)
	}
}

// readsPhony reports an edge that does not go well with restat: ninja records the
// newest of its inputs that are files, and compares with the newest that a phony
// one stands for. Which is newer is up to the clock.
func (p *project) readsPhony(e *edge) bool {
	return slices.ContainsFunc(p.edges, func(other *edge) bool {
		return other.phony && (slices.Contains(e.ins, other.name) || slices.Contains(e.implicit, other.name))
	})
}

// headers draws what a command will read besides its inputs: one line.
func (p *project) headers() string {
	return strings.Join(p.some([]string{"h0", "h1", "h2", "s0", "s1"}, 3), " ") + "\n"
}

// edited is what becomes of a source: it may be as it was.
func (p *project) edited(text string) string {
	if len(text) > 0 && text[0] >= '0' && text[0] <= '9' {
		return fmt.Sprintf("%d\n", p.rng.IntN(4))
	}
	return text + []string{"", "\n", "\n\n"}[p.rng.IntN(3)]
}

// dyndepText draws what a dyndep file says of an edge.
func (p *project) dyndepText(e *edge) string {
	var outs, ins []string
	if p.chance(2) {
		outs = []string{"x_" + e.name}
	}
	if p.chance(2) {
		ins = p.some(sortedKeys(p.sources), 1)
	}
	if e.discovered != "" {
		ins = append(ins, e.discovered)
	}
	text := "ninja_dyndep_version = 1\nbuild " + e.outs[0] + list(" | ", outs) + ": dyndep" + list(" | ", ins) + "\n"
	if p.chance(3) && !p.readsPhony(e) {
		text += "  restat = 1\n"
	}
	return text
}

const copies = `while IFS= read -r l; do printf '%s\n' "$$l"; done < $in > $out`

// manifest is the text of build.ninja.
func (p *project) manifest() string {
	var b strings.Builder
	for i, depth := range p.pools {
		fmt.Fprintf(&b, "pool p%d\n  depth = %d\n", i, depth)
	}
	if p.self {
		b.WriteString("rule remake\n  command = echo manifest >> .ran; " + copies + "\n  generator = 1\n" +
			"build build.ninja: remake build.ninja.in\n")
	}
	b.WriteString("rule copy\n  command = echo $out >> .ran; " + copies + "\n")
	for _, e := range p.edges {
		p.write(&b, e)
	}
	if len(p.defaults) > 0 {
		fmt.Fprintf(&b, "default %s\n", strings.Join(p.defaults, " "))
	}
	return b.String()
}

func list(prefix string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	return prefix + strings.Join(words, " ")
}

func (p *project) write(b *strings.Builder, e *edge) {
	rule := "phony"
	if !e.phony {
		rule = "r_" + e.name
		fmt.Fprintf(b, "rule %s\n  command = %s\n", rule, e.command())
		e.bindings(b)
	}
	order := e.order
	if e.dyndep {
		fmt.Fprintf(b, "build dd_%s: copy dd_%s.in\n", e.name, e.name)
		order = append(slices.Clone(order), "dd_"+e.name)
	}
	fmt.Fprintf(b, "build %s%s: %s %s%s%s%s\n", strings.Join(e.outs, " "), list(" | ", e.implicitOuts), rule,
		strings.Join(e.ins, " "), list(" | ", e.implicit), list(" || ", order), list(" |@ ", e.validations))
	if e.dyndep {
		fmt.Fprintf(b, "  dyndep = dd_%s\n", e.name)
	}
}

func (e *edge) bindings(b *strings.Builder) {
	for _, v := range []struct {
		on   bool
		text string
	}{
		{e.describe, "description = MAKE " + e.name},
		{e.restat, "restat = 1"},
		{e.generator, "generator = 1"},
		{e.rspfile, "rspfile = " + e.name + ".rsp\n  rspfile_content = $in_newline"},
		{e.deps != "", "depfile = " + e.name + ".d"},
		{e.deps == "gcc", "deps = gcc"},
		{e.pool != "", "pool = " + e.pool},
	} {
		if v.on {
			b.WriteString("  " + v.text + "\n")
		}
	}
}

// command is made of what a shell does by itself, since a process costs more than
// all else in a case. It appends the edge's name to .ran, then makes the outputs,
// each a number that follows from all that it reads. While fail_NAME is there it
// fails, and while late_NAME is there it does so after that.
func (e *edge) command() string {
	complain := "echo no " + e.name
	if e.pool == "console" {
		complain = ":" // there is no terminal in a test
	}
	parts := []string{
		"echo " + e.name + " >> .ran",
		"[ ! -e fail_" + e.name + " ] || { " + complain + "; exit 1; }",
		fmt.Sprintf("s=%d; hs=", e.version),
		"r() { v=0; [ ! -e $$1 ] || read -r v < $$1; case $$v in ''|*[!0-9]*) v=$${#v};; esac; s=$$(((s*31+v)%9973)); }",
	}
	if e.deps != "" {
		parts = append(parts, "read -r hs < deps_"+e.name)
	}
	if e.rspfile {
		parts = append(parts, "while read -r f; do r $$f; done < "+e.name+".rsp", "for f in $$hs; do r $$f; done")
	} else {
		parts = append(parts, "for f in $in $$hs; do r $$f; done")
	}
	if e.talks && e.pool != "console" {
		parts = append(parts, "echo "+e.name+" is $$s")
	}
	parts = append(parts, e.writes()...)
	if e.dyndep {
		parts = append(parts, fmt.Sprintf("while read -r l; do case $$l in *x_%s*) echo 1 > x_%s;; esac; done < dd_%s", e.name, e.name, e.name))
	}
	if e.deps != "" {
		parts = append(parts, fmt.Sprintf("echo %s: $$hs > %s.d", e.outs[0], e.name))
	}
	return strings.Join(append(parts, "[ ! -e late_"+e.name+" ]"), "; ")
}

// writes are the commands that write the outputs. With restat they leave one that
// would hold what it holds, and have few numbers to choose from, the first output
// fewer than the next.
func (e *edge) writes() (parts []string) {
	if e.restat {
		parts = append(parts, "w() { v=; [ ! -e $$1 ] || read -r v < $$1; [ \"$$v\" = $$2 ] || echo $$2 > $$1; }")
	}
	for i, o := range append(slices.Clone(e.outs), e.implicitOuts...) {
		if e.restat {
			parts = append(parts, fmt.Sprintf("w %s $$((s%%%d))", o, 2+i))
		} else {
			parts = append(parts, "echo $$s > "+o)
		}
	}
	return parts
}
