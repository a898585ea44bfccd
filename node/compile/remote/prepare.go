package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/archive"
	"github.com/buildnet/buildnet/node/compile/remote/manifest"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/node/compile/remote/tree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// ErrNotCompiler says that a command runs something else than what is known
// here: compilers and archivers.
var ErrNotCompiler = compile.ErrNotCompiler

// Work is what a command does.
type Work uint8

// The works.
const (
	Compiles Work = iota
	Links
	Archives
	Declared // what a graph says of it: see Options.Trusted
)

// Request is a command that somebody wants run.
type Request struct {
	// Argv is the command, or Shell is it for /bin/sh.
	Argv  []string
	Shell string
	// Dir is the working directory, absolute.
	Dir string
	// Getenv returns a variable of the command's environment.
	Getenv func(name string) (string, bool)
	// Terminal says that its messages go to a terminal: they have colours then,
	// unless the command says otherwise.
	Terminal bool
	// Umask is the one that what it makes is made with; nil is that of this process.
	Umask *fs.FileMode
	// Inputs and Outputs are those that a graph declares for it, and Response is
	// a file of arguments that the graph has written: all as seen from Dir. They
	// count for a command that is trusted.
	Inputs, Outputs []string
	Response        string
	// Checkout is the directory, absolute, wherever that lies a compile is to be the
	// same; "" has the places of files count. See Prepared.Bound.
	Checkout string
	// ID names the step; "" is its first output, and is not for a command that lists.
	ID action.StepID
	// Lists says that what a command prints which lists what it would read is given
	// back on stdout.
	Lists bool
	// Timeout bounds the run; 0 is an hour.
	Timeout time.Duration
}

// Prepared is a command that was looked into.
type Prepared struct {
	Work Work
	// Command is a compiler's, and nil for what is none.
	Command *compile.Command
	// Local are the reasons why only this machine can run it. If there is one,
	// there is nothing below.
	Local []string
	// Coming are files that it may read and that the graph is to make yet. They
	// are among the reasons: once they are made there may be none.
	Coming []string
	// Bound is why the result is for this checkout alone, if it was wanted for all;
	// "" if it is for all.
	Bound string
	// Step reads nothing that is not in the store, and depends on no other.
	Step action.Step
	// Action is the key of its result.
	Action digest.Digest
	// Messages are the Command and the Action, which are not in the store.
	Messages []action.Blob
	// InputBytes is the size of what it reads, as far as no machine has that of
	// its own.
	InputBytes int64
	// SourceBytes is the size of the sources of a compile, without their headers.
	SourceBytes int64

	root    string // the checkout, if it lies elsewhere for the step
	at      *terms.Case
	dir     string
	outputs []string      // in the order in which they are written, absolute and real
	writes  []string      // as they are written, absolute
	known   bool          // that it writes nothing else
	refusal digest.Digest // under which it is remembered that a graph does not declare all it reads
	answer  compile.Answer
	files   []tree.File
	key     digest.Digest // of its manifest
	looked  []string      // where it looks for files besides its headers
	getenv  func(string) (string, bool)
	umask   *fs.FileMode
}

// Writes returns the files that the command makes, by absolute path, and whether
// it is known to write no others: of one that is for this machine alone as well.
func (p *Prepared) Writes() ([]string, bool) { return p.writes, p.known }

// makes notes what a command that works in dir makes.
func (p *Prepared) makes(dir string, outputs []string) {
	p.known = true
	for _, o := range outputs {
		p.writes = append(p.writes, abs(dir, o))
	}
}

