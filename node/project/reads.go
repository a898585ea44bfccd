package project

import (
	"cmp"
	"path"
	"slices"

	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/sched/action"
)

// reads is what globs say that a step reads.
type reads struct {
	files []int    // numbers, sorted
	paths []string // the files' paths
	outs  []string // outputs, sorted
}

// resolve finds what each step reads, and writes its command out.
func (p *planner) resolve() {
	for _, pp := range p.packages {
		p.takeForeign(pp)
		sources := p.packageSources(pp)
		for _, e := range pp.entries {
			if len(e.patterns) > 0 || e.foreach.set {
				p.checkMatches(e.owner, e.patterns, e)
			}
			if e.inputsFixed() {
				e.fixed = p.entryReads(e, match{}, sources)
			}
		}
		for _, s := range pp.steps {
			p.resolveStep(s, sources)
			if p.tooMuch(s) {
				return
			}
		}
	}
}

// tooMuch ends a plan that would not fit into memory.
func (p *planner) tooMuch(s *instance) bool {
	switch {
	case p.edges > p.config.limits.deps:
		p.faults.add(s.at, "narrow its inputs, or give the packages that it depends on outputs, so that it sees only those",
			"the steps up to here read outputs of other steps more than %d times", p.config.limits.deps)
	case p.listed > p.config.limits.sources:
		p.faults.add(s.at, "narrow its inputs", "the steps up to here read files more than %d times", p.config.limits.sources)
	default:
		return false
	}
	return true
}

func (e *entry) inputsFixed() bool {
	return !slices.ContainsFunc(e.inputs.list, func(g glob) bool { return !g.text.fixed() })
}

// takeForeign finds what a package sees of those that it depends on, and
// what it shows to those that depend on it.
func (p *planner) takeForeign(pp *packagePlan) {
	for _, dep := range pp.deps {
		pp.foreign = append(pp.foreign, dep.shown...)
	}
	slices.SortFunc(pp.foreign, compareDeps)
	if pp.build.set || len(pp.outputs) == 0 {
		for _, s := range pp.steps {
			if len(s.outputs) > 0 {
				pp.shown = append(pp.shown, action.Dep{Step: s.id})
			}
		}
		return
	}
	pp.shown = pp.narrowed()
	p.checkShown(pp)
}

// narrowed returns the edges to what a package's outputs, beside its steps, say.
func (pp *packagePlan) narrowed() []action.Dep {
	var patterns []pattern
	for _, o := range pp.outputs {
		if c, ok := compile(pp.path, o.text); ok {
			patterns = append(patterns, c)
		}
	}
	var edges []action.Dep
	for _, s := range pp.steps {
		var paths []string
		for _, o := range s.outputs {
			if slices.ContainsFunc(patterns, func(c pattern) bool { return c.matches(o) }) {
				paths = append(paths, o)
			}
		}
		if len(paths) > 0 {
			edges = append(edges, action.Dep{Step: s.id, Paths: paths})
		}
	}
	return edges
}

// checkShown finds package outputs that no step makes.
func (p *planner) checkShown(pp *packagePlan) {
	for _, o := range pp.outputs {
		if err := checkGlob(o.text); err != nil {
			p.faults.add(o.at, err.do, "%s", err.what)
			continue
		}
		c, ok := compile(pp.path, o.text)
		if !ok || pp.unsure {
			continue
		}
		if !slices.ContainsFunc(pp.steps, func(s *instance) bool { return slices.ContainsFunc(s.outputs, c.matches) }) {
			p.faults.add(o.at, "name an output of one of its steps", "no step of package %q makes %s", pp.name.text, o.text)
		}
	}
}

