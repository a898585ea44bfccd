package project

import (
	"slices"

	"github.com/buildnet/buildnet/node/config/near"
)

// field is a key of a mapping: how it is read, and what the published schema
// says about it. The two cannot differ, because there is one table.
type field[T any] struct {
	name   string
	schema schema
	read   func(d *collector, n *node, at place, into *T)
}

var topFields = slices.Concat([]field[Config]{
	{"version", schema{"const": Version, "description": "The version of this format: 1."},
		func(d *collector, n *node, at place, _ *Config) { d.version(n, at) }},
	{"packages", schema{"type": "array", "minItems": 1, "items": ref("package"), "description": "The packages of the project."},
		func(d *collector, n *node, at place, c *Config) { c.packages = d.packages(n, at) }},
	{"toolchains", stringsSchema("Directories, absolute, that every step may read besides the system's own."),
		func(d *collector, n *node, at place, c *Config) { c.toolchains = d.directories(n, at) }},
	{"profile", schema{"type": "string", "description": "The profile that the project is built with where nobody asks for another."},
		func(d *collector, n *node, at place, c *Config) { c.profile = d.text(n, at) }},
}, sharedFields(func(c *Config) *settings { return &c.settings }))

var packageFields = slices.Concat([]field[pkg]{
	{"name", schema{"type": "string", "pattern": namePattern, "description": "What the package is called; it is a target of buildnet build."},
		func(d *collector, n *node, at place, p *pkg) { p.name = said{d.name(n, at), at} }},
	{"path", schema{"type": "string", "default": ".", "description": "The package's directory, from the project's root."},
		func(d *collector, n *node, at place, p *pkg) { p.readPath(d, n, at) }},
	{"dependencies", stringsSchema("Packages whose outputs this one reads."),
		func(d *collector, n *node, at place, p *pkg) { p.deps = d.strings(n, at) }},
	{"sources", globSchema("Globs of the files that every step of the package reads. Without it: with build_cmd all files of the package, with steps none."),
		func(d *collector, n *node, at place, p *pkg) { p.saidSource = true; p.sources = d.globs(n, at, nil) }},
	{"build_cmd", commandSchema("The one command that builds the package. A string is run by /bin/sh -e -c, a list as it is."),
		func(d *collector, n *node, at place, p *pkg) { p.readBuild(d, n, at) }},
	{"steps", schema{"type": "array", "minItems": 1, "items": ref("step"), "description": "The commands that build the package, instead of build_cmd."},
		func(d *collector, n *node, at place, p *pkg) { p.readSteps(d, n, at) }},
	{"output_dir", schema{"type": "string", "description": "The directory that the package makes; it becomes exactly what was made."},
		func(d *collector, n *node, at place, p *pkg) { p.readOutputDir(d, n, at) }},
	{"outputs", stringsSchema("With build_cmd: the files or directories that it makes. With steps: globs of the outputs that dependent packages see, instead of all."),
		func(d *collector, n *node, at place, p *pkg) { p.outputs = d.strings(n, at) }},
	{"hooks", ref("hooks"),
		func(d *collector, n *node, at place, p *pkg) { readMapping(d, n, at, hookFields, &p.hooks) }},
	{"toolchains", stringsSchema("Directories, absolute, that the package's steps may read besides the system's own."),
		func(d *collector, n *node, at place, p *pkg) { p.toolchains = d.directories(n, at) }},
}, sharedFields(func(p *pkg) *settings { return &p.settings }), stepSettings(func(p *pkg) *settings { return &p.settings }))

var stepFields = slices.Concat([]field[step]{
	{"foreach", globSchema("Globs: the step is done once for each file that matches, which is its {in}."),
		func(d *collector, n *node, at place, s *step) { s.readForeach(d, n, at) }},
	{"run", commandSchema("The command. A string is run by /bin/sh -e -c, a list as it is."),
		func(d *collector, n *node, at place, s *step) { s.readRun(d, n, at) }},
	{"inputs", globSchema("Globs of what the step reads: files, and outputs of other steps."),
		func(d *collector, n *node, at place, s *step) { s.readInputs(d, n, at) }},
	{"outputs", stringsSchema("The files or directories that the step makes. Without any it is a check."),
		func(d *collector, n *node, at place, s *step) { s.readOutputs(d, n, at) }},
}, sharedFields(func(s *step) *settings { return &s.settings }), stepSettings(func(s *step) *settings { return &s.settings }))

