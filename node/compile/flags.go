package compile

import (
	"path"
	"regexp"
	"strings"
)

// single takes an option that stands alone and means something here.
func (r *reader) single(arg string) bool {
	c := r.c
	c.records = c.records || recording.MatchString(arg)
	r.drawn = r.drawn || drawing.MatchString(arg)
	r.seeded = r.seeded || strings.HasPrefix(arg, "-frandom-seed=")
	switch arg {
	case "-c":
		c.Mode = max(c.Mode, ToObject)
	case "-S":
		c.Mode = max(c.Mode, ToAssembly)
	case "-E":
		c.Mode = max(c.Mode, ToText)
	case "-fsyntax-only":
		c.Mode = max(c.Mode, ToCheck)
	case "-M", "-MM":
		c.Mode, r.only = max(c.Mode, ToText), true
	case "-MD", "-MMD":
		r.depfile = true
	case "-MP":
	case "-MG":
		c.local("-MG: headers that are not there are no error")
	case "-ansi":
		r.dialect = "ansi"
	case "-trigraphs":
		r.trigraphs = true
	case "-traditional", "-traditional-cpp":
		c.local(arg + ": its preprocessor is not looked into")
	case "-nostdinc", "-nostdinc++", "-nobuiltininc", "-nostdlibinc", "-no-canonical-prefixes":
		c.Asking = append(c.Asking, arg)
	case "-v", "-###", "--version", "--help", "-dumpversion", "-dumpmachine", "-dumpspecs":
		c.local(arg + ": it asks what is on this machine")
	case "-pipe", "-pg", "-p", "-w", "-s", "-C", "-CC", "-P", "-H", "-Q", "-Qunused-arguments", "-static", "-shared", "-rdynamic", "-pie", "-no-pie", "-nostdlib", "-nodefaultlibs", "-nostartfiles", "-pthread", "-pedantic", "-pedantic-errors", "-undef", "-r", "-symbolic":
	case "--coverage":
		r.wants = append(r.wants, ".gcno")
	case "-gsplit-dwarf", "-gsplit-dwarf=split":
		r.wants = append(r.wants, ".dwo")
	default:
		return false
	}
	return true
}

// recording matches the arguments that have the compiler write all of them
// down: in debugging information, in comments, for a later link.
var recording = regexp.MustCompile(`^(-g.*|-frecord-.*|-fverbose-asm|-flto.*)$`)

// drawing matches the arguments for which gcc draws a number.
var drawing = regexp.MustCompile(`^(--coverage|-ftest-coverage|-fprofile-arcs|-fprofile-generate.*|-flto.*)$`)

// flag takes the many that are told by their first letters.
func (r *reader) flag(arg string) {
	switch {
	case strings.HasPrefix(arg, "-print-") || strings.HasPrefix(arg, "--print-") || strings.HasPrefix(arg, "--help="):
		r.c.local(arg + ": it asks what is on this machine")
	case strings.HasPrefix(arg, "-save-temps"), strings.HasPrefix(arg, "--save-temps"):
		r.c.local(arg + ": it writes what it makes on the way")
	case strings.HasSuffix(arg, "=native"):
		r.c.Native = append(r.c.Native, arg)
	case strings.HasPrefix(arg, "-m"):
		r.c.Asking = append(r.c.Asking, arg)
	case strings.HasPrefix(arg, "-f"):
		r.feature(arg)
	case strings.HasPrefix(arg, "-d"):
		r.dump(arg)
	case strings.HasPrefix(arg, "-static-"), strings.HasPrefix(arg, "-shared-"):
	case strings.HasPrefix(arg, "-W"), strings.HasPrefix(arg, "-O"), strings.HasPrefix(arg, "-g"):
	default:
		r.c.local(arg + " is not known")
	}
}

// dump takes -d: letters that print with -E, and write files without.
func (r *reader) dump(arg string) {
	if !harmlessDump.MatchString(arg) {
		r.c.local(arg + ": it writes further files")
	}
}

var harmlessDump = regexp.MustCompile(`^-d[MDNIUAp]+$`)

// hazard is a flag that reads or writes files.
type hazard struct{ prefix, reason string }

// hazards are by their first letters.
var hazards = []hazard{
	{"-fplugin", ""}, // see feature
	{"-fprofile-use", "it reads profiles"},
	{"-fprofile-instr-use", "it reads profiles"},
	{"-fprofile-sample-use", "it reads profiles"},
	{"-fauto-profile", "it reads profiles"},
	{"-fbranch-probabilities", "it reads profiles"},
	{"-fpch", "it reads or writes precompiled headers"},
	{"-fmodule", "it reads and writes modules"},
	{"-fcxx-modules", "it reads and writes modules"},
	{"-fimplicit-module", "it reads and writes modules"},
	{"-fprebuilt-module", "it reads and writes modules"},
	{"-fheader-units", "it reads and writes modules"},
	{"-fdeps-", "it writes what modules need"},
	{"-fdump-", "it writes further files"},
	{"-fsave-optimization-record", "it writes further files"},
	{"-foptimization-record", "it writes further files"},
	{"-ftime-trace", "it writes further files"},
	{"-fproc-stat-report", "it writes further files"},
	{"-fcrash-diagnostics", "it writes further files"},
	{"-fdiagnostics-format", "it may write further files"},
	{"-fdiagnostics-add-output", "it may write further files"},
	{"-fdiagnostics-set-output", "it may write further files"},
	{"-fcompare-debug", "it compiles twice, and writes further files"},
	{"-fada-spec", "it writes further files"},
	{"-fxray-", "it may read further files"},
	{"-fsanitize-ignorelist", "it reads a further file"},
	{"-fsanitize-blacklist", "it reads a further file"},
	{"-fsanitize-coverage-", "it may read a further file"},
	{"-fprofile-list", "it reads a further file"},
	{"-fprofile-remapping-file", "it reads a further file"},
	{"-fthinlto-index", "it reads a further file"},
	{"-fopenmp-targets", "it compiles for further machines"},
	{"-foffload", "it compiles for further machines"},
	{"-fembed-offload", "it compiles for further machines"},
	{"-fwpa", "it is a part of a link"},
	{"-fltrans", "it is a part of a link"},
	{"-fresolution", "it is a part of a link"},
	{"-finput-charset", "how its sources read is not known"},
}