// packageSources returns the numbers of the files that every step of a
// package reads: those of sources, or with build_cmd by default all that are
// not another package's.
func (p *planner) packageSources(pp *packagePlan) []int {
	if pp.saidSource {
		patterns := p.compile(pp, pp.sources, match{})
		p.checkMatches(pp, patterns, nil)
		return p.withoutOutputs(filesOf(patterns, p.files))
	}
	if !pp.build.set {
		return nil
	}
	var found []int
	from, to := p.files.below(pp.path)
	for i := from; i < to; i++ {
		if p.home(p.files.paths[i]) == pp.path {
			found = append(found, i)
		}
	}
	return p.withoutOutputs(found)
}

// home returns the innermost package's directory that a file lies in.
func (p *planner) home(file string) string {
	for dir := parent(file); dir != ""; dir = parent(dir) {
		if p.homes[dir] {
			return dir
		}
	}
	return ""
}

func (p *planner) withoutOutputs(files []int) []int {
	return slices.DeleteFunc(slices.Clone(files), func(i int) bool { return p.covered[i] })
}

// entryReads returns what an entry's inputs say, with sources added.
func (p *planner) entryReads(e *entry, m match, sources []int) *reads {
	patterns := p.compile(e.owner, e.inputs, m)
	p.checkMatches(e.owner, patterns, e)
	files := slices.Concat(sources, p.withoutOutputs(filesOf(patterns, p.files)))
	r := &reads{files: p.withLinked(e, files), outs: p.outputsOf(e.owner, patterns)}
	r.paths = p.pathsOf(r.files)
	return r
}

// pathsOf returns the names of files, nil if there are none.
func (p *planner) pathsOf(files []int) []string {
	if len(files) == 0 {
		return nil
	}
	p.listed += len(files)
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = p.files.paths[f]
	}
	return paths
}

