package remote

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/node/compile/remote/tree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxSettling bounds how long a run waits until a change of an input would show.
const maxSettling = 25 * time.Millisecond

// Run is a command that runs on this machine as an ordinary process, and of which
// it is known afterwards whether its result is that of its action. See
// docs/design/2026-11-26-alone.md.
type Run struct {
	p *Prepared
	// Wait is how long it has to be waited before it begins: until then a change of
	// an input may not show.
	Wait time.Duration
	// Set by Began.
	began  time.Time
	before []os.FileInfo // of outputs; nil for those that were not there

	crossed string // guarded by the desk's turn: an output that something else wrote
}

// Directly says whether p, made of r, may run as an ordinary process with the
// variables env and have a result that counts everywhere: else why not.
func (d *Desk) Directly(r *Request, p *Prepared, env []string) (run *Run, why string) {
	if why := p.unsure(r, env); why != "" {
		return nil, why
	}
	wait := d.o.Files.Settling(seen(p.files))
	if wait > maxSettling {
		return nil, "an input was written just now"
	}
	return &Run{p: p, Wait: wait}, ""
}

// unsure is why what the command reads, were it not confined, would not be known.
func (p *Prepared) unsure(r *Request, env []string) string {
	switch {
	case len(p.Local) > 0:
		return p.Local[0]
	case p.root != "":
		return "it is the same in every checkout only elsewhere"
	case r.Dir != p.dir || p.at != nil && p.at.PWD != "":
		return "its working directory has another name"
	case r.Terminal:
		return "its messages go to a terminal"
	}
	for _, v := range env {
		if terms.Steers(v) {
			name, _, _ := strings.Cut(v, "=")
			return "the environment has " + name
		}
	}
	if p.Work == Archives { // it reads what it names
		for _, f := range p.files {
			if slices.Contains(p.outputs, f.Path) {
				return "it reads what it writes"
			}
		}
		return ""
	}
	return p.unread(r)
}

// unread is why the depfile of a compile would not name all that it reads.
func (p *Prepared) unread(r *Request) string {
	commands, err := r.commands()
	switch {
	case p.Work != Compiles || err != nil || len(commands) != 1:
		return "nothing says what it reads"
	case p.answer.Rung != compile.Scanned:
		return p.answer.Why
	case !narrows(p.Command):
		return "it makes no depfile of all that it reads"
	case p.Command.Assembles() || len(p.answer.Silent) > 0:
		return "the assembler reads files of its own"
	case p.answer.Wrought != "":
		return "macros make assembler in " + p.answer.Wrought
	case len(p.Command.Native) > 0:
		return p.Command.Native[0] + " is this machine"
	case slices.ContainsFunc(commands[0], func(a string) bool { return strings.HasPrefix(a, "@") }):
		return "a response file may change"
	}
	return ""
}

// seen are files as Files has them.
func seen(files []tree.File) []action.Output {
	all := make([]action.Output, len(files))
	for i, f := range files {
		all[i] = action.Output{Path: f.Path[1:], Kind: action.File, Digest: f.Digest, Executable: f.Executable}
	}
	return all
}

// Began says that the command of run is about to begin. Ended has to follow.
func (d *Desk) Began(ctx context.Context, run *Run) error {
	return d.with(ctx, func() {
		run.began = time.Now()
		run.before = make([]os.FileInfo, len(run.p.outputs))
		for i, o := range run.p.outputs {
			run.before[i], _ = os.Lstat(o)
			d.cross(o)
			if d.direct[o] != nil {
				run.crossed = o
			}
			d.direct[o] = run
		}
	})
}

// cross notes that something else writes a file that a run writes.
func (d *Desk) cross(p string) {
	if other := d.direct[p]; other != nil {
		other.crossed = p
	}
}

// Ended says that the command of run has ended, or will not be heard of any more.
func (d *Desk) Ended(run *Run) {
	d.turn <- struct{}{} // nobody has it for long
	defer func() { <-d.turn }()
	for _, o := range run.p.outputs {
		if d.direct[o] == run {
			delete(d.direct, o)
		}
	}
}

// Ran is what came of a command that has succeeded.
type Ran struct {
	Said   []byte
	Wall   time.Duration
	CPU    time.Duration
	MaxRSS int64 // bytes
}

// Proof is what is known of a run.
type Proof struct {
	// Why the result is for nobody else; "" if it is that of the action, and then
	// there is what follows. All blobs are in the store.
	Why    string
	Result action.Result
	Blobs  []digest.Digest
}

