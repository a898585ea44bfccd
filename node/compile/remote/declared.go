package remote

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// patterns reads patterns of commands, each word by word.
func patterns(texts []string) (all [][]*regexp.Regexp) {
	for _, text := range texts {
		var words []*regexp.Regexp
		for w := range strings.FieldsSeq(text) {
			quoted := strings.ReplaceAll(regexp.QuoteMeta(w), `\*`, ".*")
			words = append(words, regexp.MustCompile("^(?s:"+quoted+")$"))
		}
		if len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// trusts reports whether the owner of this machine said of all that a request
// runs that it reads what a graph declares.
func (d *Desk) trusts(r Request) bool {
	r.Shell = redirection.ReplaceAllString(r.Shell, " ")
	commands, err := r.commands()
	return err == nil && !slices.ContainsFunc(commands, func(argv []string) bool { return !d.matches(argv) })
}

// redirection matches what a shell does with a command's streams, which changes
// nothing in what the command is.
var redirection = regexp.MustCompile(`(?:^|\s)(?:\d?>>?|<)\s*[\w./+-]+|\s\d?>&\d`)

// matches reports whether a command begins as a pattern does. A program may be
// named there by its name alone.
func (d *Desk) matches(argv []string) bool {
	return slices.ContainsFunc(d.trusted, func(words []*regexp.Regexp) bool {
		if len(words) > len(argv) {
			return false
		}
		for i, w := range words {
			if !w.MatchString(argv[i]) && (i > 0 || !w.MatchString(path.Base(argv[0]))) {
				return false
			}
		}
		return true
	})
}

// declares makes a step of a command by what a graph says of it.
func (d *Desk) declares(ctx context.Context, r Request) (*Prepared, error) {
	p := &Prepared{Work: Declared, getenv: r.Getenv, refusal: refusalOf(&r)}
	why, err := d.refused(ctx, p.refusal)
	if err != nil {
		return nil, err
	}
	if why != "" {
		p.Local = []string{why}
		return p, nil
	}
	if err := d.installation(ctx); err != nil {
		p.Local = []string{err.Error()}
		return p, ctx.Err()
	}
	turned := d.with(ctx, func() { err = d.declare(ctx, &r, p) })
	if err := errors.Join(turned, err); err != nil {
		return nil, fmt.Errorf("prepare a command of a graph: %w", err)
	}
	if len(p.Local) > 0 {
		return p, nil
	}
	if why, err = d.refused(ctx, p.Action); why != "" {
		p.Local = []string{why}
	}
	return p, err
}

// installation finds out what is installed, once a build. That takes a while the
// first time, so that nobody waits for it who does not ask.
func (d *Desk) installation(ctx context.Context) error {
	known := false
	if err := d.with(ctx, func() { _, known = d.chains[[2]string{host, ""}] }); err != nil || known {
		return err
	}
	_, err := d.o.Toolchain(ctx, host, "")
	return err
}

// host is the toolchain that is all that is installed.
const host = "host"

func (d *Desk) declare(ctx context.Context, r *Request, p *Prepared) error {
	k := &terms.Case{}
	if err := d.place(r, p, k, r.Outputs); err != nil {
		p.Local = []string{err.Error()}
		return nil //nolint:nilerr // that is a reason
	}
	d.inputs(r, p)
	d.runs(*r, p)
	if len(p.Local) > 0 {
		return nil
	}
	p.answer.Rung = compile.Scanned
	task := &terms.Task{
		Argv: r.Argv, Dir: p.dir, Outputs: p.outputs, Reads: p.answer.Reads, Bound: d.bound, Env: speech(r.Getenv), Installed: d.installed,
	}
	if v, ok := r.Getenv("SOURCE_DATE_EPOCH"); ok {
		task.Env = append(task.Env, action.Property{Name: "SOURCE_DATE_EPOCH", Value: v})
	}
	if r.Argv == nil {
		task.Argv = []string{shell, "-c", r.Shell}
	}
	for _, o := range p.outputs {
		if slices.Contains(p.answer.Files, o) {
			p.Local = []string{fmt.Sprintf("it reads %s, which it writes", o)}
			return nil
		}
	}
	t, reasons := terms.OfTask(task)
	if p.Local = reasons; t == nil {
		return nil
	}
	return d.conclude(ctx, r, p, t)
}

// inputs are the files that the graph declares. What is not there may be a name
// for others, which the graph has as inputs as well or does not need.
func (d *Desk) inputs(r *Request, p *Prepared) {
	names := r.Inputs
	if r.Response != "" {
		names = append(slices.Clone(names), r.Response)
	}
	for _, f := range names {
		at := linked{d}.At(abs(p.dir, f))
		switch {
		case !at.There:
		case at.Dir:
			p.Local = append(p.Local, fmt.Sprintf("its input %s is a directory, of which the graph does not declare the files", f))
		default:
			p.answer.Files = append(p.answer.Files, at.Real)
			p.answer.Links = d.outside(append(p.answer.Links, at.Links...))
			p.answer.Dirs = append(p.answer.Dirs, at.Left...)
		}
	}
	slices.Sort(p.answer.Files)
	p.answer.Files = slices.Compact(p.answer.Files)
}

// runs checks the programs of a command: they are installed, or declared.
func (d *Desk) runs(r Request, p *Prepared) {
	searched, _ := r.Getenv("PATH")
	r.Shell = redirection.ReplaceAllString(r.Shell, " ")
	commands, err := r.commands() // it goes where the command does
	if err != nil {
		p.Local = append(p.Local, err.Error())
		return
	}
	p.looked = append(p.looked, r.Dir)
	for _, argv := range commands {
		at := linked{d}.At(abs(r.Dir, argv[0]))
		if strings.Contains(argv[0], "/") && at.There && !within(at.Real, d.bound) {
			if !slices.Contains(p.answer.Files, at.Real) {
				p.Local = append(p.Local, fmt.Sprintf("it runs %s, which the graph does not declare", argv[0]))
			}
			continue
		}
		if why := d.elsewhere(argv[0], searched, r.Dir); why != "" {
			p.Local = append(p.Local, why)
		}
	}
}

// refusalOf names a command with what is declared for it, whatever that holds.
func refusalOf(r *Request) digest.Digest {
	text := fmt.Sprintf("declared %q %q %q %q %q %q", r.Dir, r.Shell, r.Argv, r.Inputs, r.Outputs, r.Response)
	return digest.Of(digest.BLAKE3, []byte(text))
}

// refused returns why a command or an action is for this machine, as a run of it
// has shown.
func (d *Desk) refused(ctx context.Context, key digest.Digest) (string, error) {
	var why []byte
	if err := d.with(ctx, func() { why = d.pending[key] }); err != nil {
		return "", err
	}
	if why != nil || d.o.Manifests == nil {
		return string(why), nil
	}
	why, err := d.o.Manifests.Load(ctx, key)
	if err != nil {
		return "", fmt.Errorf("look up what a command read: %w", err)
	}
	return string(why), nil
}

// refuse remembers that a command of a graph is for this machine: with whatever
// inputs, if it wants a file that is not declared, and else with these.
func (d *Desk) refuse(ctx context.Context, p *Prepared, o *Outcome) error {
	if p.Work != Declared {
		return nil
	}
	key, why := p.Action, "as before: "+o.Suspect
	lacking := func(name, from string) bool {
		return p.here(name, from, func(f string) bool { return isFile(f) && !slices.Contains(p.answer.Files, realPath(f)) })
	}
	if f, ok := terms.Missing(o.Said, lacking); ok {
		key, why = p.refusal, "it reads "+f+", which the graph does not declare"
	}
	return d.with(ctx, func() { d.pending[key] = []byte(why) })
}
