package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxSaid is how much a compile may print and be believed to have printed no
// more: what is longer was cut where it ran.
const maxSaid = 8<<20 - 1<<10

// Outcome is what became of a compile.
type Outcome struct {
	ExitCode int
	// Said is what it printed, byte for byte, in the order in which it did. A
	// compile that makes files prints on stderr alone.
	Said []byte
	// Suspect is why the result may not be what this machine would make, or "".
	// The command is to be run here then: nothing of the result was used.
	Suspect string
}

// Finish takes the result of the action act, which is that of p or one that Known
// named: outputs go into their places, and what was read is remembered. All
// blobs that r names are in the store. A result that is not believed is no error:
// see Outcome.Suspect.
func (d *Desk) Finish(ctx context.Context, p *Prepared, act digest.Digest, r *action.Result) (Outcome, error) {
	o, err := d.judge(ctx, p, r)
	if p.root != "" {
		back := *r
		back.Outputs, r = terms.Back(p.root, r.Outputs), &back
	}
	switch {
	case err != nil:
		return o, err
	case o.Suspect != "":
		return o, d.refuse(ctx, p, &o)
	}
	if o.Suspect, err = d.stale(ctx, p); err != nil || o.Suspect != "" {
		return o, err
	}
	if !r.OK() {
		return o, d.fail(ctx, p, o.Said)
	}
	if err := d.o.Files.Place(ctx, p.inOrder(r.Outputs), p.umask); err != nil {
		return o, fmt.Errorf("place what a compile made: %w", err)
	}
	if err := d.made(ctx, p.outputs, func() {}); err != nil {
		return o, err
	}
	if act != p.Action {
		return o, nil // what it read is known
	}
	return o, d.learn(ctx, p, r)
}

// inOrder puts what a command is run for last: with it there is all else, as its
// depfile, whatever ends this process in the middle.
func (p *Prepared) inOrder(outs []action.Output) []action.Output {
	first := func(o action.Output) bool { return "/"+o.Path == p.outputs[0] }
	return slices.Concat(slices.DeleteFunc(slices.Clone(outs), first), slices.DeleteFunc(slices.Clone(outs), func(o action.Output) bool { return !first(o) }))
}

// stale says that a file is not what the command was given, or "": what was made
// of the old one would look newer than the new one.
func (d *Desk) stale(ctx context.Context, p *Prepared) (string, error) {
	changed, err := d.changed(ctx, p.files)
	if err != nil || len(changed) == 0 {
		return "", err
	}
	return changed[0] + " was changed meanwhile", d.Made(ctx, changed...)
}

// fail does to earlier outputs what the compiler does when it fails. Of what a
// failed compile writes nevertheless, as its depfile, nothing comes back: what
// lies there stays.
func (d *Desk) fail(ctx context.Context, p *Prepared, said []byte) error {
	if len(p.outputs) == 0 || !terms.Removes(p.Command, said) {
		return nil
	}
	if err := os.Remove(p.outputs[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier compile made: %w", err)
	}
	return d.made(ctx, p.outputs[:1], func() {})
}

func (d *Desk) judge(ctx context.Context, p *Prepared, r *action.Result) (Outcome, error) {
	o := Outcome{ExitCode: r.ExitCode}
	if err := p.Step.Fits(r); err != nil {
		o.Suspect = err.Error()
		return o, nil //nolint:nilerr // that is why it is not believed
	}
	if !r.Isolation.Closed() {
		o.Suspect = "it ran where it could see more than was declared"
		return o, nil
	}
	for _, out := range r.Outputs {
		if out.Kind != action.File {
			o.Suspect = fmt.Sprintf("its output %s is no file", out.Path)
			return o, nil
		}
	}
	switch {
	case r.Stdout.Size() > maxSaid:
		o.Suspect = "it printed more than is kept"
		return o, nil
	case !r.Stdout.IsZero():
		var err error
		if o.Said, err = store.ReadAll(ctx, d.o.Blobs, r.Stdout, maxSaid); err != nil {
			return o, fmt.Errorf("what a compile printed: %w", err)
		}
	}
	if p.Work == Compiles {
		leak, err := d.leaks(ctx, p, r.Outputs)
		if err != nil {
			return o, fmt.Errorf("look for where an output was made: %w", err)
		}
		if leak != "" {
			o.Suspect = leak + " says where it was made"
			return o, nil
		}
		if p.root != "" {
			o.Said = bytes.ReplaceAll(o.Said, []byte(terms.Place), []byte(p.root))
		}
		o.Suspect = terms.Suspect(p.Command, r, o.Said, p.exists)
	} else {
		o.Suspect = terms.Doubted(r, o.Said, p.exists)
	}
	return o, nil
}

// exists reports whether a name that a compiler does not find is a file here.
func (p *Prepared) exists(name, from string) bool { return p.here(name, from, isFile) }

// here reports whether a name is that of a file that is wanted, in any of the
// places where it may be.
func (p *Prepared) here(name, from string, wanted func(file string) bool) bool {
	if path.IsAbs(name) {
		return wanted(name)
	}
	dirs := []string{p.dir}
	if from != "" {
		dirs = append(dirs, path.Dir(abs(p.dir, from)))
	}
	if p.Command != nil {
		for _, d := range p.Command.Dirs {
			dirs = append(dirs, abs(p.dir, d.Path))
		}
	}
	for _, d := range slices.Concat(dirs, p.looked, p.answer.Own) {
		if wanted(d + "/" + name) {
			return true
		}
	}
	return false
}

func isFile(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular()
}
