package project

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/buildnet/buildnet/sched/action"
)

// namePattern leaves out the colon, which parts package from step, and space.
const namePattern = `^[A-Za-z0-9@_][A-Za-z0-9@_./+-]*$`

var (
	nameFormat     = regexp.MustCompile(namePattern)
	variableFormat = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	wordFormat     = regexp.MustCompile(`^[a-z0-9_]+$`)
	// A path is no tool: a peer is asked for the same tool, and where it has
	// its programs is its own affair.
	toolFormat = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
)

// Limits of what a toolchain's digest is of; node/toolchain refuses more.
const (
	maxTools      = 100
	maxToolchains = 50 // of the project, and again of a package
)

func decodeConfig(root *node, faults *collector) *Config {
	c := &Config{limits: standardLimits}
	readMapping(faults, root, place{line: root.line}, topFields, c)
	if root.kind != mapping {
		return c
	}
	top := place{line: root.line}
	if !root.has("version") {
		faults.add(top, "add \"version: 1\"", "the version is missing")
	}
	if !root.has("packages") {
		faults.add(top, "add a list of packages", "packages are missing")
	}
	c.settings.check(faults, top)
	return c
}

func (n *node) has(key string) bool {
	return slices.ContainsFunc(n.pairs, func(p pair) bool { return p.key == key })
}

// wrong reports a value of another type than is needed.
func (c *collector) wrong(n *node, at place, want string) {
	at.line = n.line
	c.add(at, "write "+want, "this is %s", n.kind)
}

func (c *collector) text(n *node, at place) string {
	if n.kind != text {
		what := "a string"
		if n.kind == number || n.kind == boolean {
			what = fmt.Sprintf("a string: %q", n.text)
		}
		c.wrong(n, at, what)
		return ""
	}
	if strings.ContainsRune(n.text, 0) {
		c.add(at, "remove it", "the string contains a NUL byte")
		return ""
	}
	if n.text == "" {
		c.add(at, "fill it in, or remove it", "the string is empty")
	}
	return n.text
}

// strings reads a list of strings.
func (c *collector) strings(n *node, at place) []said {
	if n.kind != list {
		c.wrong(n, at, "a list of strings")
		return nil
	}
	all := make([]said, 0, len(n.items))
	for i, item := range n.items {
		where := at.item(i, item.line)
		if s := c.text(item, where); s != "" {
			all = append(all, said{s, where})
		}
	}
	return all
}

func (c *collector) version(n *node, at place) {
	if n.kind != number {
		c.wrong(n, at, "the number 1")
		return
	}
	if n.text != strconv.Itoa(Version) {
		c.add(at, "write \"version: 1\", or install a newer BuildNet", "version %s is not known", n.text)
	}
}

func (c *collector) packages(n *node, at place) []*pkg {
	if n.kind != list {
		c.wrong(n, at, "a list of packages")
		return nil
	}
	if len(n.items) == 0 {
		c.add(at, "add a package", "there are no packages")
	}
	var all []*pkg
	for i, item := range n.items {
		where := at.item(i, item.line)
		p := &pkg{at: where, order: i}
		readMapping(c, item, where, packageFields, p)
		if item.kind != mapping {
			continue
		}
		if !item.has("name") {
			c.add(where, "add name", "the package has no name")
		}
		p.broken = p.broken || item.has("steps") && p.steps == nil || item.has("build_cmd") && !p.build.set
		p.settings.check(c, where)
		all = append(all, p)
	}
	return all
}

func (c *collector) name(n *node, at place) string {
	s := c.text(n, at)
	if s != "" && !nameFormat.MatchString(s) {
		c.add(at, "use letters, digits and @ _ . / + -, beginning with a letter or digit", "%q cannot be a package's name", s)
		return ""
	}
	return s
}

// within reads a path that stays below the directory called base.
func (c *collector) within(n *node, at place, base string) (string, bool) {
	s := c.text(n, at)
	if s == "" {
		return "", false
	}
	clean, fault := cleanWithin(s)
	if fault != "" {
		c.add(at, "write a path below "+base, "%q %s", s, fault)
		return "", false
	}
	return clean, true
}

// cleanWithin returns p in its shortest form, "" for the directory itself, or
// else what is wrong with it.
func cleanWithin(p string) (clean, fault string) {
	clean = path.Clean(p)
	switch {
	case path.IsAbs(p):
		return "", "is an absolute path"
	case clean == "." || clean == "":
		return "", ""
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", "leads out of the tree"
	case !action.CleanPath(clean):
		return "", "contains a backslash, a newline or a NUL byte"
	case inReserved(clean):
		return "", "is in a directory that belongs to git or to BuildNet"
	}
	return clean, ""
}

