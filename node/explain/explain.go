// Package explain says why a step of a build was run, and why where it was: from
// what the build told of it, from what the build before it told, and from what
// the actions of both were made of. compare.go is pure but for what it reads.
// Start reading at Step.
package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

const (
	// maxBefore is how many builds are looked through for one that had the step.
	maxBefore = 200
	// maxNamed bounds the steps that are named where one is to be chosen.
	maxNamed = 10
	// maxBecause bounds a chain of reasons.
	maxBecause = 20
)

// ErrNoStep says that a build told nothing of a step.
var ErrNoStep = errors.New("no such step")

// ErrSeveralSteps says that a name is that of more than one step.
var ErrSeveralSteps = errors.New("several steps are called so")

// History is the records of builds.
type History interface {
	// Get returns the record of a build with its events.
	Get(id string) (history.Record, error)
	// List returns the newest records without; all for 0.
	List(n int) ([]history.Record, error)
}

// Step explains a step of a build. id is as for History.Get.
func Step(ctx context.Context, h History, read Reader, id, step string) (event.Explanation, error) {
	r, err := h.Get(id)
	if err != nil {
		return event.Explanation{}, err
	}
	b, err := readBuild(r)
	if err != nil {
		return event.Explanation{}, err
	}
	s, err := b.find(step)
	if err != nil {
		return event.Explanation{}, fmt.Errorf("%w in build %s", err, r.ID)
	}
	step = s.Step
	x := event.Explanation{Build: r.ID, Root: r.Root, Started: r.Started, Step: s, Because: b.because(s), Policy: b.policy, Names: b.names}
	if s.Digest == "" {
		x.Unknown = "no action was made of it"
		return x, nil
	}
	before, then, err := earlier(h, r, step)
	if err != nil || before == "" {
		return x, err
	}
	x.Before = before
	was, is := actionOf(then), actionOf(s)
	if was != is {
		if x.Differences, x.More, err = between(ctx, read, was, is); err != nil {
			x.Unknown = err.Error()
		}
	}
	if d, differs := toolchains(then, s); differs {
		x.Differences = append(x.Differences, d)
	}
	x.Same = was == is && len(x.Differences) == 0
	return x, ctx.Err()
}

// actionOf is the digest of the action that the step's user knows: of a client of the
// Remote Execution API its own, which has no toolchain in it.
func actionOf(s event.StepFinished) string {
	if s.Asked != nil {
		return s.Asked.Action
	}
	return s.Digest
}

// toolchains tells whether a client's action ran other programs than before.
func toolchains(then, now event.StepFinished) (event.Difference, bool) {
	if then.Asked == nil || now.Asked == nil {
		return event.Difference{}, false
	}
	was, is := then.Asked.Toolchain, now.Asked.Toolchain
	return event.Difference{Of: event.OfToolchain, Name: "of the machine", Before: was, Now: is}, was != "" && is != "" && was != is
}

func between(ctx context.Context, read Reader, before, now string) ([]event.Difference, int, error) {
	a, err := digest.Parse(before)
	if err != nil {
		return nil, 0, err
	}
	b, err := digest.Parse(now)
	if err != nil {
		return nil, 0, err
	}
	return Compare(ctx, read, a, b)
}

// told is what a build told of its steps.
type told struct {
	steps  map[string]event.StepFinished
	names  map[string]string
	policy *event.Policy
}

func readBuild(r history.Record) (told, error) {
	b := told{steps: map[string]event.StepFinished{}}
	var f event.BuildFinished
	if err := json.Unmarshal(r.Summary, &f); err != nil {
		return b, fmt.Errorf("summary of build %s: %w", r.ID, err)
	}
	b.policy = f.Policy
	for line := range bytes.Lines(r.Events) {
		switch e, _ := event.Decode(line); e := e.(type) { // one of a version that had other events is none
		case event.BuildStarted:
			b.names = e.Names
		case event.StepFinished:
			b.steps[e.Step] = e
		}
	}
	return b, nil
}

// find returns a step by its name, or by what is unique about one that a client of the
// Remote Execution API asked for: its target, its action, or what it makes.
func (b *told) find(step string) (event.StepFinished, error) {
	if s, ok := b.steps[step]; ok {
		return s, nil
	}
	var found []string
	for name, s := range b.steps {
		if a := s.Asked; a != nil && (a.Target == step || a.Action == step || name == a.Mnemonic+" "+step || actionHash(a.Action) == step) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return event.StepFinished{}, fmt.Errorf("%w %q", ErrNoStep, step)
	case 1:
		return b.steps[found[0]], nil
	}
	slices.Sort(found)
	return event.StepFinished{}, fmt.Errorf("%w: %q are %q", ErrSeveralSteps, step, found[:min(len(found), maxNamed)])
}

// actionHash is a digest without its function and its size, as clients show it.
func actionHash(digest string) string {
	_, hash, _ := strings.Cut(digest, ":")
	hash, _, _ = strings.Cut(hash, "/")
	return hash
}

// because follows reasons from step to step: "x is dirty" leads to x.
func (b *told) because(s event.StepFinished) (all []event.Because) {
	for s.Why != "" && len(all) < maxBecause && !slices.ContainsFunc(all, func(had event.Because) bool { return had.Step == s.Step }) {
		all = append(all, event.Because{Step: s.Step, Why: s.Why})
		name, _ := strings.CutSuffix(s.Why, " is dirty")
		s = b.steps[name]
	}
	return all
}

// alike reports whether two builds may have the same steps: they are of the same root,
// or of the same client, which does not say what it builds.
func alike(a, b history.Record) bool {
	return a.Root == b.Root || a.Client != "" && a.Client == b.Client
}

// earlier finds the last build like r before it whose step had an action.
func earlier(h History, r history.Record, step string) (id string, s event.StepFinished, err error) {
	records, err := h.List(0)
	if err != nil {
		return "", s, err
	}
	name, err := json.Marshal(step)
	if err != nil {
		return "", s, err
	}
	looked := 0
	for _, o := range records { // the newest first
		if !alike(o, r) || o.ID == r.ID || !o.Started.Before(r.Started) {
			continue
		}
		if looked++; looked > maxBefore {
			break
		}
		if o, err = h.Get(o.ID); err != nil {
			continue // damaged, or dropped meanwhile
		}
		for line := range bytes.Lines(o.Events) {
			if !bytes.Contains(line, name) {
				continue
			}
			if e, _ := event.Decode(line); e != nil {
				if s, is := e.(event.StepFinished); is && s.Step == step && s.Digest != "" {
					return o.ID, s, nil
				}
			}
		}
	}
	return "", s, nil
}
