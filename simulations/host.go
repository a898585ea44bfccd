package simulations

import (
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/store/digest"
)

// host is a machine on which several nodes live. A nil one is a node's own, on
// which nobody else's actions run.
type host struct {
	*setting.Host
	nodes []*node
	// own are the actions that run for builds of their own nodes, others those for
	// builds of others; each and lent are what each of them gets of a core.
	own, others int
	each, lent  float64
}

// house puts the nodes on the hosts of the setting.
func (w *World) house() {
	for i := range w.setting.Hosts {
		h := &host{Host: &w.setting.Hosts[i], each: 1, lent: 1}
		for _, place := range h.Nodes {
			h.nodes = append(h.nodes, w.nodes[place])
			w.nodes[place].host = h
		}
	}
}

// rate is the speed at which each action runs, 1 is that of a whole core.
func (h *host) rate(whose steal.Whose) float64 {
	switch {
	case h == nil:
		return 1
	case whose == steal.Theirs:
		return h.lent
	}
	return h.each
}

// runs is the first copy of an action that goes on here.
func (h *host) runs(action digest.Digest) *job {
	if h == nil {
		return nil
	}
	for _, n := range h.nodes {
		for _, j := range n.running {
			if j.key.action == action {
				return j
			}
		}
	}
	return nil
}

// began notes that a job runs. What copies take is not in the cores: see
// setting.Host.
func (h *host) began(j *job) {
	if !j.spare {
		h.change(j.turn.Whose, 1)
	}
}

// ended notes that a job does not run any more: a copy of it goes on.
func (h *host) ended(j *job) {
	if j.spare {
		return
	}
	h.change(j.turn.Whose, -1)
	if next := h.runs(j.key.action); next != nil {
		next.spare, next.since = false, next.p.n.w.clock.now
		next.pace()
		h.began(next)
	}
}

// change notes that actions have begun or ended.
func (h *host) change(whose steal.Whose, by int) {
	if h == nil {
		return
	}
	if whose == steal.Theirs {
		h.others += by
	} else {
		h.own += by
	}
	each, lent := h.Shares(h.own, h.others)
	if each == h.each && lent == h.lent {
		return
	}
	h.each, h.lent = each, lent
	for _, n := range h.nodes {
		n.repace()
	}
}
