package project

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/sched/action"
)

// ErrUnknownTarget is matched by errors about targets that are nothing of the
// plan's.
var ErrUnknownTarget = errors.New("unknown target")

// Select returns the steps that targets need, those that they depend on
// included, in topological order; without targets all steps. A target is a
// package, a step, or a path from the project's root: of an output, of
// something within one, or of a directory with outputs in it.
func (p *Plan) Select(targets []string) ([]action.StepID, error) {
	wanted := map[action.StepID]bool{}
	for i := range p.Steps {
		if len(targets) == 0 {
			wanted[p.Steps[i].ID] = true
		}
	}
	var unknown []error
	for _, t := range targets {
		found := p.find(t)
		for _, id := range found {
			wanted[id] = true
		}
		if found == nil {
			unknown = append(unknown, p.unknown(t))
		}
	}
	if len(unknown) > 0 {
		return nil, errors.Join(unknown...)
	}
	return p.withAncestors(wanted), nil
}

// withAncestors returns the wanted steps and what they depend on.
func (p *Plan) withAncestors(wanted map[action.StepID]bool) []action.StepID {
	for i := len(p.Steps) - 1; i >= 0; i-- {
		if wanted[p.Steps[i].ID] {
			for _, d := range p.Steps[i].Deps {
				wanted[d.Step] = true
			}
		}
	}
	ids := make([]action.StepID, 0, len(p.Steps))
	for i := range p.Steps {
		if wanted[p.Steps[i].ID] {
			ids = append(ids, p.Steps[i].ID)
		}
	}
	return ids
}

// find returns the steps that a target names, nil if it names nothing.
func (p *Plan) find(target string) []action.StepID {
	for i := range p.Packages {
		if p.Packages[i].Name == target {
			return append([]action.StepID{}, p.Packages[i].Steps...)
		}
	}
	for i := range p.Steps {
		if string(p.Steps[i].ID) == target {
			return []action.StepID{p.Steps[i].ID}
		}
	}
	name, below, ofPackage := strings.Cut(target, ":")
	if !ofPackage {
		return p.making(target, "")
	}
	for i := range p.Packages {
		if p.Packages[i].Name == name {
			return p.making(under(p.Packages[i].Path, below), name)
		}
	}
	return nil
}

// making returns the steps with an output at, above or below a path; of one
// package, if it is given.
func (p *Plan) making(where, name string) []action.StepID {
	where = path.Clean(where)
	var found []action.StepID
	for i := range p.Steps {
		s := &p.Steps[i]
		if name != "" && s.Package != name {
			continue
		}
		for _, o := range s.Outputs {
			if where == "." || o == where || strings.HasPrefix(o, where+"/") || strings.HasPrefix(where, o+"/") {
				found = append(found, s.ID)
				break
			}
		}
	}
	return found
}

func (p *Plan) unknown(target string) error {
	var names []string
	for i := range p.Packages {
		names = append(names, p.Packages[i].Name)
	}
	advice := fmt.Sprintf("name a package (%s), a step or an output", strings.Join(first(names, maxListed), ", "))
	for i := range p.Steps {
		names = append(names, string(p.Steps[i].ID))
		names = append(names, p.Steps[i].Outputs...)
	}
	return fmt.Errorf("%w %q; %s", ErrUnknownTarget, target, near.DidYouMean(target, names, advice))
}

// maxListed bounds the names that an error lists when none is near.
const maxListed = 10

func first(names []string, n int) []string {
	if len(names) <= n {
		return names
	}
	return append(names[:n:n], "...")
}
