package simulations

// host is a machine on which several nodes live. A nil one is a node's own, on
// which nobody else's actions run.
type host struct {
	cores float64
	runs  int
	nodes []*node
}

// house puts the nodes on the hosts of the setting.
func (w *World) house() {
	for _, spec := range w.setting.Hosts {
		h := &host{cores: spec.Cores}
		for _, place := range spec.Nodes {
			h.nodes = append(h.nodes, w.nodes[place])
			w.nodes[place].host = h
		}
	}
}

// rate is the speed at which each action runs, 1 is that of a whole core.
func (h *host) rate() float64 {
	if h == nil || float64(h.runs) <= h.cores {
		return 1
	}
	return h.cores / float64(h.runs)
}

// change notes that actions have begun or ended.
func (h *host) change(by int) {
	if h == nil {
		return
	}
	before := h.rate()
	h.runs += by
	if h.rate() == before {
		return
	}
	for _, n := range h.nodes {
		n.repace()
	}
}
