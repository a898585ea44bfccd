package project

import (
	"fmt"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// outputs are the declared outputs of all steps.
type outputs struct {
	index *index
	// maker is the step that makes a path, the first if there are several.
	maker map[string]*instance
	// dirs are the packages' output directories: what lies in them is no
	// source, whether a step declares it or not.
	dirs map[string]bool
}

func newOutputs(steps []*instance, dirs map[string]bool) *outputs {
	o := &outputs{maker: make(map[string]*instance, len(steps)), dirs: dirs}
	paths := make([]string, 0, len(steps))
	for _, s := range steps {
		for _, p := range s.outputs {
			if o.maker[p] == nil {
				o.maker[p] = s
				paths = append(paths, p)
			}
		}
	}
	o.index = newIndex(paths)
	return o
}

// covers reports whether a path is an output, or lies in one.
func (o *outputs) covers(p string) bool {
	for ; p != ""; p = parent(p) {
		if o.maker[p] != nil || o.dirs[p] {
			return true
		}
	}
	return false
}

// above returns the output that p is, or lies in.
func (o *outputs) above(p string) (string, *instance) {
	for ; p != ""; p = parent(p) {
		if s := o.maker[p]; s != nil {
			return p, s
		}
	}
	return "", nil
}

// compiled is a glob laid out from the project's root.
type compiled struct {
	glob
	pattern
}

// compile lays out globs whose placeholders m fills.
func (p *planner) compile(pp *packagePlan, g globs, m match) []compiled {
	all := make([]compiled, 0, len(g.list))
	for _, one := range g.list {
		laid, inside := compile(one.from(pp.path), one.text.fill(m, escapeGlob))
		if !inside {
			p.faults.add(one.at, "name files of the project", "the glob leads out of the tree")
			continue
		}
		all = append(all, compiled{one, laid})
	}
	return all
}

// expand makes the steps: one of each entry, or one of each file that its
// foreach matches. Which files are sources depends on what the steps make,
// and that on the files that foreach matches; so it is done over until
// nothing changes, and does not depend on outputs that lie on disk.
func (p *planner) expand() {
	dirs := map[string]bool{}
	for _, pp := range p.packages {
		if pp.outputDir != nil && !pp.broken {
			dirs[under(pp.path, pp.outputDir.text)] = true
		}
		for _, e := range pp.entries {
			e.patterns = p.compile(pp, e.foreach, match{})
			e.matched = filesOf(e.patterns, p.files)
		}
	}
	p.outputs = newOutputs(nil, dirs)
	for range maxRounds {
		steps := p.round()
		next := newOutputs(steps, dirs)
		settled := slices.Equal(next.index.paths, p.outputs.index.paths)
		p.outputs = next
		if len(steps) > p.config.limits.steps {
			p.faults.add(place{}, "narrow the globs of foreach", "there are more than %d steps", p.config.limits.steps)
			p.dropSteps()
			return
		}
		if settled {
			p.cover()
			return
		}
	}
	p.faults.add(place{}, "exclude with ! what foreach made from what it matches", "the steps never end: foreach matches what foreach makes, %d times over", maxRounds)
	p.dropSteps()
}

// dropSteps ends a plan that has no steps worth a further look.
func (p *planner) dropSteps() {
	for _, pp := range p.packages {
		pp.entries, pp.steps, pp.unsure = nil, nil, true
	}
	p.outputs = newOutputs(nil, p.outputs.dirs)
	p.cover()
}

// cover notes which files are no sources, once that is settled. Links among
// them lead nowhere: what an earlier build left must not matter.
func (p *planner) cover() {
	p.covered = make([]bool, len(p.files.paths))
	for i, name := range p.files.paths {
		if p.outputs.covers(name) {
			p.covered[i] = true
			delete(p.links.targets, name)
		}
	}
}

// filesOf returns the numbers of the files that patterns match, in order.
func filesOf(patterns []compiled, files *index) []int {
	var found []int
	for _, c := range patterns {
		if !c.exclude {
			found = append(found, files.match(c.pattern)...)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return slices.DeleteFunc(found, func(i int) bool { return excluded(patterns, files.paths[i]) })
}

func excluded(patterns []compiled, path string) bool {
	return slices.ContainsFunc(patterns, func(c compiled) bool { return c.exclude && c.matches(path) })
}

// round makes all steps, given what the last round knew of outputs.
func (p *planner) round() []*instance {
	var all []*instance
	for _, pp := range p.packages {
		pp.steps = pp.steps[:0]
		for _, e := range pp.entries {
			if !e.foreach.set {
				pp.steps = append(pp.steps, p.instance(e, ""))
				continue
			}
			for _, file := range p.candidates(e) {
				pp.steps = append(pp.steps, p.instance(e, file))
				if len(all)+len(pp.steps) > p.config.limits.steps {
					return append(all, pp.steps...)
				}
			}
		}
		for i, s := range pp.steps {
			s.order = i
		}
		all = append(all, pp.steps...)
	}
	return all
}

// candidates returns what an entry's foreach matches: sources, and outputs of
// other entries that its package sees.
func (p *planner) candidates(e *entry) []string {
	var found []string
	for _, i := range e.matched {
		if !p.outputs.covers(p.files.paths[i]) {
			found = append(found, p.files.paths[i])
		}
	}
	for _, i := range filesOf(e.patterns, p.outputs.index) {
		o := p.outputs.index.paths[i]
		if maker := p.outputs.maker[o]; maker.entry != e && e.owner.sees(maker.owner) {
			found = append(found, o)
		}
	}
	slices.Sort(found)
	return found
}

// sees reports whether a package's steps may read what other makes.
func (pp *packagePlan) sees(other *packagePlan) bool {
	if pp == other {
		return true
	}
	_, found := slices.BinarySearchFunc(pp.deps, other, compareNumbers)
	return found
}

func (p *planner) instance(e *entry, in string) *instance {
	s := &instance{entry: e, in: in}
	if in != "" {
		s.match = matchOf(e.owner.path, in)
	}
	for _, o := range e.outputs {
		if made, ok := p.output(e, o, s.match); ok {
			if s.first == "" {
				s.first = relative(e.owner.path, made)
			}
			s.outputs = append(s.outputs, made)
		}
	}
	slices.Sort(s.outputs)
	s.id = s.name()
	return s
}

// output returns the path of a declared output, from the project's root.
func (p *planner) output(e *entry, o outputPath, m match) (string, bool) {
	text := o.text.fill(m, asIs)
	clean, fault := cleanWithin(text)
	switch {
	case fault == "" && clean == "":
		fault = "is the package's own directory"
	case fault == "" && strings.ContainsAny(clean, "*?") && !strings.ContainsAny(m.in, "*?"):
		fault = "is a glob: outputs are named one by one, or as a directory"
	}
	if fault == "" {
		return under(e.owner.path, clean), true
	}
	if !e.reported[o.at] {
		e.reported[o.at] = true
		p.faults.add(o.at, "write a path below the package's", "output %q %s", text, fault)
	}
	return "", false
}

// name returns the step's ID. A check has no output to be called after; no
// output begins with a slash, so its name is nobody else's.
func (s *instance) name() action.StepID {
	name := s.owner.name.text
	switch {
	case s.build:
		return action.StepID(name)
	case s.first != "":
		return action.StepID(name + ":" + s.first)
	case s.in != "":
		return action.StepID(fmt.Sprintf("%s:/check-%d/%s", name, s.number, s.in))
	default:
		return action.StepID(fmt.Sprintf("%s:/check-%d", name, s.number))
	}
}

// checkOutputs finds outputs that two make, or that lie where none can.
func (p *planner) checkOutputs() {
	for _, pp := range p.packages {
		for _, s := range pp.steps {
			for i, o := range s.outputs {
				if i > 0 && s.outputs[i-1] == o {
					p.faults.add(s.at, "name it once", "the step names output %s twice", o)
					continue
				}
				p.checkOutput(s, o)
			}
		}
	}
	for _, pp := range p.packages {
		if o, maker := p.outputs.above(pp.path); maker != nil {
			p.faults.add(maker.at, "make something else", "output %s contains package %q", o, pp.name.text)
		}
	}
}

func (p *planner) checkOutput(s *instance, o string) {
	if maker := p.outputs.maker[o]; maker != s {
		p.twice(s, maker, o)
		return
	}
	if outer, maker := p.outputs.above(parent(o)); maker != nil {
		p.faults.add(s.at, "name one of them only", "output %s of %s lies within output %s of %s, line %d", o, s.id, outer, maker.id, maker.at.line)
	}
	for dir := parent(o); dir != ""; dir = parent(dir) {
		_, isFile := p.files.number[dir]
		if !isFile || p.outputs.covers(dir) {
			continue
		}
		if target, isLink := p.links.targets[dir]; isLink {
			p.faults.add(s.at, "make it elsewhere", "output %s would go through the symbolic link %s, to %s", o, dir, target)
		} else {
			p.faults.add(s.at, "make it elsewhere", "output %s cannot lie below %s, which is a file", o, dir)
		}
	}
}

// twice reports an output of two steps.
func (p *planner) twice(s, maker *instance, o string) {
	if s.entry == maker.entry && s.in != "" {
		p.faults.add(s.at, "put {dir} or {ext} into the output", "foreach makes %s twice: of %s and of %s", o, maker.in, s.in)
		return
	}
	p.faults.add(s.at, "let one of them make it", "steps %s, line %d, and %s both make %s", maker.id, maker.at.line, s.id, o)
}
