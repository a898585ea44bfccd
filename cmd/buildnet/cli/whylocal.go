package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// watching runs a build with what else the user wants to know of it: a trace, and
// why steps ran here.
func (a *app) watching(ctx context.Context, o buildFlags, root string, show *shown, build func(*shown) error) (err error) {
	if o.whyLocal && o.json {
		return usage{errors.New("--why-local is for people: with --json each step.finished has it in \"here\"; leave --why-local away")}
	}
	if o.trace != "" {
		file, err := os.Create(o.trace)
		if err != nil {
			return usage{fmt.Errorf("--trace: %w", err)}
		}
		t := &tracer{names: names{}}
		show.watchers = append(show.watchers, t.event)
		defer func() { err = errors.Join(err, t.write(file), file.Close()) }()
	}
	if !o.whyLocal {
		return build(show)
	}
	var here localSteps
	show.watchers = append(show.watchers, here.event)
	err = build(show)
	if here.steps == 0 && err == nil {
		if err := a.inSession(ctx, func(ctx context.Context, s session) error { return here.last(ctx, s, root) }); err != nil {
			return err
		}
	}
	return errors.Join(err, here.print(a))
}

// localSteps are steps that ran on this machine, and why.
type localSteps struct {
	steps int // that the build was about, wherever they ran
	build string
	list  []event.StepFinished
}

func (l *localSteps) event(e event.Event, _ time.Time) {
	s, ok := e.(event.StepFinished)
	if !ok || s.Status == event.Skipped || s.Status == event.NotRun {
		return
	}
	l.steps++
	if len(s.Here) > 0 {
		l.list = append(l.list, s)
	}
}

// last takes them from the newest build of a project that had something to do.
func (l *localSteps) last(ctx context.Context, s session, root string) error {
	records, err := s.Builds(ctx, 0)
	if err != nil {
		return err
	}
	for _, r := range records {
		var sum event.BuildFinished
		if r.Root != root || json.Unmarshal(r.Summary, &sum) != nil || sum.Executed+sum.CachedLocal+sum.CachedMesh+sum.Failed == 0 {
			continue
		}
		record, err := s.ShowBuild(ctx, r.Build)
		if err != nil {
			return err
		}
		l.take(record)
		return nil
	}
	return nil
}

func (l *localSteps) take(r api.BuildRecord) {
	l.build = r.Build
	for _, line := range r.Events {
		if e, err := event.Decode(line); err == nil { // else of a version that had other events
			l.event(e, r.Started)
		}
	}
}

func (l *localSteps) print(a *app) error {
	of := ""
	if l.build != "" {
		of = " of build " + l.build
	}
	switch {
	case l.steps == 0:
		return a.print("no build that had something to do is recorded\n")
	case len(l.list) == 0:
		return a.print("no step%s ran here: other machines ran them, or their results were known\n", of)
	}
	if err := a.print("%d of %s%s ran here:\n", len(l.list), plural(l.steps, "step"), of); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range l.list {
		fmt.Fprintf(w, "%s\t%s\n", s.Step, joined(s.Here))
	}
	return flush(w)
}
