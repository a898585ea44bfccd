package ninja

import (
	"cmp"
	"maps"
	"slices"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// jobOf expands what the runner needs to know of an edge of a build in dir.
func jobOf(e *ninja.Edge, dir string) (j Job, err error) {
	j = Job{Ins: paths(e.Inputs), OrderOnlyIns: e.OrderOnlyIns, Outs: paths(e.Outputs), Pool: e.Pool.Name}
	for _, text := range []struct {
		to    *string
		value func() (string, error)
	}{
		{&j.Command, e.Command},
		{&j.Rspfile, e.Rspfile},
		{&j.RspfileContent, e.RspfileContent},
		{&j.Depfile, e.Depfile},
		{&j.Deps, e.Deps},
		{&j.includesPrefix, func() (string, error) { return e.Binding("msvc_deps_prefix") }},
	} {
		if *text.to, err = text.value(); err != nil {
			return Job{}, err
		}
	}
	if j.Generator, err = e.Generator(); err != nil {
		return Job{}, err
	}
	if j.Restat, err = e.Restat(); err != nil {
		return Job{}, err
	}
	j.HereOnly = hereOnly(&j, dir)
	return j, nil
}

func paths(nodes []*ninja.Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Path
	}
	return out
}

func sortedEdges[V any](m map[*ninja.Edge]V) []*ninja.Edge {
	return slices.SortedFunc(maps.Keys(m), func(a, b *ninja.Edge) int { return cmp.Compare(a.ID, b.ID) })
}
