package setting

// Host is a machine on which several nodes live. The actions that run on all of
// them have its cores. A second copy of one gets nothing of them before the first
// is gone: the cores are what the executions had that came to something, and what
// was given to copies beside these is not among them.
type Host struct {
	Nodes []int
	// Cores are those that actions have, BPU is how fast one of them is; 0 is as
	// fast as each node says of itself.
	Cores, BPU float64
	// Lent is what an action gets of a core that a node runs for another one's
	// build, as part of what an action of its own build gets; 0 is as much.
	Lent float64
}

// Shares are the parts of a core that actions get when so many run: each for its
// own node's builds, and each for those of others. None gets more than one core;
// what that leaves the others have.
func (h *Host) Shares(own, others int) (each, lent float64) {
	part := h.Lent
	if part == 0 {
		part = 1
	}
	if float64(own+others) <= h.Cores {
		return 1, 1
	}
	each = h.Cores / (float64(own) + part*float64(others))
	switch {
	case own == 0:
		return 1, h.Cores / float64(others)
	case each > 1:
		return 1, (h.Cores - float64(own)) / float64(others)
	}
	return each, part * each
}