// Prepare makes a step of a command, or says why not. It returns ErrNotCompiler
// if nobody here knows the program; any other error is of this machine.
func (d *Desk) Prepare(ctx context.Context, r Request) (*Prepared, error) {
	if r.Getenv == nil {
		r.Getenv = func(string) (string, bool) { return "", false }
	}
	p, err := d.read(ctx, r)
	if errors.Is(err, ErrNotCompiler) && len(r.Outputs) > 0 && d.trusts(r) {
		p, err = d.declares(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	p.umask = r.Umask
	return p, nil
}

// read makes a step of a command whose program is known here.
func (d *Desk) read(ctx context.Context, r Request) (*Prepared, error) {
	commands, err := r.commands()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(commands, func(argv []string) bool { return archive.Is(argv[0]) }) {
		return d.archives(ctx, &r, commands)
	}
	if len(commands) > 1 {
		return nil, fmt.Errorf("%w: it runs %d commands", ErrNotCompiler, len(commands))
	}
	family, err := d.family(ctx, &r, commands[0][0])
	if err != nil {
		return nil, err
	}
	c, err := compile.Read(commands[0], compile.Setting{Getenv: r.Getenv, Response: readResponse(r.Dir), Family: family})
	if err != nil {
		return nil, err
	}
	if r.Lists {
		c.Listing()
	}
	p := &Prepared{Command: c, Local: c.Local, getenv: r.Getenv}
	if c.Links() {
		p.Work = Links
	}
	switch {
	case !c.Remote():
		return p, nil
	case c.Links():
		return p, d.links(ctx, &r, p)
	}
	p.makes(r.Dir, c.Outputs)
	if p.answer, err = d.o.Inputs.Of(ctx, c, r.Dir); err != nil {
		return nil, err
	}
	p.Coming = p.answer.Coming
	if p.answer.Rung == compile.Unknown {
		p.Local = []string{p.answer.Why}
		return p, nil
	}
	if err := d.prepare(ctx, &r, p); err != nil {
		return nil, fmt.Errorf("prepare a compile: %w", err)
	}
	return p, nil
}

func (d *Desk) prepare(ctx context.Context, r *Request, p *Prepared) error {
	var t *terms.Terms
	var chain string
	var err error
	turned := d.with(ctx, func() {
		if t, err = d.terms(ctx, r, p); err != nil || t == nil {
			return
		}
		if chain, err = d.toolchain(ctx, t); err != nil {
			p.Local, err = []string{err.Error()}, ctx.Err()
			return
		}
		err = d.step(ctx, r, p, t, chain)
	})
	return errors.Join(turned, err)
}

// toolchain is the digest of what the command runs and reads of this machine. It
// is asked for once a build; a worker compares it with its own at each run.
func (d *Desk) toolchain(ctx context.Context, t *terms.Terms) (string, error) {
	key := [2]string{t.Spec, t.Dirs}
	if chain, known := d.chains[key]; known {
		return chain, nil
	}
	chain, err := d.o.Toolchain(ctx, t.Spec, t.Dirs)
	if err == nil {
		d.chains[key] = chain
	}
	return chain, err
}

// terms decides as which step the command may go. It returns nil, and sets
// p.Local, if it may not.
func (d *Desk) terms(ctx context.Context, r *Request, p *Prepared) (*terms.Terms, error) {
	searched, _ := r.Getenv("PATH")
	run := d.toolsOf(p.Command, p.answer.Program, searched, r.Dir)
	if run.why != "" {
		p.Local = []string{run.why}
		return nil, nil
	}
	p.answer.Program = run.compiler
	k := &terms.Case{Command: p.Command, Answer: p.answer, Bound: d.bound, Terminal: r.Terminal, Installed: d.installed}
	if err := d.place(r, p, k, p.Command.Outputs); err != nil {
		p.Local = []string{err.Error()}
		return nil, nil //nolint:nilerr // that is a reason
	}
	k.Own = append(d.realDirs(p.answer.Own), p.answer.Missing...)
	if len(p.Command.Native) > 0 {
		var err error
		if k.Native, err = d.o.Inputs.Native(ctx, p.Command, r.Dir); err != nil {
			p.Local = []string{err.Error()}
			return nil, ctx.Err()
		}
	}
	p.at = k
	t, reasons := terms.Of(k)
	p.Local = reasons
	return t, nil
}

// place finds where the command works and writes, and adds the links that lead
// there to what it reads. An error is a reason not to run it elsewhere.
func (d *Desk) place(r *Request, p *Prepared, k *terms.Case, outputs []string) error {
	at, err := d.real(r.Dir)
	if err != nil {
		return fmt.Errorf("its working directory: %w", err)
	}
	p.dir, k.Dir = at.path, at.path
	links := [][]compile.Reference{p.answer.Links, at.links}
	if pwd, set := r.Getenv("PWD"); set && path.IsAbs(pwd) && path.Clean(pwd) == pwd && pwd != at.path {
		if other, err := d.real(pwd); err == nil && other.path == at.path {
			k.PWD = pwd
			links = append(links, other.links)
		}
	}
	for _, f := range p.fragments() {
		if _, err := os.Lstat(abs(at.path, f)); err == nil {
			return fmt.Errorf("-MJ: %s is there, and it may write to its end", f)
		}
	}
	for _, o := range outputs {
		dir, name := path.Split(abs(at.path, o))
		in, err := d.real(dir)
		if err != nil {
			return fmt.Errorf("the directory of its output %s: %w", o, err)
		}
		out := path.Join(in.path, name)
		if info, err := os.Lstat(out); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("its output %s is there and is no file", o)
		}
		links = append(links, in.links)
		p.answer.Dirs = append(p.answer.Dirs, in.left...)
		p.outputs = append(p.outputs, out)
	}
	k.Outputs, k.Answer.Dirs = p.outputs, p.answer.Dirs
	p.answer.Links = d.outside(slices.Concat(links...))
	k.Answer.Links = p.answer.Links
	return nil
}

// fragments are files that the command may write to the end of.
func (p *Prepared) fragments() []string {
	if p.Command == nil {
		return nil
	}
	return p.Command.Fragments
}

// outside returns links that are not within bound directories, each once.
func (d *Desk) outside(links []compile.Reference) []compile.Reference {
	var out []compile.Reference
	for _, l := range links {
		if !within(l.Path, d.bound) && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

func within(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool {
		return len(p) > len(d) && p[len(d)] == '/' && p[:len(d)] == d
	})
}

// step reads the files and makes the step.
func (d *Desk) step(ctx context.Context, r *Request, p *Prepared, t *terms.Terms, chain string) error {
	if err := d.ingest(ctx, p); err != nil {
		p.Local = []string{err.Error()}
		return ctx.Err()
	}
	if p.Work == Compiles {
		if why := d.twins(p); why != "" {
			p.Local = []string{why}
			return nil
		}
	}
	t, err := d.move(ctx, r, p, t)
	if err != nil {
		return err
	}
	root, blobs, err := d.forest.Root(p.laid())
	if err != nil {
		p.Local = []string{err.Error()}
		return nil //nolint:nilerr // that is a reason
	}
	for _, b := range blobs {
		d.lease.Hold(b.Digest)
		if _, err := store.AddBytes(ctx, d.o.Blobs, b.Content); err != nil {
			return fmt.Errorf("keep a directory: %w", err)
		}
	}
	id, timeout := r.ID, r.Timeout
	if id == "" {
		id = action.StepID(t.Outputs[0])
	}
	if timeout == 0 {
		timeout = defaultTimeout
	}
	p.Step = t.Step(id, root, chain, timeout)
	a, err := action.Assemble(ctx, &p.Step, nil, d.forest)
	if err != nil {
		return err
	}
	p.Action, p.Messages = a.Action, a.Blobs[len(a.Blobs)-2:]
	if p.Work != Compiles {
		return nil
	}
	return p.name()
}

// name finds the key of the command's manifest.
func (p *Prepared) name() error {
	command, err := p.Step.Command()
	if err != nil {
		return err
	}
	sources := make([]manifest.File, min(len(p.Command.Sources), len(p.files)))
	for i := range sources {
		sources[i] = manifest.File{Path: terms.There(p.root, p.files[i].Path), Digest: p.files[i].Digest}
	}
	p.key = manifest.KeyOf(command.Digest, sources)
	return nil
}

// ingest says what is in the files that the command reads. Those that were not
// looked at in this epoch are.
func (d *Desk) ingest(ctx context.Context, p *Prepared) error {
	var unknown []string
	for _, f := range p.answer.Files {
		if c := d.contents[f]; c == nil || c.epoch != d.epoch {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) > 0 {
		outs, err := d.o.Files.Ingest(ctx, unknown, d.lease.Hold)
		if err != nil {
			return err
		}
		for i, f := range unknown {
			d.keeps(f, outs[i].Digest)
			d.contents[f] = &content{tree.File{Path: f, Digest: outs[i].Digest, Executable: outs[i].Executable}, d.epoch, true}
		}
	}
	p.files = make([]tree.File, len(p.answer.Files))
	for i, f := range p.answer.Files {
		c := d.contents[f]
		c.given, p.files[i] = true, c.file
		p.InputBytes += p.files[i].Digest.Size()
		if p.Command != nil && i < len(p.Command.Sources) {
			p.SourceBytes += p.files[i].Digest.Size()
		}
	}
	return nil
}
