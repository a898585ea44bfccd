package project

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/buildnet/buildnet/sched/action"
)

// maxRounds bounds how often foreach may build on what foreach made.
const maxRounds = 20

// limits keep a plan within memory.
type limits struct {
	steps int // what a graph may have
	// deps bounds the edges of a plan, which the graph of a build carries.
	deps int
	// sources bounds the names of sources that a plan lists step by step: half
	// a GiB. 10,000 steps that each read 3,000 headers are below it.
	sources int
}

var standardLimits = limits{steps: action.MaxSteps, deps: 4_000_000, sources: 32_000_000}

// planner lays a configuration over a tree.
type planner struct {
	faults   *collector
	config   *Config
	files    *index
	links    *links
	packages []*packagePlan // in topological order
	outputs  *outputs
	covered  []bool          // files, by number, that are outputs or lie in one
	odd      map[int]bool    // files whose names no action can carry
	homes    map[string]bool // the packages' directories
	edges    int
	listed   int // sources
}

// packagePlan is a package on its way to steps.
type packagePlan struct {
	*pkg
	number int // in topological order
	// deps are the packages whose outputs it sees, transitively, in
	// topological order.
	deps    []*packagePlan
	entries []*entry
	steps   []*instance
	// foreign holds the edges to all that the package sees of others, shown
	// those that packages depending on it have to its own steps.
	foreign []action.Dep
	shown   []action.Dep
	// unsure is set where outputs that the package sees cannot be known.
	unsure bool
}

// entry is what the configuration says once and foreach makes many of.
type entry struct {
	*step
	owner    *packagePlan
	resolved resolved
	build    bool  // the package's build_cmd
	matched  []int // files of foreach, before outputs are left out
	patterns []compiled
	fixed    *reads // inputs, if they are the same for each match
	reported map[place]bool
}

// instance is a step: an entry with the file that it is done for, if any.
type instance struct {
	*entry
	id      action.StepID
	in      string // from the project's root, "" without foreach
	match   match
	outputs []string // from the project's root, sorted
	first   string   // the first declared, from the package's path
	order   int
	deps    []action.Dep
	needs   []*instance // of its own package
	sources []string
	argv    []string
}

// Plan lays the configuration over files, whose order does not matter. The
// error is a *Faults, with the faults of Parse among them.
func (c *Config) Plan(files []File) (*Plan, error) {
	p := &planner{faults: &collector{file: c.name, list: slices.Clone(c.faults)}, config: c}
	p.takeFiles(files)
	p.takePackages()
	p.takeEntries()
	p.expand()
	p.checkOutputs()
	p.resolve()
	p.order()
	if err := p.faults.err(); err != nil {
		return nil, err
	}
	return p.plan(), nil
}

func (p *planner) takeFiles(files []File) {
	paths := make([]string, 0, len(files))
	targets := map[string]string{}
	for _, f := range files {
		if f.Path == "." || path.Clean(f.Path) != f.Path || leavesTree(f.Path) || inReserved(f.Path) {
			continue
		}
		paths = append(paths, f.Path)
		if f.Link != "" {
			targets[f.Path] = f.Link
		}
	}
	p.files = newIndex(paths)
	p.odd = map[int]bool{}
	for i, name := range p.files.paths {
		if !action.CleanPath(name) || !utf8.ValidString(name) {
			p.odd[i] = true
		}
	}
	p.links = &links{files: p.files, targets: targets, brings: map[int][]int{}, outside: map[int]bool{}}
}

// takePackages sorts the packages and finds whom each sees. Parse has removed
// cycles and unknown dependencies.
func (p *planner) takePackages() {
	p.homes = map[string]bool{}
	byName := map[string]*packagePlan{}
	var all []*packagePlan
	for _, one := range p.config.packages {
		if byName[one.name.text] == nil && one.name.text != "" {
			pp := &packagePlan{pkg: one}
			byName[one.name.text] = pp
			all = append(all, pp)
		}
	}
	visited := map[*packagePlan]bool{}
	var visit func(pp *packagePlan)
	visit = func(pp *packagePlan) {
		visited[pp] = true
		sees := map[*packagePlan]bool{}
		for _, d := range pp.pkg.deps {
			dep := byName[d.text]
			if !visited[dep] {
				visit(dep)
			}
			sees[dep] = true
			for _, further := range dep.deps {
				sees[further] = true
			}
		}
		pp.deps = slices.SortedFunc(maps.Keys(sees), compareNumbers)
		pp.unsure = slices.ContainsFunc(pp.deps, func(d *packagePlan) bool { return d.unsure })
		pp.unsure = pp.unsure || pp.broken || slices.ContainsFunc(pp.pkg.steps, func(s *step) bool { return s.broken })
		pp.number = len(p.packages)
		p.packages = append(p.packages, pp)
		p.homes[pp.path] = true
	}
	for _, pp := range all {
		if !visited[pp] {
			visit(pp)
		}
	}
}

