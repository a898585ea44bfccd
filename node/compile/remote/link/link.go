// Package link finds out what a command reads that links what is compiled
// already: what its arguments name, and what files that are read name in turn.
// It leaves out nothing that a linker may open: where only the linker knows which
// of several files it takes, all of them count. It is pure. Start reading at Read,
// then at Look.
package link

import (
	"fmt"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
)

// Link is what the arguments and the environment of a link say. Paths are as
// they are written.
type Link struct {
	// Files are to be there: objects, libraries, scripts.
	Files []string
	// Scripts are those of -T, and Lists are further files that name no others,
	// as version scripts. Both are looked for in Dirs as well.
	Scripts, Lists []string
	// Libraries are the names of -l.
	Libraries []string
	// Dirs are where these are looked for before the linker's own directories.
	Dirs []string
	// Runtime are where libraries are looked for that shared libraries need.
	Runtime []string
	// Raw says that files may be taken for data, whatever is in them.
	Raw bool
	// Outputs are all that is made, the first what is linked.
	Outputs []string
	// Linker is the one of -fuse-ld=; "" is the compiler's own choice.
	Linker string
	// Env are variables that go with the command besides its own.
	Env []action.Property
	// Local are the reasons why only this machine can link.
	Local []string
}

// Setting is what a link is read in: see compile.Setting.
type Setting struct {
	Getenv   func(name string) (string, bool)
	Response func(path string) ([]byte, error)
}

// variables tie a link to its machine.
var variables = []string{"LIBRARY_PATH", "LD_LIBRARY_PATH", "LDEMULATION", "GNUTARGET", "COLLECT_GCC", "COLLECT_LTO_WRAPPER", "GOLD_DEFAULT_LINKER"}

// runPath is a variable that says what -rpath does.
const runPath = "LD_RUN_PATH"

// Read reads a command that Links.
func Read(c *compile.Command, in Setting) *Link {
	r := reader{l: &Link{Outputs: []string{c.Output}}, in: in}
	if c.Output == "" {
		r.l.Outputs[0] = "a.out"
	}
	for _, a := range c.Args {
		if v, ok := strings.CutPrefix(a, "-fuse-ld="); ok {
			r.l.Linker = v
		}
	}
	if !slices.Contains([]string{"", "bfd", "gold", "lld", "mold"}, r.l.Linker) {
		r.local("-fuse-ld=%s: that linker is not known", r.l.Linker)
	}
	r.words = slices.Clone(c.Linker)
	for r.i = 0; r.i < len(r.words); r.i++ {
		r.word(r.words[r.i])
	}
	r.environment(c)
	return r.l
}

// reader reads the words of a linker's command line.
type reader struct {
	l     *Link
	in    Setting
	words []string
	i     int
	// responses is how many files of words were read.
	responses int
}

func (r *reader) local(format string, args ...any) {
	if why := fmt.Sprintf(format, args...); !slices.Contains(r.l.Local, why) {
		r.l.Local = append(r.l.Local, why)
	}
}

// environment reads the variables that matter to the compiler's driver and to
// the linker.
func (r *reader) environment(c *compile.Command) {
	get := r.in.Getenv
	if get == nil {
		return
	}
	for _, name := range variables {
		if v, _ := get(name); v != "" {
			r.local("the environment has %s: it changes what is linked, or by what", name)
		}
	}
	if v, _ := get(runPath); v != "" {
		r.l.Env = append(r.l.Env, action.Property{Name: runPath, Value: v})
		r.l.Runtime = append(r.l.Runtime, pathList(v)...)
	}
	bare := slices.Contains(c.Args, "-flto") || slices.Contains(c.Args, "-flto=jobserver")
	if flags, _ := get("MAKEFLAGS"); bare && strings.Contains(flags, "jobserver") {
		r.local("-flto: it shares out its work by the jobserver of make")
	}
}

// pathList splits a list of directories, of which an empty one is the working
// directory.
func pathList(v string) []string {
	dirs := strings.Split(v, ":")
	for i := range dirs {
		if dirs[i] == "" {
			dirs[i] = "."
		}
	}
	return dirs
}

// maxResponses bounds the files of words in a command: they may name each other.
const maxResponses = 2000

// respond puts the words of a file in its place.
func (r *reader) respond(file string) {
	r.responses++
	if r.in.Response == nil || r.responses > maxResponses {
		r.local("the arguments of @%s are not known", file)
		return
	}
	content, err := r.in.Response(file)
	if err != nil {
		r.local("the arguments of @%s are not known: %v", file, err)
		return
	}
	r.l.Files = append(r.l.Files, file)
	r.words = slices.Concat(r.words[:r.i+1], compile.Unquote(string(content)), r.words[r.i+1:])
}