// withLinked sorts files and adds what the links among them lead to.
func (p *planner) withLinked(e *entry, files []int) []int {
	if len(p.links.targets) > 0 {
		for _, i := range slices.Clone(files) {
			files = append(files, p.linked(e, i)...)
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	p.checkNames(e, files...)
	return files
}

// linked returns the sources that a link leads to.
func (p *planner) linked(e *entry, i int) []int {
	name := p.files.paths[i]
	target, isLink := p.links.targets[name]
	if !isLink {
		return nil
	}
	brings, leaves := p.links.follow(i)
	if leaves {
		p.once(e, name, "copy what it points to into the project, or exclude the link with !", "input %s is a symbolic link that leaves the tree, to %s", name, target)
		return nil
	}
	return p.withoutOutputs(brings)
}

// checkNames refuses names that no action can carry.
func (p *planner) checkNames(e *entry, files ...int) {
	for _, i := range files {
		if len(p.odd) == 0 {
			return
		}
		if p.odd[i] {
			name := p.files.paths[i]
			p.once(e, name, "rename it, or exclude it with !", "the name of input %q has a backslash, a newline or bytes that are no UTF-8", name)
		}
	}
}

// once reports a fault about a file, the first time that an entry meets it.
func (p *planner) once(e *entry, file, do, what string, args ...any) {
	key := place{path: file}
	if !e.reported[key] {
		e.reported[key] = true
		p.faults.add(e.at, do, what, args...)
	}
}

// outputsOf returns the outputs that patterns name and a package sees.
func (p *planner) outputsOf(pp *packagePlan, patterns []compiled) []string {
	var found []string
	for _, i := range filesOf(patterns, p.outputs.index) {
		if o := p.outputs.index.paths[i]; pp.sees(p.outputs.maker[o].owner) {
			found = append(found, o)
		}
	}
	for _, c := range patterns {
		if c.exclude {
			continue
		}
		// What lies in a directory that a step makes comes with all of it.
		if o, maker := p.outputs.above(c.fixedPart()); maker != nil && pp.sees(maker.owner) {
			found = append(found, o)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// fixedPart is the longest path that all matches are, or lie in.
func (p pattern) fixedPart() string {
	if p.rest == "" {
		return p.literal
	}
	return p.base
}

// checkMatches finds patterns that match nothing.
func (p *planner) checkMatches(pp *packagePlan, patterns []compiled, e *entry) {
	for i := range patterns {
		c := &patterns[i]
		if c.exclude || p.matchesAnything(pp, patterns, c) || pp.unsure {
			continue
		}
		if e != nil && e.reported[c.at] {
			continue
		}
		if e != nil {
			e.reported[c.at] = true
		}
		p.nothing(pp, c)
	}
}

func (p *planner) matchesAnything(pp *packagePlan, patterns []compiled, c *compiled) bool {
	for _, i := range p.files.match(c.pattern) {
		if !p.covered[i] && !excluded(patterns, p.files.paths[i]) {
			return true
		}
	}
	return len(p.outputsOf(pp, slices.Concat([]compiled{*c}, excludes(patterns)))) > 0
}

func excludes(patterns []compiled) []compiled {
	return slices.DeleteFunc(slices.Clone(patterns), func(c compiled) bool { return !c.exclude })
}

// nothing reports a glob that matches nothing, with what is likely meant.
func (p *planner) nothing(pp *packagePlan, c *compiled) {
	what := "the glob matches nothing: " + c.String()
	if c.rest == "" {
		what = "there is no " + c.literal
	}
	for _, i := range p.outputs.index.match(c.pattern) {
		maker := p.outputs.maker[p.outputs.index.paths[i]]
		if pp.sees(maker.owner) {
			continue
		}
		p.faults.add(c.at, "add "+maker.owner.name.text+" to the dependencies of "+pp.name.text,
			"%s is made by package %q, which package %q does not depend on", p.outputs.index.paths[i], maker.owner.name.text, pp.name.text)
		return
	}
	p.faults.add(c.at, p.advice(c), "%s", what)
}

// String returns the pattern as it would stand from the project's root.
func (p pattern) String() string {
	if p.rest == "" {
		return "/" + p.literal
	}
	return "/" + path.Join(p.base, p.rest)
}

func (p *planner) advice(c *compiled) string {
	where := c.fixedPart()
	if inReserved(where) {
		return "globs never match what belongs to git or to BuildNet"
	}
	for dir := where; dir != ""; dir = parent(dir) {
		if target, isLink := p.links.targets[dir]; isLink && dir != where {
			return dir + " is a symbolic link: name what it points to, " + target
		}
	}
	from, to := p.files.below(where)
	switch {
	case c.rest == "" && from < to:
		return "it is a directory: add /** for the files in it"
	case c.rest == "":
		return near.DidYouMean(where, p.neighbours(where), "add the file, or remove it here")
	case from == to && where != "":
		return "there are no files in " + where + "; correct the path, or remove the glob"
	default:
		return "correct it, remove it, or add the files (outputs of other steps, and what ! excludes, do not count as files)"
	}
}

// neighbours are the files that a missing one was probably meant to be: those
// in its directory, and those of its name.
func (p *planner) neighbours(missing string) []string {
	var names []string
	from, to := p.files.below(parent(missing))
	for _, name := range p.files.paths[from:to] {
		if parent(name) == parent(missing) {
			names = append(names, name)
		}
	}
	for _, i := range p.files.byName(path.Base(missing)) {
		names = append(names, p.files.paths[i])
	}
	return names
}

// insert puts i into sorted files, with what it leads to if it is a link.
func (p *planner) insert(e *entry, r *reads, file string) []string {
	i, isFile := p.files.number[file]
	if !isFile {
		return r.paths
	}
	at, there := slices.BinarySearch(r.files, i)
	if there {
		return r.paths
	}
	p.checkNames(e, i)
	if more := p.linked(e, i); len(more) > 0 {
		return p.pathsOf(p.withLinked(e, slices.Concat(r.files, more, []int{i})))
	}
	p.listed += len(r.paths) + 1
	paths := make([]string, 0, len(r.paths)+1)
	paths = append(paths, r.paths[:at]...)
	paths = append(paths, file)
	return append(paths, r.paths[at:]...)
}

// compareMakers is the order of steps within a plan's package.
func compareMakers(a, b *instance) int { return cmp.Compare(a.order, b.order) }
