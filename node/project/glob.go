package project

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globs is a list of globs: what one of them includes and none excludes.
type globs struct {
	set  bool
	list []glob
}

// glob is one of a list. Its text has placeholders only in a step's inputs.
type glob struct {
	at      place
	exclude bool
	rooted  bool // from the project's root, not from the package's path
	text    template
}

// globs reads a list of globs, or a single one.
func (c *collector) globs(n *node, at place, allowed []string) globs {
	var all []said
	if n.kind == text {
		all = []said{{c.text(n, at), at}}
	} else {
		all = c.strings(n, at)
	}
	g := globs{set: n.kind == text || n.kind == list && len(all) == len(n.items)}
	includes := false
	for _, one := range all {
		parsed, err := parseGlob(one, allowed)
		if err != nil {
			c.add(one.at, err.do, "%s", err.what)
			g.set = false
			continue
		}
		includes = includes || !parsed.exclude
		g.list = append(g.list, parsed)
	}
	if g.set && len(g.list) > 0 && !includes {
		c.add(at, "add what it is to match, such as \"**\"", "all of these globs exclude")
	}
	return g
}

func parseGlob(one said, allowed []string) (glob, *templateError) {
	if one.text == "" {
		return glob{}, &templateError{"the glob is empty", "remove it"}
	}
	t, err := parseTemplate(one.text, allowed)
	if err == nil {
		err = checkGlob(one.text)
	}
	if err != nil {
		return glob{}, err
	}
	g := glob{at: one.at, text: t}
	if rest, ok := strings.CutPrefix(t[0].literal, "!"); ok {
		g.exclude, t[0].literal = true, rest
	}
	if rest, ok := strings.CutPrefix(t[0].literal, "/"); ok {
		g.rooted, t[0].literal = true, rest
	}
	t[0].literal = strings.TrimPrefix(t[0].literal, "./")
	return g, nil
}

// checkGlob finds what is wrong with the form of a glob.
func checkGlob(s string) *templateError {
	body := strings.TrimPrefix(strings.TrimPrefix(s, "!"), "/")
	body = strings.TrimPrefix(body, "./")
	switch {
	case body == "":
		return &templateError{"the glob is empty", "name what it is to match, such as \"**\""}
	case !doublestar.ValidatePattern(body):
		return &templateError{"the glob cannot be read", "close its brackets and braces"}
	case strings.HasSuffix(body, "/"):
		return &templateError{"the glob names a directory", "write " + s + "** for the files in it"}
	}
	for part := range strings.SplitSeq(body, "/") {
		switch part {
		case "..":
			return &templateError{"the glob leads upwards", "begin it with / to go from the project's root"}
		case "", ".":
			return &templateError{"the glob has an empty part", "write it without // and without ."}
		}
	}
	return nil
}

// pattern is a glob laid out from the project's root.
type pattern struct {
	// base is the directory that all matches are in, "" for the root.
	base string
	// rest matches below base; "" for a pattern without wildcards.
	rest string
	// literal is the one path that a pattern without wildcards matches.
	literal string
}

// from returns the directory that g is relative to, for a package at dir.
func (g glob) from(dir string) string {
	if g.rooted {
		return ""
	}
	return dir
}

// compile lays out a glob's text, which is relative to dir. It is not ok if
// the glob leads out of the tree.
func compile(dir, text string) (p pattern, ok bool) {
	base, rest := doublestar.SplitPattern(text)
	if base == "." {
		base = ""
	}
	base = clean(path.Join(dir, base))
	if base == ".." || strings.HasPrefix(base, "../") || path.IsAbs(base) {
		return pattern{}, false
	}
	if !strings.ContainsAny(rest, `*?[{\`) {
		return pattern{base: base, literal: clean(path.Join(base, rest))}, true
	}
	if literal, ok := unescape(rest); ok {
		return pattern{base: base, literal: clean(path.Join(base, literal))}, true
	}
	return pattern{base: base, rest: rest}, true
}

func clean(p string) string {
	if p == "." {
		return ""
	}
	return p
}

// unescape returns the name that a pattern whose wildcards are all escaped
// stands for.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case strings.IndexByte(`*?[{`, c) >= 0:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// escapeGlob makes a name a pattern that matches it alone.
func escapeGlob(s string) string {
	if !strings.ContainsAny(s, `*?[]{}\`) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`*?[]{}\`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// matches reports whether p matches a path.
func (p pattern) matches(file string) bool {
	if p.rest == "" {
		return file == p.literal
	}
	below := file
	if p.base != "" {
		var ok bool
		if below, ok = strings.CutPrefix(file, p.base+"/"); !ok {
			return false
		}
	}
	return doublestar.MatchUnvalidated(p.rest, below)
}

// index finds the paths that a pattern matches without trying it on all.
type index struct {
	paths  []string // sorted, each once
	number map[string]int
	// named holds paths by their last element, for patterns such as **/go.mod.
	named map[string][]int
	cache map[pattern][]int
}

// newIndex takes ownership of paths.
func newIndex(paths []string) *index {
	slices.Sort(paths)
	x := &index{paths: slices.Compact(paths), cache: map[pattern][]int{}}
	x.number = make(map[string]int, len(x.paths))
	for i, p := range x.paths {
		x.number[p] = i
	}
	return x
}

// match returns the numbers of the paths that p matches, in order. The caller
// must not change them.
func (x *index) match(p pattern) []int {
	if p.rest == "" {
		if i, ok := x.number[p.literal]; ok {
			return []int{i}
		}
		return nil
	}
	found, ok := x.cache[p]
	if !ok {
		found = x.scan(p)
		x.cache[p] = found
	}
	return found
}

func (x *index) scan(p pattern) []int {
	var found []int
	if last := path.Base(p.rest); !strings.ContainsAny(last, `*?[]{},\`) {
		for _, i := range x.byName(last) {
			if p.matches(x.paths[i]) {
				found = append(found, i)
			}
		}
		return found
	}
	from, to := x.below(p.base)
	for i := from; i < to; i++ {
		if p.matches(x.paths[i]) {
			found = append(found, i)
		}
	}
	return found
}

func (x *index) byName(name string) []int {
	if x.named == nil {
		x.named = map[string][]int{}
		for i, p := range x.paths {
			x.named[path.Base(p)] = append(x.named[path.Base(p)], i)
		}
	}
	return x.named[name]
}

// below returns the range of the paths in directory dir.
func (x *index) below(dir string) (from, to int) {
	if dir == "" {
		return 0, len(x.paths)
	}
	// "0" is the byte after "/".
	return sort.SearchStrings(x.paths, dir+"/"), sort.SearchStrings(x.paths, dir+"0")
}
