package compile

import (
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// carried are the variables that go with a command: what it makes or says
// depends on them, and they mean the same on every machine. PWD is what gcc
// writes into debugging information, where it is the working directory.
var carried = []string{"GCC_COLORS", "GCC_EXTRA_DIAGNOSTIC_OUTPUT", "GCC_URLS", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "PWD", "SOURCE_DATE_EPOCH", "TERM_URLS", "TZ"}

// binding are the variables that tie a command to its machine.
var binding = []hazard{
	{"COMPILER_PATH", "it changes which programs the compiler runs"},
	{"GCC_EXEC_PREFIX", "it changes which programs the compiler runs"},
	{"GCC_COMPARE_DEBUG", "it compiles twice"},
	{"DEPENDENCIES_OUTPUT", "it writes a further file"},
	{"SUNPRO_DEPENDENCIES", "it writes a further file"},
	{"CC_PRINT_HEADERS", "it writes a further file"},
	{"CC_PRINT_OPTIONS", "it writes a further file"},
	{"CC_PRINT_PROC_STAT", "it writes a further file"},
	{"CC_LOG_DIAGNOSTICS", "it writes a further file"},
	{"CCC_OVERRIDE_OPTIONS", "it changes the arguments"},
	{"OBJC_INCLUDE_PATH", "it is not looked into"},
}

// pathVariables are lists of directories to look for headers in.
var pathVariables = []struct {
	name     string
	chain    Chain
	language Language // "" is every one
}{{"CPATH", Bracket, ""}, {"C_INCLUDE_PATH", System, C}, {"CPLUS_INCLUDE_PATH", System, CXX}}

// environment reads the variables that matter.
func (r *reader) environment() {
	for _, b := range binding {
		if v, ok := r.in.Getenv(b.prefix); ok && v != "" {
			r.c.local("the environment has " + b.prefix + ": " + b.reason)
		}
	}
	for _, p := range pathVariables {
		r.searched(p.name, p.chain, p.language)
	}
	for _, name := range carried {
		if v, ok := r.in.Getenv(name); ok {
			r.c.Env = append(r.c.Env, action.Property{Name: name, Value: v})
		}
	}
	slices.SortFunc(r.c.Env, func(a, b action.Property) int { return strings.Compare(a.Name, b.Name) })
	r.locale()
}

// searched adds the directories of a variable, behind those of the arguments.
func (r *reader) searched(name string, chain Chain, l Language) {
	v, ok := r.in.Getenv(name)
	if !ok || v == "" {
		return
	}
	have := r.c.Language()
	if plus := have == CXX || have == CXXText; l == C && plus || l == CXX && !plus {
		return
	}
	r.c.Env = append(r.c.Env, action.Property{Name: name, Value: v})
	for d := range strings.SplitSeq(v, ":") {
		if d == "" {
			d = "."
		}
		r.c.Dirs = append(r.c.Dirs, Dir{chain, d})
	}
}

// locale takes the character set that gcc would read sources in. UTF-8 and
// plain ASCII are read alike.
func (r *reader) locale() {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		v, _ := r.in.Getenv(name)
		if v == "" {
			continue
		}
		_, set, said := strings.Cut(v, ".")
		set, _, _ = strings.Cut(set, "@")
		set = strings.ToLower(strings.ReplaceAll(set, "-", ""))
		if said && set != "utf8" && set != "" {
			r.c.local("the environment has " + name + "=" + v + ": sources are read in another character set")
		}
		return
	}
}

// conclude decides what the arguments mean together.
func (r *reader) conclude() {
	c := r.c
	c.Dialect = c.dialectOf(r.dialect)
	c.Dialect.Trigraphs = c.Dialect.Trigraphs || r.trigraphs
	r.root()
	c.Random = r.drawn && !r.seeded && c.Family == GCC
	r.decline()
	c.Lists = r.lists()
	switch {
	case r.only:
		c.local(listing)
	case c.Mode == ToLink && !c.Links():
		c.local("it compiles and links at once")
	case c.Mode == ToText:
		c.local("it only preprocesses")
	case c.Mode == ToCheck:
		c.local("it makes nothing")
	}
	switch {
	case len(c.Sources) == 0:
		c.local("it has no source")
	case len(c.Sources) > 1 && c.Mode != ToLink && !c.Lists:
		c.local("it compiles several sources")
	case r.outputs > 1:
		c.local("it has several outputs")
	}
	if c.Output == "-" || strings.HasPrefix(c.Output, "/dev/") {
		c.local("its output is no file")
	}
	if c.Mode != ToObject && len(r.wants) > 0 && (!c.Links() || c.late()) {
		c.local("it writes further files without an object")
	}
	if c.Family == Clang && len(c.Native) > 0 {
		c.local(c.Native[0] + ": clang does not say what that is here")
	}
	r.outputsOf()
}

// decline declines what is not C, C++ or assembler.
func (r *reader) decline() {
	for _, s := range r.c.Sources {
		switch s.Language {
		case C, CXX, CText, CXXText, Assembler, AssemblerCPP, Linked:
		case "c-header", "c++-header", "objective-c-header":
			r.c.local("it makes a precompiled header")
		case "c++-module", "c++-system-header", "c++-user-header", "c++-header-unit-header":
			r.c.local("it makes a module")
		default:
			r.c.local("its language is " + string(s.Language))
		}
	}
}

// outputsOf names what the command makes.
func (r *reader) outputsOf() {
	c := r.c
	if len(c.Sources) != 1 || c.Mode != ToObject && c.Mode != ToAssembly {
		return
	}
	ext := map[Mode]string{ToObject: ".o", ToAssembly: ".s"}[c.Mode]
	if c.Output == "" {
		c.Output = stem(path.Base(c.Sources[0].Path)) + ext
	}
	c.Outputs = append(c.Outputs, c.Output)
	switch {
	case !r.depfile || !c.Language().Preprocessed(): // only the preprocessor writes one
		c.Depfile = ""
	case !r.depended:
		c.Depfile = stem(c.Output) + ".d"
	}
	if c.Depfile == "-" || strings.HasPrefix(c.Depfile, "/dev/") {
		c.local("it writes no file of what it reads")
	}
	more := append([]string{c.Depfile}, c.Fragments...)
	for _, w := range r.wants {
		more = append(more, stem(c.Output)+w)
	}
	for _, o := range more {
		if o != "" && !slices.Contains(c.Outputs, o) {
			c.Outputs = append(c.Outputs, o)
		}
	}
}

// stem is a path without its last ending.
func stem(p string) string {
	if ext := path.Ext(p); ext != path.Base(p) {
		return strings.TrimSuffix(p, ext)
	}
	return p
}
