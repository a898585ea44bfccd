package build

import (
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

// Weakened implements sched.Observer.
func (o *observer) Weakened(mode steal.Mode, lost []peer.ID) {
	names := make([]string, 0, len(lost))
	for _, id := range lost {
		names = append(names, string(id))
	}
	o.run.emit(event.BuildWeakened{Build: string(o.run.req.ID), Mode: mode.String(), Lost: names})
}