// named are flags whose value may look like a file's path and is none that is
// read or written by the compile.
var named = []string{"-ffile-prefix-map=", "-fdebug-prefix-map=", "-fmacro-prefix-map=", "-fcoverage-prefix-map=", "-fprofile-prefix-map=", "-fprofile-generate=", "-fprofile-dir=", "-fprofile-instr-generate=", "-frandom-seed=", "-fprofile-prefix-path=", "-fdebug-compilation-dir=", "-fcoverage-compilation-dir=", "-ffile-compilation-dir=", "-fuse-ld="}

// feature takes an -f.
func (r *reader) feature(arg string) {
	switch {
	case strings.HasPrefix(arg, "-fno-"):
		return
	case arg == "-fdiagnostics-format=text", strings.EqualFold(arg, "-finput-charset=utf-8"):
		return
	case strings.HasPrefix(arg, "-fdiagnostics-color"), strings.HasPrefix(arg, "-fcolor-diagnostics"):
		r.c.Colours = true
		return
	case arg == "-ftest-coverage":
		r.wants = append(r.wants, ".gcno")
		return
	case arg == "-fstack-usage":
		r.wants = append(r.wants, ".su")
		return
	case strings.HasPrefix(arg, "-fcallgraph-info"):
		r.wants = append(r.wants, ".ci")
		return
	case strings.HasPrefix(arg, "-fplugin-arg-"):
		r.c.local(arg + ": it is not known what the plugin reads")
		return
	case strings.HasPrefix(arg, "-fplugin="):
		r.plugin(strings.TrimPrefix(arg, "-fplugin="))
		return
	}
	for _, h := range hazards {
		if strings.HasPrefix(arg, h.prefix) {
			r.c.local(arg + ": " + h.reason)
			return
		}
	}
	for _, n := range named {
		if strings.HasPrefix(arg, n) {
			return
		}
	}
	if fileValue.MatchString(arg) {
		r.c.local(arg + ": it may read or write a file")
	}
}

// fileValue matches a flag whose value may be a file's path.
var fileValue = regexp.MustCompile(`^-fopt-info.*=|=.*(/|\.[A-Za-z])`)

// plugin takes a plugin. Nothing says what it reads besides.
func (r *reader) plugin(file string) {
	r.c.Reads = append(r.c.Reads, file)
	r.c.local("-fplugin=" + file + ": it is not known what the plugin reads")
}

// languages are by the endings of files, as in gcc(1).
var languages = map[string]Language{
	".c": C, ".i": CText, ".ii": CXXText, ".s": Assembler, ".S": AssemblerCPP, ".sx": AssemblerCPP,
	".cc": CXX, ".cp": CXX, ".cxx": CXX, ".cpp": CXX, ".CPP": CXX, ".c++": CXX, ".C": CXX,
	".h": "c-header", ".hh": "c++-header", ".H": "c++-header", ".hp": "c++-header", ".hxx": "c++-header", ".hpp": "c++-header", ".HPP": "c++-header", ".h++": "c++-header", ".tcc": "c++-header",
	".m": "objective-c", ".mi": "objective-c", ".mm": "objective-c++", ".M": "objective-c++", ".mii": "objective-c++",
	".cppm": "c++-module", ".ixx": "c++-module", ".ccm": "c++-module", ".cxxm": "c++-module", ".c++m": "c++-module", ".pcm": "c++-module",
	".f": "f77", ".F": "f77", ".f90": "f95", ".F90": "f95", ".f95": "f95", ".for": "f77", ".go": "go", ".d": "d", ".adb": "ada", ".ads": "ada", ".cu": "cuda", ".hip": "hip", ".cl": "cl", ".ll": "ir", ".bc": "ir",
}

// source takes a file of the command line.
func (r *reader) source(file string) {
	l := languages[path.Ext(file)]
	if r.plusplus {
		switch l {
		case C:
			l = CXX
		case CText:
			l = CXXText
		case "c-header":
			l = "c++-header"
		}
	}
	if r.forced {
		l = r.language
	}
	if l == Linked && r.c.Mode != ToLink {
		return // an object, which the linker would have had
	}
	if l == Linked {
		r.link(file)
	}
	r.c.Sources, r.c.at = append(r.c.Sources, Source{file, l}), append(r.c.at, r.i)
}