func (p *planner) takeEntries() {
	for _, pp := range p.packages {
		if pp.broken {
			continue
		}
		p.checkPath(pp)
		if pp.build.set {
			pp.entries = append(pp.entries, &entry{step: p.buildStep(pp), owner: pp, build: true})
		}
		for _, s := range pp.pkg.steps {
			if !s.broken {
				pp.entries = append(pp.entries, &entry{step: s, owner: pp})
			}
		}
		for _, e := range pp.entries {
			e.resolved = p.config.resolve(pp.pkg, &e.settings)
			e.reported = map[place]bool{}
		}
	}
}

// buildStep makes a package's build_cmd a step like any other.
func (p *planner) buildStep(pp *packagePlan) *step {
	s := &step{at: pp.build.at, number: 1, run: pp.build}
	if pp.outputDir != nil {
		s.outputs = append(s.outputs, outputPath{pp.outputDir.at, template{{literal: pp.outputDir.text}}})
	}
	for _, o := range pp.outputs {
		s.outputs = append(s.outputs, outputPath{o.at, template{{literal: o.text}}})
	}
	return s
}

// checkPath finds a package whose directory is none.
func (p *planner) checkPath(pp *packagePlan) {
	if pp.path == "" {
		return
	}
	for dir := pp.path; dir != ""; dir = parent(dir) {
		if _, isFile := p.files.number[dir]; !isFile {
			continue
		}
		if _, isLink := p.links.targets[dir]; isLink {
			p.faults.add(pp.at.key("path", pp.at.line), "name the directory that it points to", "%s is a symbolic link", dir)
		} else {
			p.faults.add(pp.at.key("path", pp.at.line), "name a directory", "%s is a file", dir)
		}
	}
}

// parent returns the directory of p, "" for the root.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// plan gives what was found its public form.
func (p *planner) plan() *Plan {
	plan := &Plan{}
	for _, pp := range p.packages {
		settings := p.config.resolve(pp.pkg, &settings{})
		out := Package{
			Name: pp.name.text, Path: pp.path, PreBuild: pp.hooks.pre, PostBuild: pp.hooks.post,
			Env: settings.env, PassEnv: settings.passEnv,
		}
		if pp.outputDir != nil {
			out.OutputDirs = []string{under(pp.path, pp.outputDir.text)}
		}
		for _, s := range pp.steps {
			out.Steps = append(out.Steps, s.id)
			plan.Steps = append(plan.Steps, s.public())
		}
		plan.Packages = append(plan.Packages, out)
	}
	return plan
}

func (s *instance) public() Step {
	r := &s.resolved
	return Step{
		ID: s.id, Package: s.owner.name.text, Argv: s.argv, Env: r.env, PassEnv: r.passEnv,
		Dir: s.owner.path, Outputs: s.outputs, Sources: s.sources, Deps: s.deps,
		Timeout: r.timeout, MemoryBytes: r.memory, Platform: r.platform, Tools: r.tools,
		ToolchainDirs: r.toolchains, Network: r.network, Unsandboxed: r.unsandboxed,
	}
}

// order puts each package's steps into topological order, and names cycles.
func (p *planner) order() {
	for _, pp := range p.packages {
		o := &ordering{state: make([]uint8, len(pp.steps)), named: map[*instance]bool{}, faults: p.faults}
		for _, s := range pp.steps {
			if o.state[s.order] == 0 {
				o.visit(s)
			}
		}
		pp.steps = o.done
	}
}

// ordering is a depth-first walk of one package's steps.
type ordering struct {
	state  []uint8 // by order: 0 not seen, 1 on the chain, 2 done
	chain  []*instance
	done   []*instance
	named  map[*instance]bool // in a cycle that was reported
	faults *collector
}

func (o *ordering) visit(s *instance) {
	o.state[s.order] = 1
	o.chain = append(o.chain, s)
	for _, need := range s.needs {
		switch o.state[need.order] {
		case 0:
			o.visit(need)
		case 1:
			o.cycle(need)
		}
	}
	o.chain = o.chain[:len(o.chain)-1]
	o.state[s.order] = 2
	o.done = append(o.done, s)
}

// cycle reports the cycle from the chain's end to s, unless a step of it has
// been in one already: one glob can close thousands.
func (o *ordering) cycle(s *instance) {
	if o.named[s] {
		return
	}
	chain := o.chain[slices.Index(o.chain, s):]
	if slices.ContainsFunc(chain, func(s *instance) bool { return o.named[s] }) {
		return
	}
	var b strings.Builder
	for _, link := range chain {
		o.named[link] = true
		b.WriteString(string(link.id) + " -> ")
	}
	b.WriteString(string(s.id))
	o.faults.add(s.at, "exclude the outputs from the inputs with !, or remove one of the inputs", "steps depend on each other: %s", b.String())
}

func compareNumbers(a, b *packagePlan) int { return cmp.Compare(a.number, b.number) }

// compareDeps is the order of Step.Deps.
func compareDeps(a, b action.Dep) int { return cmp.Compare(a.Step, b.Step) }