var hookFields = []field[hooks]{
	{"pre_build", schema{"type": "string", "description": "Run by /bin/sh on the initiator before the package's steps."},
		func(d *collector, n *node, at place, h *hooks) { h.pre = d.text(n, at) }},
	{"post_build", schema{"type": "string", "description": "Run by /bin/sh on the initiator after the package's outputs are in place."},
		func(d *collector, n *node, at place, h *hooks) { h.post = d.text(n, at) }},
}

var platformFields = []field[platform]{
	{"os", schema{"type": "string", "description": "An operating system as Go names it: linux, darwin, windows."},
		func(d *collector, n *node, at place, p *platform) { p.os = d.word(n, at) }},
	{"arch", schema{"type": "string", "description": "An architecture as Go names it: amd64, arm64."},
		func(d *collector, n *node, at place, p *platform) { p.arch = d.word(n, at) }},
}

// sharedFields are the settings that project, package and step have in common.
func sharedFields[T any](of func(*T) *settings) []field[T] {
	return []field[T]{
		{"env", schema{"type": "object", "additionalProperties": schema{"type": []string{"string", "number", "boolean"}}, "description": "Environment variables and their values."},
			func(d *collector, n *node, at place, into *T) { of(into).env = d.environment(n, at) }},
		{"pass_env", stringsSchema("Environment variables whose values come from where the build is asked for."),
			func(d *collector, n *node, at place, into *T) { of(into).passEnv = d.variables(n, at) }},
		{"timeout", schema{"type": "string", "default": "1h", "description": "How long a step may run: 90s, 10m, 1h30m."},
			func(d *collector, n *node, at place, into *T) { of(into).timeout = d.duration(n, at) }},
		{"memory", schema{"type": []string{"string", "integer"}, "description": "How much memory a step may use: 512MiB, 2GB, or bytes."},
			func(d *collector, n *node, at place, into *T) { of(into).memory = d.bytes(n, at) }},
		{"platform", ref("platform"),
			func(d *collector, n *node, at place, into *T) {
				readMapping(d, n, at, platformFields, &of(into).platform)
			}},
	}
}

// stepSettings are the settings that make no sense for a whole project.
func stepSettings[T any](of func(*T) *settings) []field[T] {
	return []field[T]{
		{"tools", stringsSchema("The programs that the step runs; narrows what of the machine is in its key."),
			func(d *collector, n *node, at place, into *T) { of(into).tools = d.tools(n, at) }},
		{"network", schema{"type": "boolean", "default": false, "description": "Whether the step may use the network."},
			func(d *collector, n *node, at place, into *T) { of(into).network = d.boolean(n, at) }},
		{"sandbox", schema{"enum": []string{"full", "none"}, "default": "full", "description": "none: the step runs on the initiator, unisolated, and is not cached for others."},
			func(d *collector, n *node, at place, into *T) { of(into).sandbox = d.sandbox(n, at) }},
	}
}

// readMapping reads the keys of n into into.
func readMapping[T any](d *collector, n *node, at place, fields []field[T], into *T) {
	if n.kind != mapping {
		d.wrong(n, at, "a mapping of keys to values")
		return
	}
	lines := map[string]int{}
	for _, p := range n.pairs {
		where := at.key(p.key, p.line)
		if first, twice := lines[p.key]; twice {
			d.add(where, "keep one of them", "the key stands here twice, first on line %d", first)
			continue
		}
		lines[p.key] = p.line
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == p.key })
		switch {
		case i < 0:
			d.add(where, near.DidYouMean(p.key, fieldNames(fields), "remove it"), "unknown key %q", p.key)
		case p.value.kind == null:
			d.add(where, "give it one, or remove the key", "the key has no value")
		default:
			fields[i].read(d, p.value, where, into)
		}
	}
}

func fieldNames[T any](fields []field[T]) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}
