package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

const (
	// findTime is how long a build is looked for: when its initiator has just
	// died its heir has to find that out first.
	findTime = 10 * time.Second
	// findAgain is the pause between two looks. Where a member has a build and
	// then says nothing of it, the pauses grow up to findTime.
	findAgain = 250 * time.Millisecond
	// maxClosing bounds the results of a build that is followed, in bytes: those of
	// a million steps.
	maxClosing = 256 << 20
)

// ErrNoBuild says that no member has a build, or goes on with it.
var ErrNoBuild = errors.New("no member of the mesh has this build")

// ErrAmbiguous says that a user may mean several builds.
var ErrAmbiguous = errors.New("several builds begin so")

// ErrPlace says that the outputs of a build may not be brought where they were to
// go.
var ErrPlace = errors.New("no place for the outputs of a build")

// Attachment is what a user asks for who follows a build of another machine.
type Attachment struct {
	// Build is its ID, or the beginning of one.
	Build string
	// Root is where its outputs are to be brought, an absolute path: a project,
	// which gets what its configuration declares, or an empty directory.
	Root string
	// Files is the tree at Root with the user's rights; nil is with this process'
	// own.
	Files worktree.Files
}

// Attach follows a build wherever it runs, be it that an heir goes on with it,
// and brings its outputs to Root. It tells of it through emit as Build does. It
// returns ErrNoBuild if nobody has the build, ErrAmbiguous if there are several,
// ErrPlace if Root is no place for its
// outputs, and the build's own failure like Build.
func (b *Builder) Attach(ctx context.Context, a Attachment, emit func(event.Event)) error {
	f := &follower{b: b, a: a, emit: emit, lease: b.opts.Store.Lease()}
	defer f.lease.Release()
	if err := f.inTurn(ctx, func(*destination) error { return nil }); err != nil {
		return err
	}
	for pause := findAgain; ; pause = min(2*pause, findTime) {
		at, err := b.locate(ctx, f.a.Build)
		if err != nil {
			return err
		}
		err = f.follow(ctx, at)
		switch {
		case f.ended:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		f.emit(event.Notice{Build: a.Build, Level: event.Warning, Text: fmt.Sprintf("%s is lost: looking for who goes on", at.Short())})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// locate asks all members for a build until one has it.
func (b *Builder) locate(ctx context.Context, id string) (peer.ID, error) {
	deadline := time.Now().Add(findTime)
	for {
		at, err := choose(id, b.lookFor(ctx, id))
		if err == nil || !errors.Is(err, ErrNoBuild) || time.Now().After(deadline) {
			return at, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(findAgain):
		}
	}
}

// word is what a member says of a build.
type word struct {
	by peer.ID
	reply
}

// lookFor asks all at once.
func (b *Builder) lookFor(ctx context.Context, id string) (answers []word) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, m := range b.opts.Members() {
		if m.State != peer.Alive && !m.Self {
			continue
		}
		asking.Go(func() {
			a, _, s, err := b.ask(ctx, m.ID, question{askFind, id})
			if err != nil {
				return
			}
			_ = s.Close()
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, word{m.ID, a})
		})
	}
	asking.Wait()
	return answers
}

// choose returns whom to follow for the build that a user means. Of several it
// takes one that runs, and of those the one that lives longest: an heir goes on
// beside an initiator that was only cut off.
func choose(id string, answers []word) (peer.ID, error) {
	var builds []steal.BuildID
	for _, a := range answers {
		if a.Build != "" {
			builds = append(builds, steal.BuildID(a.Build))
		}
		for _, m := range a.Matches {
			builds = append(builds, steal.BuildID(m))
		}
	}
	names := meant(id, builds)
	if len(names) > 1 {
		return "", fmt.Errorf("build %s: %w: %s; give more of it", id, ErrAmbiguous, strings.Join(names[:min(len(names), maxMatches)], ", "))
	}
	var best word
	for _, a := range answers {
		first, _ := sched.Family(steal.BuildID(a.Build))
		if a.Build != "" && len(names) == 1 && string(first) == names[0] && (best.by == "" || a.before(best.reply)) {
			best = a
		}
	}
	if best.by == "" {
		return "", fmt.Errorf("build %s: %w", id, ErrNoBuild)
	}
	return best.by, nil
}

func (a reply) before(b reply) bool {
	_, older := sched.Family(steal.BuildID(a.Build))
	_, younger := sched.Family(steal.BuildID(b.Build))
	if a.Ended != b.Ended {
		return b.Ended
	}
	if a.Ended {
		return older > younger
	}
	return older < younger
}

// follower follows one build.
type follower struct {
	b     *Builder
	a     Attachment
	emit  func(event.Event)
	lease store.Lease
	ended bool // the build
	last  *event.BuildFinished
}

// inTurn does something where the outputs go while no build works there. Who only
// follows holds up nobody.
func (f *follower) inTurn(ctx context.Context, do func(*destination) error) error {
	leave, err := f.b.queue.enter(ctx, f.a.Root, f.a.Build, f.emit)
	if err != nil {
		return err
	}
	defer leave()
	d, err := f.destination(ctx)
	if err != nil {
		return err
	}
	return do(d)
}

// follow tells what a member tells of the build, and brings its outputs here.
func (f *follower) follow(ctx context.Context, at peer.ID) error {
	a, lines, s, err := f.b.ask(ctx, at, question{askFollow, f.a.Build})
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if !means(f.a.Build, steal.BuildID(a.Build)) {
		return ErrNoBuild
	}
	// Whoever goes on with it, it is this build, and no other that begins so.
	first, _ := sched.Family(steal.BuildID(a.Build))
	f.a.Build = string(first)
	results, err := f.read(lines)
	if err != nil {
		return err
	}
	f.ended = true
	return f.conclude(ctx, at, results)
}

// read tells of events until the build has ended, and returns its results.
func (f *follower) read(lines *bufio.Reader) ([]*action.Result, error) {
	var results []*action.Result
	size := 0
	for {
		l, err := line(lines, maxLine)
		if err != nil {
			return nil, err
		}
		if kindOf(l) == "" {
			r, end, err := closingOf(l)
			size += len(l)
			switch {
			case err != nil:
				return nil, err
			case end:
				return results, nil
			case len(results) == action.MaxSteps || size > maxClosing:
				return nil, fmt.Errorf("%w: more than %d results, or %d bytes of them", errLine, action.MaxSteps, maxClosing)
			}
			results = append(results, r)
			continue
		}
		e, err := event.Decode(l)
		if err != nil {
			continue // of another version
		}
		if last, ok := e.(event.BuildFinished); ok {
			f.last = &last
			continue
		}
		f.emit(e)
	}
}

// conclude brings the outputs into the tree, and tells the end.
func (f *follower) conclude(ctx context.Context, at peer.ID, results []*action.Result) error {
	if f.last == nil {
		return fmt.Errorf("build %s: %w: it has no end", f.a.Build, errLine)
	}
	err := f.inTurn(ctx, func(d *destination) error { return d.take(ctx, at, results) })
	if err != nil {
		f.last.OK, f.last.Error = false, err.Error()
	}
	f.emit(*f.last)
	if err == nil && !f.last.OK {
		err = errSteps
	}
	return err
}

// take brings the outputs into the tree. The member that tells of them is not
// the one that the user has chosen: any may say that it has the build.
func (d *destination) take(ctx context.Context, at peer.ID, results []*action.Result) error {
	var outs []action.Output
	for _, res := range results {
		outs = append(outs, res.Outputs...)
	}
	if err := d.allows(outs); err != nil {
		return err
	}
	for _, res := range results {
		if err := d.fetch(ctx, res, []peer.ID{at}); err != nil {
			return fmt.Errorf("bring the outputs here: %w", err)
		}
	}
	if _, err := d.tree.Place(ctx, worktree.Placement{Outputs: outs}); err != nil {
		return fmt.Errorf("bring the outputs into the tree: %w", err)
	}
	return nil
}
