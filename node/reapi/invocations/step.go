package invocations

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxName bounds the name of a step in bytes.
	maxName = 1 << 10
	// maxWorker bounds what a result says of who executed it.
	maxWorker = 128
)

// Ask is a step as its client asked for it.
type Ask struct {
	// Action is in the client's function.
	Action digest.Digest
	Said   *repb.RequestMetadata
	// Outputs are what it makes, in the client's names.
	Outputs []string
}

// name is for people: what kind of action it is, and what it makes. The same action
// has the same name whether it is executed or known.
func (a *Ask) name() string {
	what := a.Said.GetTargetId()
	if len(a.Outputs) > 0 {
		what = slices.MinFunc(a.Outputs, before)
	}
	name := strings.TrimSpace(printable(a.Said.GetActionMnemonic() + " " + what))
	if what == "" {
		name = strings.TrimSpace(name + " " + a.Action.Hex()[:12])
	}
	return name
}

// before has depfiles behind what they are of.
func before(a, b string) int {
	if d := strings.HasSuffix(a, ".d"); d != strings.HasSuffix(b, ".d") {
		if d {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

// Asked is the ask as events have it.
func (a *Ask) Asked() *event.Asked {
	return &event.Asked{Action: a.Action.String(), Mnemonic: printable(a.Said.GetActionMnemonic()), Target: printable(a.Said.GetTargetId())}
}

// printable is text of a client's that does nothing to a terminal.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxName {
		text = strings.ToValidUTF8(text[:maxName], "")
	}
	return text
}

// Plan returns the name of a step that is going to be executed, which no other has.
// Done or Undone is to follow.
func (i *Invocation) Plan(a *Ask) action.StepID {
	id, _ := i.plan(a, false)
	return id
}

// plan returns known if the step is one whose result was told already, and that is
// enough.
func (i *Invocation) plan(a *Ask, enough bool) (id action.StepID, known bool) {
	want := wanted{a.name(), a.Action}
	i.mu.Lock()
	defer i.mu.Unlock()
	if enough && i.names.told[want] {
		return "", true
	}
	i.planned++
	i.numbered = i.numbered || len(i.names.taken) >= maxNames || i.log.Cut()
	delete(i.unfinished, a.Action)
	i.tally.Resize(0, 1)
	if i.numbered {
		return action.StepID(fmt.Sprintf("%s #%d", want.name, i.planned)), false
	}
	return i.names.take(want), false
}

// Done tells of a planned step that is over.
func (i *Invocation) Done(e event.StepFinished, ran bool, saved time.Duration) {
	i.b.count(&e)
	e.SavedMS = saved.Milliseconds()
	i.tally.Once(e, ran, saved)
}

// Undone says that a planned step came to nothing. If it is not asked for again it
// was not run.
func (i *Invocation) Undone(a *Ask) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.names.told, wanted{a.name(), a.Action})
	i.tally.Resize(1, 0)
	if len(i.unfinished) < maxUnfinished {
		i.unfinished[a.Action] = true
	}
}

// Here says why a step was executed on this node.
func (i *Invocation) Here(why string) { i.tally.Local(why) }

// Known tells of a result that was known when a client asked for it.
func (i *Invocation) Known(act digest.Digest, said *repb.RequestMetadata, r *repb.ActionResult) {
	a := &Ask{act, said, made(r)}
	id, known := i.plan(a, true)
	if known {
		return
	}
	m := r.GetExecutionMetadata()
	e := event.StepFinished{
		Step: string(id), Digest: act.String(), Peer: printable(m.GetWorker()), Status: event.CachedMesh, Asked: a.Asked(),
	}
	switch {
	case e.Peer == string(i.b.opts.Self):
		e.Status = event.CachedLocal
	case len(e.Peer) > maxWorker:
		e.Peer = ""
	}
	i.Done(e, false, ranFor(m))
}

// byClient is why nobody here ran a step.
const byClient = "its client ran it, and gave the result"

// Given tells of a result that a client brought.
func (i *Invocation) Given(act digest.Digest, said *repb.RequestMetadata, r *repb.ActionResult) {
	a := &Ask{act, said, made(r)}
	id, known := i.plan(a, true)
	if known {
		return
	}
	i.Done(event.StepFinished{
		Step: string(id), Digest: act.String(), Status: event.Executed, RunMS: ranFor(r.GetExecutionMetadata()).Milliseconds(),
		Here: []string{byClient}, Asked: a.Asked(),
	}, false, 0)
}

// made are the outputs of a result.
//
//nolint:staticcheck // clients of REAPI 2.0 have links in the two older fields
func made(r *repb.ActionResult) (all []string) {
	for _, f := range r.GetOutputFiles() {
		all = append(all, f.GetPath())
	}
	for _, d := range r.GetOutputDirectories() {
		all = append(all, d.GetPath())
	}
	for _, links := range [][]*repb.OutputSymlink{r.GetOutputSymlinks(), r.GetOutputFileSymlinks(), r.GetOutputDirectorySymlinks()} {
		for _, l := range links {
			all = append(all, l.GetPath())
		}
	}
	for n, p := range all {
		all[n] = path.Clean(p)
	}
	return all
}

// maxRan is what a result is believed to have taken.
const maxRan = 24 * time.Hour

// ranFor is how long an action was executed; 0 where that is not known.
func ranFor(m *repb.ExecutedActionMetadata) time.Duration {
	d := m.GetVirtualExecutionDuration().AsDuration()
	if d == 0 && m.GetExecutionStartTimestamp() != nil && m.GetExecutionCompletedTimestamp() != nil {
		d = m.GetExecutionCompletedTimestamp().AsTime().Sub(m.GetExecutionStartTimestamp().AsTime())
	}
	return min(max(d, 0), maxRan)
}
