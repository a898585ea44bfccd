package cli

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// plain shows a build as lines: talk on stderr, the summary on stdout.
type plain struct {
	out, talk io.Writer
	names     names
}

func newPlain(out, talk io.Writer) *plain { return &plain{out: out, talk: talk, names: names{}} }

// event implements view.
func (p *plain) event(e event.Event) {
	if s, ok := e.(event.BuildStarted); ok {
		p.names = s.Names
	}
	if f, ok := e.(event.BuildFinished); ok {
		fmt.Fprint(p.out, summaryOf(f, p.names))
		return
	}
	if text := p.names.describe(e); text != "" {
		fmt.Fprintln(p.talk, strings.TrimRight(text, "\n"))
	}
}

func (*plain) close() {}

// names are the host names of peers.
type names map[string]string

// of returns what to call a peer.
func (n names) of(peer string) string {
	if name := n[peer]; name != "" {
		return name
	}
	return peer[max(0, len(peer)-8):]
}

// describe says what happened in one line, or several where it has output; ""
// for what is not worth one.
func (n names) describe(e event.Event) string {
	switch e := e.(type) {
	case event.BuildQueued:
		return fmt.Sprintf("waiting for build %s of the same project", e.Behind)
	case event.BuildStarted:
		return fmt.Sprintf("build %s of %s: %s, %s", e.Build, e.Root, plural(e.Steps, "step"), plural(e.Members, "machine"))
	case event.BuildExpected:
		return fmt.Sprintf("%s to do, about %s", plural(e.Steps, "step"), age(time.Duration(e.ETAMS)*time.Millisecond))
	case event.LeaderElected:
		if e.Epoch > 1 && e.Heir == "" { // whose change is no news for people
			return fmt.Sprintf("%s leads from now on (epoch %d)", n.of(e.Leader), e.Epoch)
		}
	case event.StepFinished:
		return n.describeStep(e)
	case event.StepOutput:
		return fmt.Sprintf("%s printed:\n%s", e.Step, e.Output)
	case event.Notice:
		if e.Level == event.Warning {
			return "WARNING: " + e.Text
		}
		return e.Text
	case event.HookStarted:
		return fmt.Sprintf("%s: running %s", e.Package, e.Hook)
	case event.HookFinished:
		return describeHook(e)
	}
	return ""
}

func describeHook(e event.HookFinished) string {
	text := ""
	if e.ExitCode != 0 {
		text = fmt.Sprintf("FAILED: %s of %s: exit %d\n", e.Hook, e.Package, e.ExitCode)
	}
	return text + e.Output
}

// describeStep says what came of a step that was executed.
func (n names) describeStep(e event.StepFinished) string {
	at := fmt.Sprintf("[%d/%d] %s", e.Done, e.Steps, e.Step)
	switch e.Status {
	case event.Executed:
		text := fmt.Sprintf("%s: %s in %s", at, n.of(e.Peer), seconds(time.Duration(e.RunMS)*time.Millisecond))
		if e.ETAMS > 0 {
			text += fmt.Sprintf(", about %s left", age(time.Duration(e.ETAMS)*time.Millisecond))
		}
		return text
	case event.Failed:
		return n.describeFailure(e)
	default:
		return ""
	}
}

// describeFailure has everything that a user needs to understand it.
func (n names) describeFailure(e event.StepFinished) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FAILED: %s", e.Step)
	if e.Peer != "" {
		fmt.Fprintf(&b, " on %s", n.of(e.Peer))
	}
	if f := e.Failure; f != nil {
		switch {
		case f.Message != "":
			fmt.Fprintf(&b, ": %s", f.Message)
		default:
			fmt.Fprintf(&b, ": exit %d", f.ExitCode)
		}
		if len(f.Command) > 0 {
			fmt.Fprintf(&b, "\n  in %s: %s", path.Join(".", f.Dir), shellQuoted(f.Command))
		}
		if f.Output != "" {
			fmt.Fprintf(&b, "\n%s", strings.TrimRight(f.Output, "\n"))
		}
	}
	fmt.Fprintf(&b, "\n  see it again: buildnet builds show %s\n", e.Build)
	return b.String()
}
