package setting

import (
	"fmt"
	"slices"
)

// Validate says what is wrong with a setting.
func (s *Setting) Validate() error {
	if len(s.Nodes) == 0 {
		return fmt.Errorf("setting: it has no nodes; a mesh needs at least one")
	}
	if len(s.Network.Site) != len(s.Nodes) {
		return fmt.Errorf("setting: the network has %d nodes, the setting %d", len(s.Network.Site), len(s.Nodes))
	}
	if err := s.Network.Validate(); err != nil {
		return err
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; !(n.BPU > 0) || n.Slots < 0 || n.Memory < 0 || n.Cell < 0 || n.Late < 0 {
			return fmt.Errorf("setting: node %d %q: BPU %v, %d slots, cell %d, late %v; BPU is above 0, and none is negative",
				i, n.Name, n.BPU, n.Slots, n.Cell, n.Late)
		}
	}
	if err := s.validateHosts(); err != nil {
		return err
	}
	for i := range s.Builds {
		if err := s.Builds[i].validate(len(s.Nodes)); err != nil {
			return fmt.Errorf("setting: build %d %q: %w", i, s.Builds[i].Name, err)
		}
	}
	for i := range s.Commands {
		if err := s.Commands[i].validate(len(s.Nodes)); err != nil {
			return fmt.Errorf("setting: command %d: %w", i, err)
		}
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		if err := f.Validate(); err != nil {
			return fmt.Errorf("setting: fault %d: %w", i, err)
		}
		outside := func(node int) bool { return node < 0 || node >= len(s.Nodes) }
		if outside(f.Target.Node) || slices.ContainsFunc(f.Group, outside) {
			return fmt.Errorf("setting: fault %d is of a node that is none of the %d", i, len(s.Nodes))
		}
		if max(f.Target.Build, f.Build) >= max(len(s.Builds), 1) {
			return fmt.Errorf("setting: fault %d is of a build that is none of the %d", i, len(s.Builds))
		}
	}
	if !(s.Flaky >= 0 && s.Flaky < 1) {
		return fmt.Errorf("setting: flaky %v; it is a chance below 1", s.Flaky)
	}
	return nil
}

func (b *Build) validate(nodes int) error {
	if b.Initiator < 0 || b.Initiator >= nodes {
		return fmt.Errorf("its initiator %d is none of the %d nodes", b.Initiator, nodes)
	}
	if b.Graph == nil {
		return fmt.Errorf("it has no graph")
	}
	if err := b.validateArrivals(); err != nil {
		return err
	}
	return b.Graph.Validate()
}

func (s *Setting) validateHosts() error {
	on := map[int]bool{}
	for i, h := range s.Hosts {
		if !(h.Cores > 0) || h.BPU < 0 || h.Lent < 0 || h.Lent > 1 {
			return fmt.Errorf("setting: host %d has %v cores of %v BPU and lends %v; it needs some, and lends 0 to 1", i, h.Cores, h.BPU, h.Lent)
		}
		for _, node := range h.Nodes {
			if node < 0 || node >= len(s.Nodes) || on[node] {
				return fmt.Errorf("setting: node %d of host %d is none, or on two hosts", node, i)
			}
			on[node] = true
		}
	}
	return nil
}
