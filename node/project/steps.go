package project

import (
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// maxArguments bounds a command; a graph refuses more.
const maxArguments = 100_000

// resolveStep finds what one step reads and writes its command out.
func (p *planner) resolveStep(s *instance, sources []int) {
	r := s.fixed
	if r == nil {
		r = p.entryReads(s.entry, s.match, sources)
	}
	s.sources = r.paths
	outs := r.outs
	if s.in != "" {
		if p.outputs.maker[s.in] != nil {
			outs = append(slices.Clone(outs), s.in)
		} else {
			s.sources = p.insert(s.entry, r, s.in)
		}
	}
	named := p.writeCommand(s)
	if len(named) > 0 {
		outs = slices.Concat(outs, named)
	}
	p.takeDeps(s, outs)
}

// takeDeps makes edges of the outputs that a step names, beside those that
// its package has to others.
func (p *planner) takeDeps(s *instance, outs []string) {
	byMaker := map[*instance][]string{}
	for _, o := range outs {
		maker := p.outputs.maker[o]
		if maker == s {
			p.ownOutput(s, o)
			continue
		}
		byMaker[maker] = append(byMaker[maker], o)
	}
	var own []action.Dep
	for maker, paths := range byMaker {
		slices.Sort(paths)
		own = append(own, action.Dep{Step: maker.id, Paths: slices.Compact(paths)})
		if maker.owner == s.owner {
			s.needs = append(s.needs, maker)
		}
	}
	slices.SortFunc(own, compareDeps)
	slices.SortFunc(s.needs, compareMakers)
	s.deps = mergeDeps(s.owner.foreign, own)
	p.edges += len(s.deps)
}

// ownOutput reports a step that names its own output as an input. A glob that
// happens to match one does not mean it.
func (p *planner) ownOutput(s *instance, o string) {
	for _, g := range s.inputs.list {
		c, ok := compile(g.from(s.owner.path), g.text.fill(s.match, escapeGlob))
		if ok && !g.exclude && c.rest == "" && c.literal == o {
			p.faults.add(g.at, "remove it from the inputs, or from the outputs", "steps depend on each other: %s -> %s, which reads the %s that it makes", s.id, s.id, o)
		}
	}
}

// mergeDeps merges two sorted lists of edges. Of two edges to one step the
// one that has all outputs stays, or they become one.
func mergeDeps(a, b []action.Dep) []action.Dep {
	if len(b) == 0 {
		return a
	}
	merged := make([]action.Dep, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch order := compareDeps(a[0], b[0]); {
		case order < 0:
			merged, a = append(merged, a[0]), a[1:]
		case order > 0:
			merged, b = append(merged, b[0]), b[1:]
		default:
			both := action.Dep{Step: a[0].Step}
			if a[0].Paths != nil && b[0].Paths != nil {
				both.Paths = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a[0].Paths, b[0].Paths))))
			}
			merged, a, b = append(merged, both), a[1:], b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// writeCommand sets the step's arguments and returns the outputs of other
// steps that they name.
func (p *planner) writeCommand(s *instance) (named []string) {
	transform := operand
	if s.run.shell {
		transform = func(value string) string { return quote(operand(value)) }
	}
	var argv []string
	for _, t := range s.run.parts {
		if len(t) == 1 && t[0].name == "outputs" && !s.run.shell {
			paths, outs := p.placeholder(s, t[0])
			named = append(named, outs...)
			for _, one := range paths {
				argv = append(argv, operand(one))
			}
			continue
		}
		word, outs := p.word(s, t, transform)
		named = append(named, outs...)
		argv = append(argv, word)
	}
	if s.run.shell {
		argv = append([]string{"/bin/sh", "-e", "-c"}, argv...)
	}
	if len(argv) > maxArguments {
		p.faults.add(s.run.at, "pass them by a file", "the command has %d arguments, the limit is %d", len(argv), maxArguments)
	}
	if len(argv) == 0 || argv[0] == "" {
		p.faults.add(s.run.at, "begin it with a program", "the command of %s is empty once its placeholders are filled in", s.id)
	}
	s.argv = argv
	return named
}

// word fills the placeholders of one argument.
func (p *planner) word(s *instance, t template, transform func(string) string) (word string, named []string) {
	if len(t) == 1 && t[0].name == "" {
		return t[0].literal, nil
	}
	var b strings.Builder
	for _, one := range t {
		switch one.name {
		case "":
			b.WriteString(one.literal)
		case "outputs":
			paths, outs := p.placeholder(s, one)
			named = append(named, outs...)
			for i, path := range paths {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(transform(path))
			}
		case "in":
			b.WriteString(transform(s.match.in))
		default:
			value := s.match.value(one.name)
			if s.run.shell {
				value = quote(value)
			}
			b.WriteString(value)
		}
	}
	return b.String(), named
}

// placeholder returns the paths, from the package's, that {outputs} stands
// for: the step's own; or with a glob those of other steps, which come from
// the project's root as well.
func (p *planner) placeholder(s *instance, one part) (paths, outs []string) {
	outs = s.outputs
	if one.glob != "" {
		outs = p.globOutputs(s, one.glob)
	}
	paths = make([]string, len(outs))
	for i, o := range outs {
		paths[i] = relative(s.owner.path, o)
	}
	slices.Sort(paths)
	if one.glob == "" {
		return paths, nil
	}
	return paths, outs
}

// globOutputs returns the outputs of other steps that {outputs:GLOB} names.
func (p *planner) globOutputs(s *instance, glob string) []string {
	text, rooted := strings.CutPrefix(glob, "/")
	dir := s.owner.path
	if rooted {
		dir = ""
	}
	c, ok := compile(dir, strings.TrimPrefix(text, "./"))
	var found []string
	if ok {
		for _, i := range p.outputs.index.match(c) {
			o := p.outputs.index.paths[i]
			if maker := p.outputs.maker[o]; maker != s && s.owner.sees(maker.owner) {
				found = append(found, o)
			}
		}
	}
	if len(found) == 0 && !s.owner.unsure && !s.reported[s.run.at] {
		s.reported[s.run.at] = true
		do := "name outputs of other steps of the package, or with / of a package that it depends on"
		if o, maker := p.outputs.above(c.fixedPart()); ok && maker != nil {
			do = "name the directory itself, " + relative(s.owner.path, o)
		}
		p.faults.add(s.run.at, do, "{outputs:%s} matches nothing", glob)
	}
	return found
}
