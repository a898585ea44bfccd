package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/sched/action"
)

// sealedSpec is a toolchain that selected steps use, and its digest.
type sealedSpec struct {
	Spec   toolchain.Spec
	Digest string
}

// prepare brings the sources of the selected steps into the store and makes
// the steps of them.
func (r *run) prepare(ctx context.Context) ([]action.Step, error) {
	r.sayIgnored()
	r.sources = r.sourcesOf()
	ingested, err := r.tree.Ingest(ctx, r.snapshot, r.sources, r.lease.Hold)
	if err != nil {
		return nil, fmt.Errorf("read the sources: %w", err)
	}
	chains := map[toolchain.Spec]string{}
	roots := newInputRoots(r.dirs, ingested)
	steps := make([]action.Step, 0, len(r.selected))
	r.sizes = make([]inputSize, 0, len(r.selected))
	for _, p := range r.selected {
		s, err := r.step(ctx, p, chains)
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", p.ID, err)
		}
		if s.Inputs, err = roots.of(ctx, r.lease, p.Sources); err != nil {
			return nil, fmt.Errorf("step %s: inputs: %w", p.ID, err)
		}
		steps, r.sizes = append(steps, s), append(r.sizes, roots.size)
	}
	r.specs = r.specs[:0]
	for s, d := range chains {
		r.specs = append(r.specs, sealedSpec{Spec: s, Digest: d})
	}
	slices.SortFunc(r.specs, func(a, b sealedSpec) int {
		return cmp.Or(cmp.Compare(a.Spec.Spec, b.Spec.Spec), cmp.Compare(a.Spec.Dirs, b.Spec.Dirs))
	})
	return steps, nil
}

func (r *run) sourcesOf() []string {
	seen := map[string]bool{}
	var sources []string
	for _, s := range r.selected {
		for _, path := range s.Sources {
			if !seen[path] {
				seen[path] = true
				sources = append(sources, path)
			}
		}
	}
	slices.Sort(sources)
	return sources
}

// step makes the action step of a project's step, but for its inputs.
func (r *run) step(ctx context.Context, p *project.Step, chains map[toolchain.Spec]string) (action.Step, error) {
	spec := toolchain.SpecOf(p.Argv, p.Tools, p.ToolchainDirs)
	chain, ok := chains[spec]
	if !ok {
		var err error
		if chain, err = r.opts.Toolchains.Digest(ctx, spec); err != nil {
			return action.Step{}, err
		}
		chains[spec] = chain
	}
	s := action.Step{
		ID: p.ID, Package: p.Package, Argv: p.Argv, Dir: p.Dir, Outputs: slices.Sorted(slices.Values(p.Outputs)), Deps: p.Deps,
		Timeout: p.Timeout, Reach: action.Anywhere, Sharing: action.Shared,
		Env: r.environment(p), Platform: platformOf(p, spec, chain),
	}
	if p.Unsandboxed {
		if r.req.Files != nil {
			return action.Step{}, errors.New("sandbox: none runs with the rights of the node, which belongs to another user; run a node of your own with `buildnet node up`")
		}
		s.Reach, s.Sharing = action.InitiatorOnly, action.Unshared
	}
	return s, nil
}

// environment is what the step's command gets: its own variables, and those of
// the user's that it asks for, where the user has them.
func (r *run) environment(p *project.Step) []action.Property {
	env := map[string]string{}
	for _, name := range p.PassEnv {
		if value, set := r.req.Env[name]; set {
			env[name] = value
		}
	}
	for _, e := range p.Env {
		env[e.Name] = e.Value
	}
	return sorted(env)
}

func platformOf(p *project.Step, spec toolchain.Spec, chain string) []action.Property {
	props := map[string]string{action.PropertyOS: runtime.GOOS, action.PropertyArch: runtime.GOARCH}
	for _, e := range p.Platform {
		props[e.Name] = e.Value
	}
	props[action.PropertyToolchain], props[action.PropertyToolchainSpec] = chain, spec.Spec
	if spec.Dirs != "" {
		props[action.PropertyToolchainDirs] = spec.Dirs
	}
	if p.Network {
		props[action.PropertyNetwork] = "true"
	}
	if p.Unsandboxed {
		props[action.PropertySandbox] = "none"
	}
	if p.MemoryBytes > 0 {
		props[action.PropertyMemoryBytes] = strconv.FormatInt(p.MemoryBytes, 10)
	}
	return sorted(props)
}

func sorted(m map[string]string) []action.Property {
	ps := make([]action.Property, 0, len(m))
	for name, value := range m {
		ps = append(ps, action.Property{Name: name, Value: value})
	}
	slices.SortFunc(ps, func(a, b action.Property) int { return strings.Compare(a.Name, b.Name) })
	return ps
}
