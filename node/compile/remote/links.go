package remote

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/link"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
)

// links makes a step of a link, or says in p why not.
func (d *Desk) links(ctx context.Context, r *Request, p *Prepared) error {
	l := link.Read(p.Command, link.Setting{Getenv: r.Getenv, Response: readResponse(r.Dir)})
	if p.Local = l.Local; len(p.Local) > 0 {
		return nil
	}
	p.makes(r.Dir, l.Outputs)
	program, own, err := d.o.Inputs.Libraries(ctx, p.Command, r.Dir)
	if err != nil {
		p.Local = []string{err.Error()}
		return ctx.Err()
	}
	p.answer.Program, p.answer.Rung = program, compile.Scanned
	turned := d.with(ctx, func() { err = d.link(ctx, r, p, l, own) })
	if err := errors.Join(turned, err); err != nil {
		return fmt.Errorf("prepare a link: %w", err)
	}
	return nil
}

// link looks for all that a link reads, and makes a step of it.
func (d *Desk) link(ctx context.Context, r *Request, p *Prepared, l *link.Link, own []string) error {
	searched, _ := r.Getenv("PATH")
	run := d.toolsOf(p.Command, p.answer.Program, searched, r.Dir)
	if run.why == "" {
		run.why = d.otherLinker(l.Linker, searched, r.Dir)
	}
	if run.why != "" {
		p.Local = []string{run.why}
		return nil
	}
	p.answer.Program = run.compiler
	k := &terms.Case{Command: p.Command, Bound: d.bound, Terminal: r.Terminal, Installed: d.installed}
	if err := d.place(r, p, k, l.Outputs); err != nil {
		p.Local = []string{err.Error()}
		return nil //nolint:nilerr // that is a reason
	}
	reads := link.Look(l, link.Place{Dir: p.dir, Own: d.there(own), Bound: d.bound}, linked{d})
	p.Local, p.Coming = reads.Local, reads.Coming
	if len(p.Local) > 0 {
		return nil
	}
	d.linkReads(p, l, &reads)
	p.answer.Own = d.there(own)
	k.Answer = p.answer
	k.Command = withVariables(p.Command, l)
	if len(p.Command.Native) > 0 {
		var err error
		if k.Native, err = d.o.Inputs.Native(ctx, p.Command, r.Dir); err != nil {
			p.Local = []string{err.Error()}
			return ctx.Err()
		}
	}
	t, reasons := terms.OfLink(k, reads.Foreign, reads.Exact)
	if p.Local = reasons; t == nil {
		return nil
	}
	return d.conclude(ctx, r, p, t)
}

// conclude makes the step of a command that may go elsewhere.
func (d *Desk) conclude(ctx context.Context, r *Request, p *Prepared, t *terms.Terms) error {
	chain, err := d.toolchain(ctx, t)
	if err != nil {
		p.Local = []string{err.Error()}
		return ctx.Err()
	}
	return d.step(ctx, r, p, t, chain)
}

// linkReads notes what a link reads.
func (d *Desk) linkReads(p *Prepared, l *link.Link, reads *link.Reads) {
	p.answer.Files = reads.Files
	p.answer.Dirs = append(p.answer.Dirs, slices.DeleteFunc(reads.Dirs, func(dir string) bool { return within(dir, d.bound) || slices.Contains(d.bound, dir) })...)
	p.answer.Links = d.outside(append(p.answer.Links, reads.Links...))
	for _, dir := range slices.Concat(l.Dirs, l.Runtime) {
		p.looked = append(p.looked, abs(p.dir, dir))
	}
}

// withVariables is a command with the variables that count for its linker.
func withVariables(c *compile.Command, l *link.Link) *compile.Command {
	with := *c
	with.Env = slices.Concat(c.Env, l.Env)
	return &with
}

// there returns the directories that are there, without links, each once.
func (d *Desk) there(dirs []string) []string {
	var out []string
	for _, dir := range dirs {
		if w, err := d.real(dir); err == nil && !slices.Contains(out, w.path) {
			out = append(out, w.path)
		}
	}
	return out
}

// otherLinker says why what links in actions is not what links here, or "". A
// compiler finds its linker in PATH.
func (d *Desk) otherLinker(linker, searched, dir string) string {
	names := []string{"ld"}
	if linker != "" {
		names = append(names, "ld."+linker)
	}
	for _, n := range names {
		if here, there := find(n, searched, dir), find(n, d.o.Path, "/"); !sameFile(here, there) {
			return fmt.Sprintf("PATH has %s as %s, and actions run %s", n, here, there)
		}
	}
	return ""
}

// elsewhere says why what an action finds under the name of a program is not
// what the command means, or "".
func (d *Desk) elsewhere(program, searched, dir string) string {
	here := abs(dir, program)
	if !strings.Contains(program, "/") {
		here = find(program, searched, dir)
	}
	if there := find(path.Base(program), d.o.Path, "/"); !sameFile(here, there) {
		return fmt.Sprintf("%s is %s, and actions run %s", program, here, there)
	}
	return ""
}
