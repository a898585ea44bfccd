// Package terms says on which terms a compile may run on another machine: as
// which step, or why only here; and whether what came back can be believed. It
// is pure. Start reading at Of, then at Suspect.
package terms

import (
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// Case is a compile, and what is known of it. Paths are absolute.
type Case struct {
	Command *compile.Command
	Answer  compile.Answer
	// Dir is the working directory; no link leads to it.
	Dir string
	// PWD is what the environment says of it, if that is another name of it,
	// and else "".
	PWD string
	// Outputs are those of Command, in order; no links lead to their
	// directories.
	Outputs []string
	// Bound are the directories that an action sees of its machine, and Own
	// those of them where the compiler looks by itself, there or not: what it
	// calls them, and where they really are.
	Bound, Own []string
	// Native is the answer to Command's NativeQuestion, if it has one.
	Native string
	// Terminal says that messages go to one.
	Terminal bool
	// Installed reports whether this machine has a locale; nil is for none.
	Installed func(locale string) bool
}

// Terms are all of a step but what its files hold.
type Terms struct {
	Argv []string
	Env  []action.Property
	// Dir and Outputs are from the file system's root; Outputs are sorted.
	Dir     string
	Outputs []string
	// Spec and Dirs say which programs and directories a machine must have
	// exactly as this one has them.
	Spec, Dirs string
	// Exact are directories that hold inputs alone, by ':'.
	Exact string
}

// Of returns the terms of a compile, or the reasons why it is for this machine.
func Of(c *Case) (*Terms, []string) {
	j := judge{Case: c}
	j.reads()
	j.places()
	j.headers()
	return j.conclude(j.terms("cc"))
}

func (j *judge) conclude(t *Terms) (*Terms, []string) {
	j.encoding(t)
	if len(j.reasons) > 0 {
		return nil, j.reasons
	}
	return t, nil
}

// Step makes a step of the terms. toolchain is the digest of what Spec and Dirs
// name on this machine.
func (t *Terms) Step(id action.StepID, inputs digest.Digest, toolchain string, timeout time.Duration) action.Step {
	s := action.Step{
		ID: id, Argv: t.Argv, Env: t.Env, Dir: t.Dir, Outputs: t.Outputs, Inputs: inputs,
		Timeout: timeout, Reach: action.Anywhere, Sharing: action.Shared,
		Platform: []action.Property{
			{Name: action.PropertyOS, Value: runtime.GOOS}, {Name: action.PropertyArch, Value: runtime.GOARCH},
			{Name: action.PropertyRoot, Value: action.RootAbsolute},
			{Name: action.PropertyToolchain, Value: toolchain}, {Name: action.PropertyToolchainSpec, Value: t.Spec},
		},
	}
	if t.Dirs != "" {
		s.Platform = append(s.Platform, action.Property{Name: action.PropertyToolchainDirs, Value: t.Dirs})
	}
	if t.Exact != "" {
		s.Platform = append(s.Platform, action.Property{Name: action.PropertyRootExact, Value: t.Exact})
	}
	slices.SortFunc(s.Platform, byName)
	return s
}

func byName(a, b action.Property) int { return strings.Compare(a.Name, b.Name) }

// judge collects what speaks against another machine.
type judge struct {
	*Case
	dirs    []string // further toolchain directories
	changes bool     // it may write what it reads
	reasons []string
}

func (j *judge) against(format string, args ...any) {
	if r := fmt.Sprintf(format, args...); !slices.Contains(j.reasons, r) {
		j.reasons = append(j.reasons, r)
	}
}

// reads judges what the command says of itself, and the scan of its files.
func (j *judge) reads() {
	c, a := j.Command, &j.Answer
	j.reasons = append(j.reasons, c.Local...)
	switch {
	case a.Rung == compile.Unknown:
		j.against("%s", a.Why)
	case a.Doubt != nil:
		j.against("%s", a.Doubt.Why)
	}
	if len(a.Coming) > 0 {
		j.against("%s is yet to be made", a.Coming[0])
	}
	dated := slices.ContainsFunc(c.Env, func(p action.Property) bool { return p.Name == "SOURCE_DATE_EPOCH" })
	switch {
	case a.Clock == compile.ClockOfFile:
		j.against("__TIMESTAMP__ is when a file was written")
	case a.Clock == compile.ClockOfBuild && c.Family == compile.Clang:
		j.against("__DATE__ or __TIME__ is the time of the build") // not every clang asks SOURCE_DATE_EPOCH
	case a.Clock == compile.ClockOfBuild && !dated:
		j.against("__DATE__ or __TIME__ is the time of the build, as there is no SOURCE_DATE_EPOCH")
	}
}

// Places where a machine puts things of its own: see action.RootAbsolute.
var (
	reserved = []string{"/proc", "/sys", "/dev", "/buildnet"}
	shallow  = []string{"/", "/etc", "/run", "/var"}
	single   = []string{"/etc/passwd", "/etc/group", "/etc/hosts"}
)

// places judges where the command works, writes and reads.
func (j *judge) places() {
	for _, p := range append([]string{j.Dir}, j.Outputs...) {
		if in := holder(p, j.Bound); in != "" {
			j.against("it works in %s, of which each machine has its own", in)
		}
	}
	for _, o := range j.Outputs {
		if slices.Contains(shallow, path.Dir(o)) {
			j.against("it writes into %s, of which each machine has its own", path.Dir(o))
		}
	}
	for _, ps := range [][]string{{j.Dir}, j.Outputs, j.Answer.Files, j.Answer.Dirs} {
		for _, p := range ps {
			if holder(p, reserved) != "" || slices.Contains(single, p) {
				j.against("%s is no ordinary file", p)
			}
		}
	}
	for _, o := range j.Outputs {
		if slices.Contains(j.Answer.Files, o) && !j.changes {
			j.against("it reads %s, which it writes", o)
		}
	}
}

// headers judges what is in the bound directories: the toolchain's digest is of
// those where the compiler looks by itself. Where a command looks in others, all
// that is in them has to be the same.
func (j *judge) headers() {
	for _, d := range j.Answer.Own {
		if holder(path.Clean(d), j.Bound) == "" {
			j.against("the compiler has headers in %s, which other machines do not show", d)
		}
	}
	if len(j.Command.Asking) > 0 { // it may not look where it does by default
		for _, d := range j.Answer.Own {
			j.dirs = append(j.dirs, path.Clean(d))
		}
	}
	for _, d := range j.Command.Dirs {
		p := d.Path
		if !path.IsAbs(p) {
			p = path.Join(j.Dir, p)
		}
		if p = path.Clean(p); j.foreign(p) && !slices.Contains(j.Answer.Absent, p) {
			j.dirs = append(j.dirs, p)
		}
	}
	for _, f := range j.Answer.System {
		if j.foreign(f) && holder(f, j.dirs) == "" {
			j.dirs = append(j.dirs, path.Dir(f))
		}
	}
	for _, p := range j.Answer.Absent {
		if j.foreign(p) && holder(p, j.dirs) == "" {
			j.against("other machines may have a %s", p)
		}
	}
	for _, d := range j.dirs {
		if strings.Contains(d, ":") || slices.Contains(j.Bound, d) {
			j.against("it looks for headers in %s, of which each machine has its own", d)
		}
	}
}

// foreign reports whether a path is of a machine's own, and not of the compiler.
func (j *judge) foreign(p string) bool {
	return holder(p, j.Bound) != "" && holder(p, j.Own) == ""
}

// holder returns which of dirs is or holds p.
func holder(p string, dirs []string) string {
	for _, d := range dirs {
		if len(p) >= len(d) && p[:len(d)] == d && (len(p) == len(d) || p[len(d)] == '/') {
			return d
		}
	}
	return ""
}

// terms are those of a compiler's command; kind is what its toolchain does.
func (j *judge) terms(kind string) *Terms {
	c := j.Command
	args, native := j.arguments()
	if native {
		kind += "+native"
	}
	t := j.bare(append([]string{j.Answer.Program}, args...), j.environment())
	t.Spec = kind + ":" + path.Base(j.Answer.Program)
	if slices.Contains(c.Args, "-fno-integrated-as") && c.Family == compile.Clang {
		j.against("-fno-integrated-as: it runs an assembler of another package")
	}
	return t
}

// bare are terms without a toolchain.
func (j *judge) bare(argv []string, env []action.Property) *Terms {
	t := &Terms{Argv: argv, Env: env, Dir: strings.TrimPrefix(j.Dir, "/"), Dirs: strings.Join(outermost(j.dirs), ":")}
	for _, o := range j.Outputs {
		t.Outputs = append(t.Outputs, strings.TrimPrefix(o, "/"))
	}
	slices.Sort(t.Outputs)
	return t
}

// arguments returns those that another machine gets, and whether they mean this
// one's processor.
func (j *judge) arguments() (args []string, native bool) {
	args = j.Command.Args
	if len(j.Command.Native) > 0 {
		expanded, same := j.Command.Expand(j.Native)
		if same {
			args = expanded
		}
		native = !same
	}
	if j.Terminal && !j.Command.Colours {
		colours := "-fdiagnostics-color=always"
		if j.Command.Family == compile.Clang {
			colours = "-fcolor-diagnostics"
		}
		args = append([]string{colours}, args...)
	}
	return args, native
}

// environment is what goes with the command. PWD goes where it counts: where it
// is another name of the working directory.
func (j *judge) environment() []action.Property {
	var env []action.Property
	for _, p := range j.locale(j.Command.Env) {
		if p.Name != "PWD" {
			env = append(env, p)
		}
	}
	if j.PWD != "" {
		env = append(env, action.Property{Name: "PWD", Value: j.PWD})
	}
	slices.SortFunc(env, byName)
	return slices.CompactFunc(env, func(a, b action.Property) bool { return a.Name == b.Name })
}

// outermost sorts directories and leaves out those that lie within others.
func outermost(dirs []string) []string {
	slices.Sort(dirs)
	var out []string
	for _, d := range dirs {
		if holder(d, out) == "" {
			out = append(out, d)
		}
	}
	return out
}
