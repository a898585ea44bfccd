package simulations

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/draw"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// SameRule is the name of the rule that Again checks: two runs of one seed have
// the same events.
const SameRule = "two runs of one seed are the same"

// Failure is a seed that broke a rule, or could not be run.
type Failure struct {
	Setting   *setting.Setting
	Violation check.Violation
	// Last are the events before it.
	Last []trace.Event
	// Again is the command that runs it again; "" is that of a drawn seed. With
	// Smaller it runs what this setting was made of, by Shrink.
	Again   string
	Smaller bool
}

// String tells everything that was drawn, what was broken, what came before,
// and how to see it again.
func (f *Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d broke the rule %q: %s\n\n%s\n", f.Setting.Seed, f.Violation.Rule, f.Violation.Text, draw.Describe(f.Setting))
	if len(f.Last) > 0 {
		names := make([]string, len(f.Setting.Nodes))
		for i := range names {
			names[i] = f.Setting.Nodes[i].Name
		}
		fmt.Fprintf(&b, "the last events:\n%s\n", trace.Lines(f.Last, names))
	}
	again := f.Again
	if again == "" {
		again = fmt.Sprintf("buildnet sim run chaos --seed %d", f.Setting.Seed)
	}
	if f.Smaller {
		fmt.Fprintf(&b, "where it came from: %s\nto come to this smaller one again: %s --shrink\n", again, again)
	} else {
		fmt.Fprintf(&b, "to see it again: %s\nto look for a smaller one: %s --shrink\n", again, again)
	}
	return b.String()
}

// Seeds runs n seeds from first on, each twice, on all cores, and returns those
// that fail, in their order. each, if not nil, is called for every seed that
// was run, one call at a time, in any order; its failure is nil if all is well.
// When ctx ends no further seed is begun, and those that are running do not
// count.
func Seeds(ctx context.Context, first uint64, n int, draw func(uint64) *setting.Setting, each func(*Outcome, *Failure)) []Failure {
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		next  int
		found = make([]*Failure, n)
	)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				out, failure := Twice(ctx, draw(first+uint64(i)))
				if out != nil && out.Stopped {
					return
				}
				mu.Lock()
				found[i] = failure
				if each != nil {
					each(out, failure)
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	var failures []Failure
	for _, f := range found {
		if f != nil {
			failures = append(failures, *f)
		}
	}
	return failures
}

// Twice runs a setting twice, once before all rules, and compares. The failure
// is nil if nothing is wrong.
func Twice(ctx context.Context, s *setting.Setting) (*Outcome, *Failure) {
	out, err := Run(ctx, s, Options{Rules: check.All()})
	switch {
	case err != nil:
		return nil, &Failure{Setting: s, Violation: check.Violation{Rule: "every setting can be run", Text: err.Error()}}
	case out.Stopped:
		return out, nil
	case out.Violation != nil:
		return out, &Failure{Setting: s, Violation: *out.Violation, Last: out.Last}
	}
	failure, done := Again(ctx, s, out.Hash, nil)
	if !done {
		return &Outcome{Stopped: true}, nil
	}
	return out, failure
}

// Again runs a setting once more, and compares with the hash of a run before.
// The failure is nil if it is the same. It is not done if ctx ended.
func Again(ctx context.Context, s *setting.Setting, hash uint64, progress func(Progress)) (f *Failure, done bool) {
	again, err := Run(ctx, s, Options{Progress: progress})
	switch {
	case err != nil || again.Stopped:
		return nil, false
	case again.Hash != hash:
		return differs(ctx, s), true
	}
	return nil, true
}

// differs finds the first event in which two runs of a setting are not the
// same.
func differs(ctx context.Context, s *setting.Setting) *Failure {
	f := &Failure{Setting: s, Violation: check.Violation{Rule: SameRule, Text: "the hashes of two runs differ"}}
	one := &record{}
	if out, err := Run(ctx, s, Options{Sinks: []trace.Sink{one}}); err != nil || out.Stopped {
		return f
	}
	recent := trace.NewRecent(lastEvents)
	other := &comparison{with: one.events, recent: recent}
	if out, err := Run(ctx, s, Options{Sinks: []trace.Sink{other}}); err != nil || out.Stopped || !other.differs {
		return f
	}
	f.Last = recent.Events()
	f.Violation.Text = fmt.Sprintf("event %d of two runs differs; in one it is the last of these, in the other it is: %s",
		other.at, strings.TrimSpace(other.other.String(nil)))
	return f
}

// record keeps all events.
type record struct{ events []trace.Event }

// Observe implements trace.Sink.
func (r *record) Observe(e *trace.Event) { r.events = append(r.events, *e) }

// comparison looks for the first event that is not the one of another run.
type comparison struct {
	with    []trace.Event
	recent  *trace.Recent
	at      int
	differs bool
	other   trace.Event
}

// Observe implements trace.Sink.
func (c *comparison) Observe(e *trace.Event) {
	if c.differs {
		return
	}
	c.recent.Observe(e)
	if c.at >= len(c.with) || c.with[c.at] != *e {
		c.differs = true
		c.other = trace.Blank(e.At, 0)
		if c.at < len(c.with) {
			c.other = c.with[c.at]
		}
		return
	}
	c.at++
}
