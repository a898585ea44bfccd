package project_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project"
)

// plan parses and plans a configuration over files; a file written
// "name -> target" is a link.
func plan(t testing.TB, config string, files ...string) (*project.Plan, error) {
	t.Helper()
	c, err := project.Parse("config.yaml", []byte(config))
	if c == nil {
		return nil, err
	}
	return c.Plan(filesOf(files...))
}

func filesOf(names ...string) []project.File {
	var all []project.File
	for _, n := range names {
		name, target, _ := strings.Cut(n, " -> ")
		all = append(all, project.File{Path: name, Link: target})
	}
	return all
}

// mustPlan is plan for configurations without faults.
func mustPlan(t testing.TB, config string, files ...string) *project.Plan {
	t.Helper()
	p, err := plan(t, config, files...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// faultsOf returns the text of every fault.
func faultsOf(t testing.TB, err error) []string {
	t.Helper()
	var faults *project.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error is %v, want *Faults", err)
	}
	lines := make([]string, len(faults.List))
	for i, f := range faults.List {
		lines[i] = f.String()
	}
	return lines
}

func stepOf(t testing.TB, p *project.Plan, id string) project.Step {
	t.Helper()
	i := slices.IndexFunc(p.Steps, func(s project.Step) bool { return string(s.ID) == id })
	if i < 0 {
		var ids []string
		for _, s := range p.Steps {
			ids = append(ids, string(s.ID))
		}
		t.Fatalf("no step %s in %v", id, ids)
	}
	return p.Steps[i]
}