func inReserved(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".git" || part == ".buildnet" {
			return true
		}
	}
	return false
}

func (p *pkg) readPath(d *collector, n *node, at place) {
	clean, ok := d.within(n, at, "the project's root")
	p.path, p.broken = clean, p.broken || !ok
}

func (p *pkg) readBuild(d *collector, n *node, at place) {
	cmd, ok := d.command(n, at)
	p.build, p.broken = cmd, p.broken || !ok
}

func (p *pkg) readOutputDir(d *collector, n *node, at place) {
	clean, ok := d.within(n, at, "the package's path")
	switch {
	case !ok:
		p.broken = true
	case clean == "":
		d.add(at, "name a directory below it", "the package's own directory cannot be its output")
		p.broken = true
	default:
		p.outputDir = &said{clean, at}
	}
}

func (p *pkg) readSteps(d *collector, n *node, at place) {
	if n.kind != list {
		d.wrong(n, at, "a list of steps")
		return
	}
	if len(n.items) == 0 {
		d.add(at, "add a step, or use build_cmd", "there are no steps")
		return
	}
	for i, item := range n.items {
		where := at.item(i, item.line)
		s := &step{at: where, number: i + 1}
		readMapping(d, item, where, stepFields, s)
		if item.kind == mapping && !item.has("run") {
			d.add(where, "add run", "the step has no command")
		}
		s.broken = s.broken || !s.run.set
		s.settings.check(d, where)
		p.steps = append(p.steps, s)
	}
}

func (s *step) readRun(d *collector, n *node, at place) {
	cmd, ok := d.command(n, at)
	s.run, s.broken = cmd, s.broken || !ok
}

func (s *step) readForeach(d *collector, n *node, at place) {
	s.foreach = d.globs(n, at, nil)
	s.broken = s.broken || !s.foreach.set
}

func (s *step) readInputs(d *collector, n *node, at place) {
	s.inputs = d.globs(n, at, matchPlaceholders)
	s.broken = s.broken || !s.inputs.set
}

func (s *step) readOutputs(d *collector, n *node, at place) {
	for _, one := range d.strings(n, at) {
		t, err := parseTemplate(one.text, matchPlaceholders)
		if err != nil {
			d.add(one.at, err.do, "%s", err.what)
			s.broken = true
			continue
		}
		s.outputs = append(s.outputs, outputPath{one.at, t})
	}
	s.broken = s.broken || n.kind != list || len(s.outputs) != len(n.items)
}

// command reads a string or a list of strings.
func (c *collector) command(n *node, at place) (cmd command, ok bool) {
	cmd = command{at: at, shell: n.kind == text}
	words := []*node{n}
	switch {
	case n.kind == list:
		words = n.items
	case n.kind != text:
		c.wrong(n, at, "a string for the shell, or a list of strings")
		return command{}, false
	}
	if len(words) == 0 || words[0].scalar() && strings.TrimSpace(words[0].text) == "" {
		c.add(at, "name a program", "the command is empty")
		return command{}, false
	}
	ok = true
	for i, w := range words {
		where := at
		if n.kind == list {
			where = at.item(i, w.line)
		}
		t, fine := c.argument(w, where)
		cmd.parts = append(cmd.parts, t)
		ok = ok && fine
	}
	cmd.set = true
	return cmd, ok
}

// scalar reports whether n is text, a number or a boolean.
func (n *node) scalar() bool { return n.kind == text || n.kind == number || n.kind == boolean }

// argument reads a word of a command.
func (c *collector) argument(w *node, at place) (template, bool) {
	if !w.scalar() {
		c.wrong(w, at, "a string")
		return nil, false
	}
	if strings.ContainsRune(w.text, 0) {
		c.add(at, "remove it", "the string contains a NUL byte")
		return nil, false
	}
	t, err := parseTemplate(w.text, allPlaceholders)
	if err != nil {
		c.add(at, err.do, "%s", err.what)
		return nil, false
	}
	return t, true
}

