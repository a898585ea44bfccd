package terms

import (
	"path"
	"regexp"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
)

// Place is where a checkout lies for steps that are the same wherever it lies.
const Place = "/buildnet-checkout"

// There returns where a path of the checkout root is in Place. Others are as they
// are.
func There(root, p string) string {
	if root == "" || holder(p, []string{root}) == "" {
		return p
	}
	return Place + p[len(root):]
}

// Here undoes There.
func Here(root, p string) string {
	if root == "" || holder(p, []string{Place}) == "" {
		return p
	}
	return root + p[len(Place):]
}

// writesDown matches arguments with which a compiler writes down where it works, or
// all its arguments, and no map of prefixes changes that.
var writesDown = regexp.MustCompile(`^(--coverage|-ftest-coverage|-fprofile-.*|-frecord-.*|-fverbose-asm|-flto.*|-g.*-gz.*|-fdump.*)$`)

// Moved returns the terms on which a compile is the same in every checkout: it
// works in Place, and its debugging information says "." for that. If its result
// depends on where the checkout root lies, or may, it says why: only what names
// nothing by an absolute path in root is known not to. That the content of what it
// reads does not name root either is for the caller to see.
func (t *Terms) Moved(c *Case, root string) (moved *Terms, why string) {
	if why := bound(t, c, root); why != "" {
		return nil, why
	}
	m := *t
	m.Dir = There(root, "/"+t.Dir)[1:]
	m.Argv = append([]string{t.Argv[0], "-fdebug-prefix-map=" + Place + "=."}, t.Argv[1:]...)
	m.Outputs = make([]string, len(t.Outputs))
	for i, o := range t.Outputs {
		m.Outputs[i] = There(root, "/"+o)[1:]
	}
	return &m, ""
}

// bound says why a result is for one checkout only.
func bound(t *Terms, c *Case, root string) string {
	in := func(p string) bool { return holder(p, []string{root}) != "" }
	switch {
	case !in(c.Dir):
		return "it works outside of " + root
	case c.PWD != "":
		return "PWD is another name of where it works"
	case c.Command.Assembles():
		return "assembler may say where it works"
	}
	for _, a := range t.Argv[1:] {
		if strings.Contains(a, root) {
			return a + " names the checkout"
		}
		if writesDown.MatchString(a) {
			return a + ": where it works is written down"
		}
	}
	for _, e := range t.Env {
		if strings.Contains(e.Value, root) {
			return e.Name + " names the checkout"
		}
	}
	return outside(c, root, in)
}

// outside names a file that a compile may read, look for or write and that lies
// neither in the checkout nor in a directory that is the same at any place: what
// leads there by a relative path leads elsewhere from Place.
func outside(c *Case, root string, in func(string) bool) string {
	for _, d := range c.Command.Dirs {
		if p := path.Clean(path.Join(c.Dir, d.Path)); !path.IsAbs(d.Path) && !in(p) {
			return d.Path + " leads out of the checkout"
		}
	}
	for _, ps := range [][]string{c.Outputs, c.Answer.Files, c.Answer.Dirs, c.Answer.Absent} {
		for _, p := range ps {
			if !in(p) && holder(p, c.Bound) == "" && holder(p, c.Own) == "" {
				return p + " is outside of the checkout"
			}
		}
	}
	for _, l := range c.Answer.Links {
		if !in(l.Path) || strings.Contains(l.Target, root) {
			return "the link " + l.Path + " leads into or out of the checkout"
		}
	}
	return ""
}

// Back returns outputs as they are called here.
func Back(root string, outs []action.Output) []action.Output {
	if root == "" {
		return outs
	}
	back := make([]action.Output, len(outs))
	for i, o := range outs {
		o.Path = Here(root, "/"+o.Path)[1:]
		back[i] = o
	}
	return back
}
