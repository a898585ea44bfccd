package project

import (
	"maps"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// defaultTimeout is what a step may take where nothing is said.
const defaultTimeout = time.Hour

// resolved is what holds for a step in the end.
type resolved struct {
	env         []action.Property
	passEnv     []string
	timeout     time.Duration
	memory      int64
	platform    []action.Property
	tools       []string
	toolchains  []string
	network     bool
	unsandboxed bool
}

// resolve lays the settings of a step over its package's and the project's.
func (c *Config) resolve(p *pkg, s *settings) resolved {
	r := resolved{timeout: defaultTimeout}
	env, pass := map[string]string{}, map[string]bool{}
	var where platform
	network, sandbox := open, open
	for _, level := range []*settings{&c.settings, &p.settings, s} {
		level.layEnvironment(env, pass)
		r.timeout = or(level.timeout, r.timeout)
		r.memory = or(level.memory, r.memory)
		where.os = or(level.platform.os, where.os)
		where.arch = or(level.platform.arch, where.arch)
		network = or(level.network, network)
		sandbox = or(level.sandbox, sandbox)
		if level.tools != nil {
			r.tools = level.tools
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		r.env = append(r.env, action.Property{Name: name, Value: env[name]})
	}
	r.passEnv = slices.Sorted(maps.Keys(pass))
	r.platform = where.properties()
	r.toolchains = slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.toolchains, p.toolchains))))
	r.network, r.unsandboxed = network == yes, sandbox == no
	return r
}

// layEnvironment lays the variables of a level over those of a wider one: a
// variable that was passed may be set here, and the other way round.
func (s *settings) layEnvironment(env map[string]string, pass map[string]bool) {
	for name, value := range s.env {
		env[name] = value
		delete(pass, name)
	}
	for _, name := range s.passEnv {
		pass[name] = true
		delete(env, name)
	}
}

// or returns the narrower value, if it was said.
func or[T comparable](narrow, wide T) T {
	var unsaid T
	if narrow != unsaid {
		return narrow
	}
	return wide
}

// properties are sorted: A before O.
func (p platform) properties() []action.Property {
	var all []action.Property
	if p.arch != "" {
		all = append(all, action.Property{Name: action.PropertyArch, Value: p.arch})
	}
	if p.os != "" {
		all = append(all, action.Property{Name: action.PropertyOS, Value: p.os})
	}
	return all
}
