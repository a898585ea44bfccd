package compile

import (
	"regexp"
	"slices"
	"strings"
)

// reader reads the arguments of one command.
type reader struct {
	c    *Command
	in   Setting
	args []string
	i    int

	plusplus bool // the driver takes .c for C++
	language Language
	forced   bool // -x names the language
	prefix   string
	prefixed bool // there was an -iprefix
	prefixes []Dir
	sysroot  string // --sysroot
	isysroot string

	depfile, depended bool // -MD; -MF
	only              bool // -M: nothing is compiled
	outputs           int  // how many -o
	wants             []string
	dialect           string
	trigraphs         bool
	drawn, seeded     bool // see Command.Random
}

// option is one that takes a value.
type option struct {
	flag string
	how  how
	do   func(r *reader, value string)
}

// how a value is given.
type how uint8

const (
	either   how = iota // -Idir, -I dir
	separate            // -Xclang x
	joined              // -std=c99
)

// options are those with a value, longest first where one begins another.
var options []option

func init() {
	dir := func(chain Chain) func(*reader, string) {
		return func(r *reader, v string) { r.dir(chain, v) }
	}
	ignore := func(*reader, string) {}
	ask := func(flag string, how how) option {
		return option{flag, how, func(r *reader, v string) { r.ask(flag, how, v) }}
	}
	local := func(flag string, how how, reason string) option {
		return option{flag, how, func(r *reader, _ string) { r.c.local(flag + ": " + reason) }}
	}
	options = []option{
		{"-I", either, dir(Bracket)},
		{"-iquote", either, dir(Quote)},
		{"-isystem", either, dir(System)},
		{"-idirafter", either, dir(After)},
		{"-iprefix", either, func(r *reader, v string) { r.prefix, r.prefixed = v, true }},
		{"-iwithprefix", either, func(r *reader, v string) { r.withPrefix(After, v) }},
		{"-iwithprefixbefore", either, func(r *reader, v string) { r.withPrefix(Bracket, v) }},
		{"-include", either, func(r *reader, v string) { r.force(v, false) }},
		{"-imacros", either, func(r *reader, v string) { r.force(v, true) }},
		{"--include-directory=", joined, dir(Bracket)},
		{"--embed-dir=", joined, func(r *reader, v string) { r.c.EmbedDirs = append(r.c.EmbedDirs, v) }},
		{"-D", either, (*reader).define},
		{"-U", either, ignore},
		{"-A", either, ignore},
		{"-o", either, func(r *reader, v string) { r.c.Output = v; r.outputs++ }},
		{"-x", either, (*reader).setLanguage},
		{"-MF", either, func(r *reader, v string) { r.c.Depfile, r.depended = v, true }},
		{"-MT", either, ignore},
		{"-MQ", either, ignore},
		{"-MJ", either, func(r *reader, v string) { r.c.Fragments = append(r.c.Fragments, v) }},
		{"-std=", joined, func(r *reader, v string) { r.dialect = v }},
		{"--std=", joined, func(r *reader, v string) { r.dialect = v }},
		{"--param=", joined, ignore},
		{"--param", separate, ignore},
		{"-Wp,", joined, (*reader).preprocessor},
		{"-Wa,", joined, (*reader).assembler},
		{"-Xpreprocessor", separate, (*reader).preprocessor},
		{"-Xassembler", separate, (*reader).assembler},
		{"-Wl,", joined, func(r *reader, v string) { r.link(strings.Split(v, ",")...) }},
		{"-Xlinker", separate, func(r *reader, v string) { r.link(v) }},
		{"-l", either, func(r *reader, v string) { r.link("-l", v) }},
		{"-L", either, func(r *reader, v string) { r.link("-L", v) }},
		{"-T", either, func(r *reader, v string) { r.link("-T", v) }},
		{"-u", either, func(r *reader, v string) { r.link("-u", v) }},
		{"-z", separate, func(r *reader, v string) { r.link("-z", v) }},
		{"-e", separate, func(r *reader, v string) { r.link("-e", v) }},
		{"--sysroot=", joined, func(r *reader, v string) { r.sysroot = v; r.ask("--sysroot=", joined, v) }},
		{"--sysroot", separate, func(r *reader, v string) { r.sysroot = v; r.ask("--sysroot=", joined, v) }},
		{"-isysroot", either, func(r *reader, v string) { r.isysroot = v; r.ask("-isysroot", separate, v) }},
		ask("-imultilib", separate), ask("-target", separate), ask("--target=", joined), ask("--gcc-toolchain=", joined),
		ask("-gcc-toolchain", separate), ask("-stdlib=", joined), ask("-resource-dir", either), ask("-stdlib++-isystem", either), ask("-cxx-isystem", either),
		local("-isystem-after", either, "it is not looked into"),
		local("-B", either, "it changes which programs the compiler runs"),
		local("-specs=", joined, "it changes what the compiler does"),
		local("--specs=", joined, "it changes what the compiler does"),
		local("-specs", separate, "it changes what the compiler does"),
		local("-wrapper", separate, "it runs another program"),
		local("-Xclang", separate, "it is not known what it reads or writes"),
		local("-mllvm", separate, "it is not known what it reads or writes"),
		local("-include-pch", separate, "it reads a precompiled header"),
		local("-aux-info", either, "it writes a further file"),
		local("-dumpbase", separate, "it names files that are not known"),
		local("-dumpbase-ext", separate, "it names files that are not known"),
		local("-dumpdir", separate, "it names files that are not known"),
		local("-F", either, "frameworks are not looked into"),
		local("-iframework", either, "frameworks are not looked into"),
		local("-framework", separate, "frameworks are not looked into"),
		local("-arch", separate, "it compiles for several machines"),
		local("-Xarch_host", separate, "it compiles for several machines"),
		local("-working-directory", either, "it works elsewhere"),
		local("--config", either, "it reads further arguments"),
		local("-ivfsoverlay", either, "its files are not where they seem to be"),
	}
	slices.SortStableFunc(options, func(a, b option) int { return len(b.flag) - len(a.flag) })
}