func (c *collector) directories(n *node, at place) []string {
	var dirs []string
	for _, d := range c.strings(n, at) {
		switch {
		case !path.IsAbs(d.text) || strings.ContainsAny(d.text, ":\n"):
			c.add(d.at, "write an absolute path without a colon, such as /opt/toolchain", "%q cannot be a toolchain's directory", d.text)
		case path.Clean(d.text) == "/":
			c.add(d.at, "name the directory that holds the toolchain", "the whole file system cannot be a toolchain")
		default:
			dirs = append(dirs, path.Clean(d.text))
		}
	}
	if len(dirs) > maxToolchains {
		c.add(at, "name directories further up", "there are more than %d toolchains", maxToolchains)
	}
	return dirs
}

func (c *collector) environment(n *node, at place) map[string]string {
	if n.kind != mapping {
		c.wrong(n, at, "a mapping of variables to values")
		return nil
	}
	env := map[string]string{}
	for _, p := range n.pairs {
		where := at.key(p.key, p.line)
		_, twice := env[p.key]
		switch {
		case twice:
			c.add(where, "keep one of them", "the variable stands here twice")
		case !c.isVariable(p.key, where):
		case p.value.kind == list || p.value.kind == mapping || p.value.kind == null:
			c.wrong(p.value, where, "a string (\"\" for an empty one)")
		case strings.ContainsRune(p.value.text, 0):
			c.add(where, "remove it", "the value contains a NUL byte")
		default:
			env[p.key] = p.value.text
		}
	}
	return env
}

func (c *collector) isVariable(name string, at place) bool {
	if variableFormat.MatchString(name) {
		return true
	}
	c.add(at, "use letters, digits and _", "%q cannot be an environment variable", name)
	return false
}

func (c *collector) variables(n *node, at place) []string {
	var names []string
	for _, v := range c.strings(n, at) {
		if c.isVariable(v.text, v.at) && !slices.Contains(names, v.text) {
			names = append(names, v.text)
		}
	}
	return names
}

func (c *collector) duration(n *node, at place) time.Duration {
	if n.kind != text {
		c.wrong(n, at, "a duration: 90s, 10m, 1h30m")
		return 0
	}
	d, err := time.ParseDuration(n.text)
	if err != nil || d <= 0 {
		c.add(at, "write a positive duration: 90s, 10m, 1h30m", "%q is no duration", n.text)
		return 0
	}
	return d
}

func (c *collector) bytes(n *node, at place) int64 {
	if n.kind != text && n.kind != number {
		c.wrong(n, at, "a size: 512MiB, 2GB, or bytes")
		return 0
	}
	size, err := humanize.ParseBytes(n.text)
	if err != nil || size == 0 || size > math.MaxInt64 || strings.HasPrefix(n.text, "-") {
		c.add(at, "write 512MiB, 2GB, or a number of bytes", "%q is no size", n.text)
		return 0
	}
	return int64(size)
}

func (c *collector) word(n *node, at place) string {
	s := c.text(n, at)
	if s != "" && !wordFormat.MatchString(s) {
		c.add(at, "write it as Go does: linux, darwin, windows; amd64, arm64", "%q names no platform", s)
		return ""
	}
	return s
}

func (c *collector) tools(n *node, at place) []string {
	names := []string{}
	for _, t := range c.strings(n, at) {
		if !toolFormat.MatchString(t.text) {
			c.add(t.at, "name a program by its name alone, and its directory under toolchains", "%q cannot be a tool", t.text)
			continue
		}
		names = append(names, t.text)
	}
	if n.kind == list && len(n.items) == 0 {
		c.add(at, "name the programs that the step runs, or remove the key", "the list is empty")
	}
	if len(names) > maxTools {
		c.add(at, "remove the key, so that the step sees the host as it is", "there are more than %d tools", maxTools)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *collector) boolean(n *node, at place) choice {
	switch {
	case n.kind != boolean:
		c.wrong(n, at, "true or false")
		return open
	case n.text == "true":
		return yes
	default:
		return no
	}
}

func (c *collector) sandbox(n *node, at place) choice {
	switch s := n.text; {
	case n.kind == text && s == "full":
		return yes
	case n.kind == text && s == "none":
		return no
	default:
		c.add(at, "write full or none", "%q is no sandbox", s)
		return open
	}
}

// check refuses a variable that is both set and passed.
func (s *settings) check(faults *collector, at place) {
	for _, name := range s.passEnv {
		if _, set := s.env[name]; set {
			faults.add(at.key("pass_env", at.line), "keep it in one of them", "%s is in env as well", name)
		}
	}
}
