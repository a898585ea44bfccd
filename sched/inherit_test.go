package sched

import (
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
)

func TestWhatAnHeirYieldsTo(t *testing.T) {
	plan := &steal.Plan{Candidates: []peer.ID{"initiator", "first", "second", "third"}}
	heirOf := func(of steal.BuildID, lost peer.ID) *inheritance {
		return &inheritance{of: of, initiator: lost, plan: plan}
	}
	for name, c := range map[string]struct {
		mine  *inheritance
		rival rival
		want  bool
	}{
		"the build itself":                  {heirOf("b", "initiator"), rival{"b", "initiator"}, true},
		"another build of its name":         {heirOf("b", "initiator"), rival{"b", "third"}, false},
		"an earlier heir":                   {heirOf("b", "initiator"), rival{"b.2", "first"}, true},
		"its own":                           {heirOf("b", "initiator"), rival{"b.2", "second"}, false},
		"a later heir":                      {heirOf("b", "initiator"), rival{"b.2", "third"}, false},
		"an heir that does not rank":        {heirOf("b", "initiator"), rival{"b.2", "a stranger"}, false},
		"an heir of its own":                {heirOf("b", "initiator"), rival{"b.3", "first"}, false},
		"another build":                     {heirOf("b", "initiator"), rival{"c", "initiator"}, false},
		"an heir's build, as the heir's":    {heirOf("b.2", "first"), rival{"b.2", "first"}, true},
		"another heir's, as an heir's heir": {heirOf("b.2", "first"), rival{"b.2", "third"}, true},
		"the first, as an heir's heir":      {heirOf("b.2", "first"), rival{"b", "initiator"}, true},
		"an earlier heir of an heir":        {heirOf("b.2", "initiator"), rival{"b.3", "first"}, true},
	} {
		if got := c.mine.yieldsTo("second", c.rival); got != c.want {
			t.Errorf("it yields to %s: %v", name, got)
		}
	}
}
