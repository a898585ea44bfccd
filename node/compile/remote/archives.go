package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/archive"
	"github.com/buildnet/buildnet/node/compile/remote/link"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/sched/action"
)

// shell runs several commands one after the other.
const shell = "/bin/sh"

// archiving is a request that makes archives.
type archiving struct {
	d *Desk
	r *Request
	p *Prepared
	// runs are the commands of it, and names what they run.
	runs  [][]string
	names []string
	// removed are the files that are gone before, and made those that it makes:
	// both as they are written.
	removed, made []string
	// reads are the files that it reads, made by itself or not.
	reads []string
	// vague says that what it does is not known.
	vague bool
}

// archives makes a step of commands that make an archive, or says in what it
// returns why not.
func (d *Desk) archives(ctx context.Context, r *Request, commands [][]string) (*Prepared, error) {
	a := &archiving{d: d, r: r, p: &Prepared{Work: Archives, getenv: r.Getenv}}
	for _, argv := range commands {
		var err error
		switch {
		case removes(argv) != nil:
			for _, f := range removes(argv) {
				if slices.Contains(a.made, f) || slices.Contains(a.reads, f) {
					a.local("it removes %s in the end", f)
				}
			}
			a.removed = append(a.removed, removes(argv)...)
		case archive.Is(argv[0]):
			err = a.command(ctx, argv)
		default:
			err = fmt.Errorf("%w: %s is not known", ErrNotCompiler, argv[0])
		}
		if err != nil {
			return nil, err
		}
	}
	for _, f := range a.removed {
		if !slices.Contains(a.made, f) {
			a.local("it removes %s", f)
		}
	}
	if !a.vague {
		a.p.makes(r.Dir, slices.Concat(a.made, a.removed))
	}
	if len(a.p.Local) > 0 {
		return a.p, nil
	}
	var err error
	turned := d.with(ctx, func() { err = a.prepare(ctx) })
	if err := errors.Join(turned, err); err != nil {
		return nil, fmt.Errorf("prepare an archive: %w", err)
	}
	return a.p, nil
}

func (a *archiving) local(format string, args ...any) {
	if why := fmt.Sprintf(format, args...); !slices.Contains(a.p.Local, why) {
		a.p.Local = append(a.p.Local, why)
	}
}

// removes returns the files that a command removes, whether they are there or
// not.
func removes(argv []string) []string {
	for _, front := range [][]string{{"rm", "-f"}, {"cmake", "-E", "rm", "-f"}, {"cmake", "-E", "remove", "-f"}} {
		named := len(argv) > len(front) && path.Base(argv[0]) == front[0] && slices.Equal(argv[1:len(front)], front[1:])
		if files := argv[min(len(front), len(argv)):]; named && !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, "-") }) {
			return files
		}
	}
	return nil
}

// command reads one command of an archiver.
func (a *archiving) command(ctx context.Context, argv []string) error {
	c, err := archive.Read(argv, readResponse(a.r.Dir))
	if err != nil {
		return err
	}
	for _, why := range c.Local {
		a.local("%s", why)
	}
	if len(c.Local) > 0 {
		a.vague = true
		return nil
	}
	if c.Unsaid {
		same, err := a.d.o.Inputs.Reproducible(ctx, c.Program, a.r.Dir)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			a.local("%v", err)
		case !same:
			a.local("%s puts times and owners of files into archives, unless it has D", c.Program)
		}
	}
	fresh := slices.Contains(a.removed, c.Archive) || slices.Contains(a.made, c.Archive)
	if !fresh {
		a.existing(c)
	}
	a.runs, a.names = append(a.runs, argv), append(a.names, path.Base(c.Program))
	a.made = append(a.made, c.Archive)
	for _, m := range slices.Concat(c.Members, c.Responses) {
		if !slices.Contains(a.made, m) {
			a.reads = append(a.reads, m)
		}
	}
	return nil
}

// existing reads an archive that is there already.
func (a *archiving) existing(c *archive.Command) {
	p := abs(a.r.Dir, c.Archive)
	if _, err := os.Lstat(p); errors.Is(err, os.ErrNotExist) {
		return
	}
	content, err := contentOf(p, false)
	switch {
	case err != nil:
		a.local("%v", err)
	case content.Kind == link.Thin || c.Thin:
		a.local("it adds to %s, which is thin", c.Archive)
	case c.Updates:
		a.local("ar u: it depends on when files were written")
	}
	a.reads = append(a.reads, c.Archive)
}

// prepare makes the step.
func (a *archiving) prepare(ctx context.Context) error {
	d, r, p := a.d, a.r, a.p
	k := &terms.Case{}
	slices.Sort(a.made)
	if err := d.place(r, p, k, slices.Compact(a.made)); err != nil {
		p.Local = []string{err.Error()}
		return nil //nolint:nilerr // that is a reason
	}
	task := &terms.Task{Argv: a.runs[0], Programs: a.names, Dir: p.dir, Outputs: p.outputs, Bound: d.bound, Env: speech(r.Getenv), Installed: d.installed}
	if len(a.runs) > 1 {
		task.Argv = []string{shell, "-c", sequence(a.runs)}
		task.Programs = append(task.Programs, path.Base(shell))
	}
	searched, _ := r.Getenv("PATH")
	for _, argv := range append(slices.Clone(a.runs), task.Argv[:1]) {
		if why := d.elsewhere(argv[0], searched, r.Dir); why != "" {
			a.local("%s", why)
		}
	}
	a.read()
	p.answer.Rung = compile.Scanned
	task.Reads = p.answer.Reads
	if len(p.Local) > 0 {
		return nil
	}
	t, reasons := terms.OfTask(task)
	if p.Local = reasons; t == nil {
		return nil
	}
	return d.conclude(ctx, r, p, t)
}

// read finds the files that are read.
func (a *archiving) read() {
	p := a.p
	for _, f := range a.reads {
		at := linked{a.d}.At(abs(p.dir, f))
		switch {
		case !at.There:
			p.Coming = append(p.Coming, abs(p.dir, f))
			a.local("%s is not there", f)
		case at.Dir:
			a.local("%s is a directory", f)
		default:
			p.answer.Files = append(p.answer.Files, at.Real)
			p.answer.Links = a.d.outside(append(p.answer.Links, at.Links...))
			p.answer.Dirs = append(p.answer.Dirs, at.Left...)
		}
	}
	slices.Sort(p.answer.Files)
	p.answer.Files = slices.Compact(p.answer.Files)
}

// sequence is commands as a shell runs them, each if the one before succeeded.
func sequence(runs [][]string) string {
	var parts []string
	for _, argv := range runs {
		words := make([]string, len(argv))
		for i, w := range argv {
			words[i] = quoted(w)
		}
		parts = append(parts, strings.Join(words, " "))
	}
	return strings.Join(parts, " && ")
}

// quoted is a word as a shell takes it for itself.
func quoted(w string) string {
	if w != "" && strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=:,+@") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// speech are the variables that messages depend on.
func speech(getenv func(string) (string, bool)) (env []action.Property) {
	for _, name := range []string{"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"} {
		if v, ok := getenv(name); ok {
			env = append(env, action.Property{Name: name, Value: v})
		}
	}
	return env
}
