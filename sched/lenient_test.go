package sched_test

import (
	"context"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// lenient makes the first of the outputs of a command alone, prints to both streams,
// and fails if its last argument ends with an odd digit.
func (m *runner) lenient(ctx context.Context, c *repb.Command) *action.Result {
	name := c.Arguments[len(c.Arguments)-1]
	keep := func(text string) digest.Digest {
		d := digest.Of(digest.BLAKE3, []byte(text))
		_ = (*shelf)(m).Put(ctx, action.Blob{Digest: d, Content: []byte(text)})
		return d
	}
	r := &action.Result{
		Isolation: action.Full, Stdout: keep("out of " + name), Stderr: keep("err of " + name),
		Outputs: []action.Output{{Path: c.OutputPaths[0], Kind: action.File, Digest: keep("made by " + name)}},
	}
	if odd(action.StepID(name)) {
		r.ExitCode, r.Cause, r.Message = 137, action.TimedOut, "killed after its time limit"
	}
	return r
}

func odd(id action.StepID) bool { return strings.ContainsAny(string(id[len(id)-1:]), "13579") }

// lenientSteps are what a client of the Remote Execution API asks for.
func (m *machine) lenientSteps(n int) []action.Step {
	steps := m.flat(n, "lenient").Steps()
	for i := range steps {
		s := &steps[i]
		s.Outputs = []string{string(s.ID) + ".a", string(s.ID) + ".b"}
		s.Platform = []action.Property{
			{Name: action.PropertyOutputs, Value: action.OutputsOptional},
			{Name: action.PropertyStreams, Value: action.StreamsApart},
		}
	}
	return steps
}

// What a lenient step made and printed comes to its initiator, whoever ran it and
// whoever leads, and also when it failed. What failed is not kept for others.
func TestLenientStepsComeBackWithAllThatTheyMade(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		const n = 12
		m := w.at(0)
		g, err := action.NewGraph(m.lenientSteps(n))
		if err != nil {
			t.Fatal(err)
		}
		for i, build := range []steal.BuildID{"first", "second"} {
			none, err := action.NewGraph(nil)
			if err != nil {
				t.Fatal(err)
			}
			d := m.diary(g, n)
			x, err := m.Open(t.Context(), sched.Build{ID: build, Plan: m.plan(none, steal.Modes{}, w.ids(1, 2)...)}, d)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- x.Run() }()
			d.adds(x, 0, n)
			x.Close()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for at := range g.Steps() {
				d.lenient(steal.Step(at))
			}
			for id, times := range w.executions() {
				if want := 1 + i; odd(id) && times != want || !odd(id) && times != 1 {
					t.Errorf("after build %s: %s ran %d times", build, id, times)
				}
			}
		}
		executors := map[peer.ID]bool{}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, r := range w.runs {
			executors[r.by] = true
		}
		if len(executors) < 2 {
			t.Error("one node ran all")
		}
	})
}

// lenient checks what came of a lenient step.
func (d *diary) lenient(at steal.Step) {
	t := d.m.w.t
	t.Helper()
	id, done := d.graph.Steps()[at].ID, d.finished[at]
	if done == nil {
		t.Errorf("%s is not finished: %s", id, d.failed[at])
		return
	}
	r := &done.Entry.Result
	if r.OK() == odd(id) || odd(id) && (r.Cause != action.TimedOut || r.ExitCode != 137) {
		t.Errorf("%s: exit code %d, %v, %q", id, r.ExitCode, r.Cause, r.Message)
	}
	if len(r.Outputs) != 1 || r.Outputs[0].Path != string(id)+".a" || r.Stdout.IsZero() || r.Stderr.IsZero() {
		t.Fatalf("%s came back as %+v", id, r)
	}
	for want, blob := range map[string]digest.Digest{"made by ": r.Outputs[0].Digest, "out of ": r.Stdout, "err of ": r.Stderr} {
		if b, err := (*shelf)(d.m).Get(t.Context(), blob, blob.Size()); err != nil || string(b) != want+string(id) {
			t.Errorf("%s%s is %q here, %v", want, id, b, err)
		}
	}
}
