// Package compile reads the command lines of C and C++ compilers: what one
// reads, what it makes, where it looks for headers, and whether another machine
// may run it. It is pure. Start reading at Command, then at Read.
package compile

import (
	"cmp"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// Family is a kind of compiler driver.
type Family uint8

// The families: they take most of the same arguments.
const (
	GCC Family = iota + 1
	Clang
)

// Mode is how far a command goes.
type Mode uint8

// The modes, in the order in which one outdoes another.
const (
	ToLink     Mode = iota // as without -c: an executable
	ToObject               // -c
	ToAssembly             // -S
	ToText                 // -E, -M
	ToCheck                // -fsyntax-only
)

// Language is a language by its name in -x.
type Language string

// The languages that are looked into.
const (
	C            Language = "c"
	CXX          Language = "c++"
	CText        Language = "cpp-output"
	CXXText      Language = "c++-cpp-output"
	Assembler    Language = "assembler"
	AssemblerCPP Language = "assembler-with-cpp"
	Linked       Language = "" // an object or a library: for the linker
)

// Preprocessed reports whether the preprocessor has work in l.
func (l Language) Preprocessed() bool { return l == C || l == CXX || l == AssemblerCPP }

// Source is a file that is compiled.
type Source struct {
	Path     string
	Language Language
}

// Chain is where in the order of look-ups a directory stands.
type Chain uint8

// The chains, in the order in which they are looked in.
const (
	Quote   Chain = iota // -iquote
	Bracket              // -I, CPATH
	System               // -isystem, C_INCLUDE_PATH
	After                // -idirafter
)

// Dir is a directory to look for headers in, as it is written.
type Dir struct {
	Chain Chain
	Path  string
}

// Macro is a -D. One that is undefined later counts as well: what it could have
// named is no harm.
type Macro struct{ Name, Value string }

// Forced is an -include, or an -imacros.
type Forced struct {
	Path   string
	Macros bool
}

// Dialect is how the text of sources is read: what not all of them have.
type Dialect struct {
	Trigraphs    bool
	LineComments bool // from //
	RawStrings   bool
	Separators   bool // a ' between digits
}

// Command is a compiler's command line. Paths are as they are written: relative
// to the working directory, or absolute.
type Command struct {
	Compiler string
	Family   Family
	// Args are the arguments without the compiler, response files in place.
	Args    []string
	Mode    Mode
	Sources []Source
	// Output is what -o says, or what it would have said. That of a link is in
	// no Outputs: see package link.
	Output string
	// Outputs are all files that the command makes when it succeeds, Output
	// first, where there are any.
	Outputs []string
	// Depfile is the one of -MD and its like; "" for none.
	Depfile string
	// Fragments are those of -MJ, which some compilers write at the end of what
	// is there.
	Fragments []string

	Dirs      []Dir // in the order of their chains' own
	EmbedDirs []string
	Forced    []Forced
	Macros    []Macro
	// Reads are further files that the command names and reads.
	Reads []string
	// Linker are the words that a linker gets, in order: files that are none to
	// compile, and what -l, -L, -Wl and their like pass on.
	Linker []string
	// Asking are the arguments that change what the compiler is and where it
	// looks by itself.
	Asking []string
	// Native are the arguments that mean the machine they are read on. They
	// are to be replaced before the command goes elsewhere: see Question.
	Native []string
	// Env are the variables that the command depends on and that go with it.
	Env []action.Property

	Dialect Dialect
	// Colours says that the arguments say whether messages have colours. Else
	// it depends on where they go to.
	Colours bool
	// Random says that each run makes other bytes, for want of -frandom-seed:
	// what gcc makes for coverage, profiles and links has a number drawn from
	// the clock in it.
	Random bool
	// Local are the reasons, in words, why only this machine can run it.
	Local []string
	// Lists says that all it does is to print, for each source after the other, what
	// that would read: see Listing.
	Lists bool

	at      []int    // where in Args the sources are
	bare    []string // the arguments without those of outputs
	records bool     // its outputs hold its arguments, in their order
}

// Remote reports whether any machine with the compiler may run the command.
func (c *Command) Remote() bool { return len(c.Local) == 0 }

// Assembles reports whether a source is assembler.
func (c *Command) Assembles() bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Language == Assembler || s.Language == AssemblerCPP })
}

// Links reports whether the command links what is compiled already.
func (c *Command) Links() bool {
	return c.Mode == ToLink && len(c.Sources) > 0 && !slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Language != Linked })
}

// late reports whether a link compiles what was left to it.
func (c *Command) late() bool {
	return slices.ContainsFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "-flto") })
}

// Language is that of the sources; C if there are none.
func (c *Command) Language() Language {
	if len(c.Sources) == 0 {
		return C
	}
	return c.Sources[0].Language
}

// ErrNotCompiler says that a command runs something else.
var ErrNotCompiler = errors.New("not a C or C++ compiler")

// driver matches the names of compiler drivers: a target in front, a version
// behind.
var driver = regexp.MustCompile(`^(?:[a-zA-Z0-9_.]+-)*(cc|gcc|g\+\+|c\+\+|clang|clang\+\+)(?:-[0-9]+(?:\.[0-9]+)*)?$`)

// Setting is what a command is read in.
type Setting struct {
	// Getenv returns a variable of the command's environment. nil is an empty
	// one.
	Getenv func(name string) (string, bool)
	// Response reads a file of arguments, by its path as it is written. nil
	// has none.
	Response func(path string) ([]byte, error)
	// Family is what the compiler is, whatever its name says; 0 leaves it to
	// that, and GCC is what is called cc.
	Family Family
}

// FamilyOf returns what the file of a compiler driver is by its name, 0 if that
// says nothing.
func FamilyOf(file string) Family {
	m := driver.FindStringSubmatch(path.Base(file))
	switch {
	case m == nil || m[1] == "cc" || m[1] == "c++":
		return 0
	case strings.HasPrefix(m[1], "clang"):
		return Clang
	}
	return GCC
}

// Read reads a command. ErrNotCompiler is the only error: what is wrong with a
// command makes it local, and its compiler will say what that is.
func Read(argv []string, in Setting) (*Command, error) {
	if len(argv) == 0 {
		return nil, ErrNotCompiler
	}
	m := driver.FindStringSubmatch(path.Base(argv[0]))
	if m == nil {
		return nil, ErrNotCompiler
	}
	c := &Command{Compiler: argv[0], Family: cmp.Or(in.Family, FamilyOf(argv[0]), GCC)}
	r := reader{c: c, in: in, plusplus: strings.HasSuffix(m[1], "++")}
	if r.in.Getenv == nil {
		r.in.Getenv = func(string) (string, bool) { return "", false }
	}
	r.respond(argv[1:])
	r.read()
	r.environment()
	r.conclude()
	return c, nil
}

// local notes a reason, once.
func (c *Command) local(reason string) {
	if !slices.Contains(c.Local, reason) {
		c.Local = append(c.Local, reason)
	}
}
