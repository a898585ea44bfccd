package project

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/config/near"
)

// Version is the version of the configuration format that Parse reads.
const Version = 1

// Config is a configuration whose text could be read.
type Config struct {
	name       string
	faults     []Fault // of the text; Plan reports them again
	limits     limits
	settings   settings
	toolchains []string
	profile    string
	packages   []*pkg
}

// Profile names the profile that the project is built with, or is "".
func (c *Config) Profile() string { return c.profile }

// settings are what may be said for the project, for a package or for a step;
// the narrower wins.
type settings struct {
	env      map[string]string
	passEnv  []string
	timeout  time.Duration // 0: not said
	memory   int64         // 0: not said
	platform platform
	tools    []string // nil: not said
	network  choice
	sandbox  choice // yes: full, no: none
}

type platform struct {
	os, arch string
}

// choice is a boolean that may be left open.
type choice uint8

const (
	open choice = iota
	yes
	no
)

// said is a string of the configuration, with where it stands.
type said struct {
	text string
	at   place
}

// pkg is a package as it was written.
type pkg struct {
	at         place
	order      int // in the file
	name       said
	path       string // clean, "" for the root
	deps       []said
	sources    globs
	saidSource bool
	build      command
	steps      []*step
	outputDir  *said // relative to the package
	outputs    []said
	hooks      hooks
	toolchains []string
	settings   settings
	// broken is set where faults keep outputs from being known.
	broken bool
}

type hooks struct {
	pre, post string
}

// step is an entry of steps, or a package's build_cmd.
type step struct {
	at       place
	number   int // in the package, from 1
	foreach  globs
	run      command
	inputs   globs
	outputs  []outputPath
	settings settings
	broken   bool
}

// command is what a step runs: a shell's text, or a program and its arguments.
type command struct {
	at    place
	set   bool
	shell bool
	parts []template // one for a shell
}

// outputPath is a declared output, placeholders and all.
type outputPath struct {
	at   place
	text template
}

// Parse reads a configuration. name ends with .yaml, .yml or .json and is
// what faults are reported under.
//
// The error is a *Faults. If the text could be read at all, the Config comes
// with it, and its Plan reports these faults together with those that it
// finds itself: whoever wants all of them at once goes on to Plan unless the
// Config is nil.
func Parse(name string, src []byte) (*Config, error) {
	faults := &collector{file: name}
	root := readSource(name, src, faults)
	if root == nil {
		return nil, faults.err()
	}
	c := decodeConfig(root, faults)
	if root.kind != mapping {
		return nil, faults.err()
	}
	c.check(faults)
	c.name, c.faults = name, faults.list
	return c, faults.err()
}

func readSource(name string, src []byte, faults *collector) *node {
	switch {
	case len(src) > maxSourceBytes:
		faults.add(place{}, "generate a smaller one, with foreach", "the configuration has %d bytes, the limit is %d", len(src), maxSourceBytes)
		return nil
	case strings.TrimSpace(string(src)) == "":
		faults.add(place{}, "begin with \"version: 1\" and a list of packages", "the configuration is empty")
		return nil
	}
	switch path.Ext(name) {
	case ".json":
		return readJSON(src, faults)
	case ".yaml", ".yml":
		return readYAML(src, faults)
	default:
		faults.add(place{}, "call it config.yaml or config.json", "the name ends with neither .yaml nor .json")
		return nil
	}
}

// check finds the faults that concern more than one value.
func (c *Config) check(faults *collector) {
	names := map[string]*pkg{}
	for _, p := range c.packages {
		if p.name.text == "" {
			continue
		}
		if first, twice := names[p.name.text]; twice {
			faults.add(p.name.at, "rename one of them", "two packages are called %q, the first on line %d", p.name.text, first.name.at.line)
			continue
		}
		names[p.name.text] = p
		p.checkShape(faults)
	}
	c.checkDependencies(names, faults)
}

// checkShape finds what a package may not say at once, or must say.
func (p *pkg) checkShape(faults *collector) {
	switch {
	case p.build.set && p.steps != nil:
		faults.add(p.at, "keep one: build_cmd for one action, steps for several", "package %q has both build_cmd and steps", p.name.text)
		p.broken = true
	case !p.build.set && p.steps == nil && !p.broken:
		faults.add(p.at, "add build_cmd, or steps", "package %q has neither build_cmd nor steps", p.name.text)
	}
	if p.outputDir != nil && len(p.outputs) > 0 {
		faults.add(p.outputDir.at, "keep one of them", "package %q has both output_dir and outputs", p.name.text)
	}
	for _, s := range p.steps {
		s.checkPlaceholders(faults)
	}
	if p.build.set {
		whole := step{run: p.build}
		whole.checkPlaceholders(faults)
		p.broken = p.broken || whole.broken
	}
}

// checkPlaceholders refuses the parts of a matched file where none is matched.
func (s *step) checkPlaceholders(faults *collector) {
	if s.foreach.set {
		return
	}
	refuse := func(t template, at place) {
		if name := t.ofMatch(); name != "" {
			faults.add(at, "add foreach, or name the file", "{%s} stands for the file that foreach matched, and there is no foreach", name)
			s.broken = true
		}
	}
	for _, t := range s.run.parts {
		refuse(t, s.run.at)
	}
	for _, o := range s.outputs {
		refuse(o.text, o.at)
	}
	for _, g := range s.inputs.list {
		refuse(g.text, g.at)
	}
}

// checkDependencies finds dependencies on nothing, and cycles; it leaves each
// package with dependencies that exist.
func (c *Config) checkDependencies(names map[string]*pkg, faults *collector) {
	all := make([]string, 0, len(names))
	for _, p := range c.packages {
		all = append(all, p.name.text)
	}
	for _, p := range c.packages {
		known := p.deps[:0]
		seen := map[string]bool{}
		for _, d := range p.deps {
			switch {
			case names[d.text] == nil:
				faults.add(d.at, near.DidYouMean(d.text, all, "add it under packages, or remove it here"), "there is no package %q", d.text)
			case seen[d.text]:
				faults.add(d.at, "remove one of them", "%q stands here twice", d.text)
			default:
				known = append(known, d)
			}
			seen[d.text] = true
		}
		p.deps = known
	}
	c.cutCycles(names, faults)
}

// cutCycles reports each dependency that closes a cycle and removes it, so
// that Plan has an order to go by.
func (c *Config) cutCycles(names map[string]*pkg, faults *collector) {
	done := map[*pkg]bool{}
	var chain []*pkg
	var visit func(p *pkg)
	visit = func(p *pkg) {
		chain = append(chain, p)
		kept := p.deps[:0:0]
		for _, d := range p.deps {
			next := names[d.text]
			if i := indexOf(chain, next); i >= 0 {
				faults.add(d.at, "remove one of these dependencies", "packages depend on each other: %s", cycleText(chain[i:]))
				continue
			}
			kept = append(kept, d)
			if !done[next] {
				visit(next)
			}
		}
		p.deps = kept
		chain = chain[:len(chain)-1]
		done[p] = true
	}
	for _, p := range c.packages {
		if !done[p] && names[p.name.text] == p {
			visit(p)
		}
	}
}

func indexOf(chain []*pkg, p *pkg) int {
	for i, q := range chain {
		if q == p {
			return i
		}
	}
	return -1
}

func cycleText(chain []*pkg) string {
	var b strings.Builder
	for _, p := range chain {
		fmt.Fprintf(&b, "%s -> ", p.name.text)
	}
	return b.String() + chain[0].name.text
}