// Prove takes what a run made that has succeeded, and says whether it is what the
// action makes anywhere: whether all that it read was an input, and none of it
// changed from before it began. hold holds what goes into the store. It comes
// before anything else may write to the outputs, and before Ended.
func (d *Desk) Prove(ctx context.Context, run *Run, ran Ran, hold func(...digest.Digest)) (Proof, error) {
	res := action.Result{Isolation: action.Proven, Wall: ran.Wall, CPU: ran.CPU, MaxRSS: ran.MaxRSS}
	why, err := d.gather(ctx, run, &res, hold)
	if why == "" && err == nil {
		why, err = d.doubt(ctx, run, &res, ran.Said)
	}
	if why != "" || err != nil {
		return Proof{Why: why}, err
	}
	if len(ran.Said) > 0 {
		said := digest.Of(digest.BLAKE3, ran.Said)
		hold(said)
		if res.Stdout, err = store.AddBytes(ctx, d.o.Blobs, ran.Said); err != nil {
			return Proof{}, fmt.Errorf("keep what a command printed: %w", err)
		}
	}
	proof := Proof{Result: res}
	for _, o := range res.Outputs {
		proof.Blobs = append(proof.Blobs, o.Digest)
	}
	if !res.Stdout.IsZero() {
		proof.Blobs = append(proof.Blobs, res.Stdout)
	}
	return proof, d.learn(ctx, run.p, &res)
}

// gather brings the outputs into the store.
func (d *Desk) gather(ctx context.Context, run *Run, res *action.Result, hold func(...digest.Digest)) (why string, err error) {
	p := run.p
	for i, o := range p.outputs {
		now, err := os.Lstat(o)
		switch {
		case err != nil:
			return "it did not make " + o, nil //nolint:nilerr // that is why
		case !now.Mode().IsRegular():
			return o + " is no file", nil
		case run.before[i] != nil && os.SameFile(run.before[i], now) && now.ModTime().Equal(run.before[i].ModTime()):
			return "it left " + o + " as it was", nil
		}
	}
	var epoch uint64
	if err := d.with(ctx, func() { epoch = d.epoch }); err != nil {
		return "", err
	}
	outs, err := d.o.Files.Ingest(ctx, p.outputs, hold)
	if err != nil {
		return "", err
	}
	if err := d.o.Inputs.Made(ctx, p.outputs...); err != nil {
		return "", err
	}
	err = d.with(ctx, func() {
		clear(d.ways) // links may lead elsewhere now
		for i, o := range p.outputs {
			d.keeps(o, outs[i].Digest)
			d.contents[o] = &content{tree.File{Path: o, Digest: outs[i].Digest, Executable: outs[i].Executable}, epoch, false}
		}
	})
	slices.SortFunc(outs, func(a, b action.Output) int { return strings.Compare(a.Path, b.Path) })
	res.Outputs = outs
	return "", err
}

// doubt is why a result may not be that of the action.
func (d *Desk) doubt(ctx context.Context, run *Run, res *action.Result, said []byte) (string, error) {
	p := run.p
	if err := p.Step.Fits(res); err != nil {
		return err.Error(), nil //nolint:nilerr // that is why
	}
	if len(said) > maxSaid {
		return "it printed more than is kept", nil
	}
	if p.Work == Compiles {
		if why := terms.Suspect(p.Command, res, said, p.exists); why != "" {
			return why, nil
		}
		named, err := d.depfile(ctx, p, res)
		if err != nil {
			return "", err
		}
		if _, ok := d.runOf(p, named); !ok {
			return "it read a file that it was not expected to", nil
		}
	} else if why := terms.Doubted(res, said, p.exists); why != "" {
		return why, nil
	}
	var bound []string
	crossed := ""
	if err := d.with(ctx, func() { bound, crossed = d.bound, run.crossed }); err != nil {
		return "", err
	}
	if crossed != "" {
		return "something else wrote " + crossed + " meanwhile", nil
	}
	if why := p.strayed(bound); why != "" {
		return why, nil
	}
	if f := d.o.Files.Held(ctx, seen(p.files), run.began); f != "" {
		return f + " may have changed while it ran", nil
	}
	same, err := d.o.Current(ctx, &p.Step)
	if err != nil || !same {
		return "its programs may have changed while it ran", ctx.Err()
	}
	return "", nil
}

// strayed is what of the way to the inputs, or of what was not there, is another
// now: nothing in the depfile says what was asked for in vain. For the bound
// directories the toolchain answers.
func (p *Prepared) strayed(bound []string) string {
	for _, l := range p.answer.Links {
		if target, err := os.Readlink(l.Path); err != nil || target != l.Target {
			return "the link " + l.Path + " leads elsewhere"
		}
	}
	for _, a := range p.answer.Absent {
		if within(a, bound) {
			continue
		}
		if info, err := os.Lstat(a); err == nil && !info.IsDir() {
			return a + " has appeared"
		}
	}
	return ""
}