// read takes one argument after the other.
func (r *reader) read() {
	for r.i = 0; r.i < len(r.args); r.i++ {
		arg, first := r.args[r.i], r.i
		switch {
		case arg == "-":
			r.c.local("it compiles what is typed into it")
		case len(arg) < 2 || arg[0] != '-':
			r.source(arg)
		case r.single(arg), r.valued(arg):
		default:
			r.flag(arg)
		}
		if !ofOutputs.MatchString(arg) {
			r.c.bare = append(r.c.bare, r.args[first:min(r.i+1, len(r.args))]...)
		}
	}
	r.c.Dirs = append(r.c.Dirs, r.prefixes...) // drivers pass -I first
}

// ofOutputs matches the arguments that say what is made, and how far to go.
var ofOutputs = regexp.MustCompile(`^(-c|-S|-E|-M[MDPG]?|-MMD|-MG|-(o|MF|MT|MQ|MJ).*|-Wp,-M.*)$`)

// valued takes an option with its value.
func (r *reader) valued(arg string) bool {
	for _, o := range options {
		if arg == o.flag && o.how != joined {
			r.i++
			if r.i >= len(r.args) {
				r.c.local(arg + " has no value")
				return true
			}
			o.do(r, r.args[r.i])
			return true
		}
		if v, ok := strings.CutPrefix(arg, o.flag); ok && o.how != separate && v != "" {
			o.do(r, v)
			return true
		}
	}
	return false
}

func (r *reader) link(words ...string) { r.c.Linker = append(r.c.Linker, words...) }

func (r *reader) ask(flag string, how how, v string) {
	if how == joined {
		r.c.Asking = append(r.c.Asking, flag+v)
	} else {
		r.c.Asking = append(r.c.Asking, flag, v)
	}
}

// dir adds a directory.
func (r *reader) dir(chain Chain, v string) {
	if v == "-" {
		r.c.local("-I-: it is not looked into")
		return
	}
	r.c.Dirs = append(r.c.Dirs, Dir{chain, v})
}

// root puts the system root where a directory begins with = or $SYSROOT, which
// is the last one given.
func (r *reader) root() {
	for i, d := range r.c.Dirs {
		for _, mark := range []string{"=", "$SYSROOT"} {
			rest, ok := strings.CutPrefix(d.Path, mark)
			switch {
			case !ok:
			case r.sysroot == "" || r.isysroot != "":
				r.c.local("-I=: the compiler's own system root is not known")
			default:
				r.c.Dirs[i].Path = r.sysroot + rest
			}
		}
	}
}

func (r *reader) withPrefix(chain Chain, v string) {
	if !r.prefixed {
		r.c.local("-iwithprefix: the compiler's own prefix is not known")
		return
	}
	r.prefixes = append(r.prefixes, Dir{chain, r.prefix + v})
}

func (r *reader) force(v string, macros bool) {
	if v == "" {
		r.c.local("-include has no value")
		return
	}
	r.c.Forced = append(r.c.Forced, Forced{v, macros})
}

// define notes a macro. One with parameters is of its name alone.
func (r *reader) define(v string) {
	name, value, given := strings.Cut(v, "=")
	if !given {
		value = "1"
	}
	if f, _, is := strings.Cut(name, "("); is {
		name, value = f, "("
	}
	r.c.Macros = append(r.c.Macros, Macro{name, value})
}

func (r *reader) setLanguage(v string) {
	if v == "none" {
		r.forced = false
		return
	}
	r.language, r.forced = Language(v), true
}

// preprocessor takes what goes to the preprocessor: as it stands, or by commas.
func (r *reader) preprocessor(v string) {
	words := strings.Split(v, ",")
	switch words[0] {
	case "-MD", "-MMD":
		r.depfile = true
		if len(words) == 2 {
			r.c.Depfile, r.depended = words[1], true
			return
		}
	case "-MP", "-U", "-undef":
		return
	}
	for _, p := range []string{"-D", "-U"} {
		if m, ok := strings.CutPrefix(v, p); ok && m != "" && !strings.Contains(m, ",") {
			if p == "-D" {
				r.define(m)
			}
			return
		}
	}
	r.c.local("-Wp," + v + ": it is not looked into")
}

// harmless are arguments of the assembler that name no file.
var harmless = []string{"--noexecstack", "--execstack", "--fatal-warnings", "--no-warn", "-W", "--warn", "-g", "--gdwarf", "-m", "--32", "--64", "--compress-debug-sections", "--generate-missing-build-notes", "-L", "--keep-locals"}

func (r *reader) assembler(v string) {
	for w := range strings.SplitSeq(v, ",") {
		if !slices.ContainsFunc(harmless, func(h string) bool { return strings.HasPrefix(w, h) }) {
			r.c.local("-Wa," + v + ": it is not looked into")
		}
	}
}
