package invocation

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/compile/remote"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

// sourcesOfPart is how many sources a step has of a command that lists what they
// would read. The preprocessor takes some 30 ms for each, and what is around a step
// as long.
const sourcesOfPart = 8

// errUnlisted says that a command which lists is to be run here, in one piece.
var errUnlisted = errors.New("it cannot be listed in parts")

// list has a command that lists what its sources would read done in parts, by
// whoever has time: nothing else of the build goes on before it has ended, as a
// makefile includes what it prints. Where that is not to be it reports so, and
// nothing has come of it.
func (t *task) list(ctx context.Context) (res api.CommandResult, ok bool, err error) {
	v := t.v
	if !t.c.Stdout || v.lone() != "" {
		return res, false, nil
	}
	argvs, err := v.visit.Listing(ctx, t.request(), sourcesOfPart)
	if err != nil || len(argvs) < 2 { // who looks into it next says why
		return res, false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make([]*part, len(argvs))
	var all sync.WaitGroup
	for i, argv := range argvs {
		c := *t.c
		c.Argv, c.Name, c.Stdout = argv, "", false
		parts[i] = &part{task: task{v: v, c: &c, began: time.Now()}}
		all.Go(func() {
			if parts[i].err = parts[i].list(ctx); parts[i].err != nil {
				cancel()
			}
		})
	}
	all.Wait()
	for _, p := range parts {
		if p.err != nil {
			return res, false, nil
		}
		res.Output = append(res.Output, p.said...)
		res.RunMS += p.res.RunMS
	}
	last := parts[len(parts)-1].res
	res.Stdout, res.How, res.Peer, res.Action = true, last.How, last.Peer, last.Action
	v.tally.Resize(1, 0) // its parts count
	return res, true, nil
}

// part is some of the sources of such a command.
type part struct {
	task
	said []byte
	res  api.CommandResult
	err  error
}

func (p *part) list(ctx context.Context) error {
	v := p.v
	r := p.request()
	r.Lists, r.ID = true, "listing"
	r.Checkout = "" // gcc prints real paths of some headers
	var err error
	if p.p, err = v.visit.Prepare(ctx, r); err != nil {
		return err
	}
	if len(p.p.Local) > 0 {
		return errUnlisted
	}
	p.nameIt()
	v.tally.Resize(0, 1)
	err = p.run(ctx)
	if err != nil {
		p.finished(event.StepFinished{Status: event.NotRun}, false, 0)
	}
	return err
}

// nameIt names it by its first source, as seen from the root.
func (p *part) nameIt() {
	first := p.p.Command.Sources[0].Path
	if !path.IsAbs(first) {
		first = path.Join(p.c.Dir, first)
	}
	if rel, err := filepath.Rel(p.v.req.Root, first); err == nil && !strings.HasPrefix(rel, "../") {
		first = rel
	}
	p.name = p.v.name("headers of " + first)
	p.p.Step.ID = p.name
}

func (p *part) run(ctx context.Context) error {
	v := p.v
	if err := p.note(ctx); err != nil {
		return err
	}
	e, err := p.known(ctx)
	if err != nil {
		return err
	}
	d, how := &steal.Done{How: steal.Found}, event.CachedLocal
	if e != nil {
		d.Entry = *e
	} else {
		step := p.p.Step
		v.hint(&step, p.p.SourceBytes)
		if d, err = v.queue.Run(ctx, step, nil); err != nil {
			return err
		}
		how = v.how(d)
	}
	return p.take(ctx, d, how)
}

// take takes what was printed, if it is all that the command prints on stdout, and
// nothing else.
func (p *part) take(ctx context.Context, d *steal.Done, how event.Status) error {
	o, err := p.v.visit.Finish(ctx, p.p, d.Entry.Action, &d.Entry.Result)
	switch {
	case err != nil:
		return err
	case o.Suspect != "" || o.ExitCode != 0 || !p.p.Command.Listed(string(o.Said)):
		return errUnlisted
	}
	p.said = slices.Clone(o.Said)
	p.res = api.CommandResult{How: how, Peer: string(d.Entry.Executor), RunMS: d.Entry.Result.Wall.Milliseconds(), Action: d.Entry.Action.String()}
	if d.How == steal.Executed {
		p.remember(ctx)
	}
	p.tell(d, &remote.Outcome{}, &p.res) // nothing of it is for people
	return nil
}
