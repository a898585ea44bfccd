package compile

import (
	"path"
	"slices"
	"strings"
)

// OwnQuestion is the command that has the compiler say where it looks for
// headers by itself. Its answer is the same for all commands with the same
// question, in an environment without CPATH and its like.
func (c *Command) OwnQuestion() []string {
	l := c.Language()
	switch l {
	case CXX, CXXText:
		l = CXX
	default:
		l = C
	}
	return slices.Concat([]string{c.Compiler}, c.Asking, []string{"-E", "-v", "-x", string(l), "/dev/null", "-o", "/dev/null"})
}

// DependQuestion is the command that has the compiler itself print a depfile of
// all that it reads.
func (c *Command) DependQuestion() []string {
	return slices.Concat([]string{c.Compiler}, c.bare, []string{"-M", "-MT", "x"})
}

// NativeQuestion is the command that has gcc say what Native stands for on this
// machine. It is for commands that have some.
func (c *Command) NativeQuestion() []string {
	return slices.Concat([]string{c.Compiler}, c.Asking, c.Native, []string{"-###", "-S", "-x", "c", "/dev/null", "-o", "/dev/null"})
}

// Expand returns the arguments with Native replaced by what it stands for, by
// the answer to NativeQuestion. It reports whether they make the same bytes.
// They do not where the arguments are written down, as with -g: gcc lists in
// another order what it has from its driver. Such a command may only go as it
// is, to a machine with the same processor.
func (c *Command) Expand(answer string) ([]string, bool) {
	if c.records {
		return nil, false
	}
	var expanded []string
	for line := range strings.Lines(answer) {
		words := Unquote(line)
		if len(words) == 0 || path.Base(words[0]) != "cc1" {
			continue
		}
		for i, w := range words {
			switch {
			case strings.HasPrefix(w, "-m") && !slices.Contains(c.Asking, w), strings.HasPrefix(w, "--param="):
				expanded = append(expanded, w)
			case w == "--param" && i+1 < len(words):
				expanded = append(expanded, w, words[i+1])
			}
		}
	}
	if len(expanded) == 0 || slices.ContainsFunc(expanded, func(w string) bool { return strings.HasSuffix(w, "=native") }) {
		return nil, false
	}
	var args []string
	for _, a := range c.Args {
		if !slices.Contains(c.Native, a) {
			args = append(args, a)
		} else if expanded != nil {
			args = append(args, expanded...)
			expanded = nil
		}
	}
	return args, true
}

// places are the options of Asking that name a place.
var places = []string{"--sysroot=", "-isysroot", "--gcc-toolchain=", "-gcc-toolchain", "-resource-dir=", "-resource-dir", "-stdlib++-isystem", "-cxx-isystem"}

// Placed reports whether the answer to a question depends on the directory in which
// it is asked.
func Placed(question []string) bool {
	for i, arg := range question {
		for _, p := range places {
			at, ok := strings.CutPrefix(arg, p)
			if !ok {
				continue
			}
			if at == "" && i+1 < len(question) {
				at = question[i+1]
			}
			if !strings.HasPrefix(at, "/") {
				return true
			}
			break
		}
	}
	return false
}
