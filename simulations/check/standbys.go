package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Standbys is the rule that where nothing goes wrong a leader has as many
// standbys as package steal promises, or all that there are, within a Lease. A
// log that nobody else keeps breaks no other rule until its leader dies.
type Standbys struct {
	unsettled
	reigns []standing
}

// standing is who stands by in a reign.
type standing struct {
	logOf
	since       time.Duration
	named, want int64
}

// NewStandbys returns the rule for one run.
func NewStandbys() *Standbys { return &Standbys{} }

// Name names the rule.
func (*Standbys) Name() string { return "a leader has its standbys" }

// Observe counts who stands by.
func (r *Standbys) Observe(w World, e *trace.Event) string {
	of := logOf{e.Build, e.Epoch}
	switch {
	case e.Kind == trace.Led && !troubled(w.Setting()):
		r.reigns = append(r.reigns, standing{logOf: of, since: e.At, want: standbys(w.Setting(), e.Build, e.Node)})
	case e.Kind == trace.Deposed:
		r.reigns = slices.DeleteFunc(r.reigns, func(s standing) bool { return s.logOf == of })
	case e.Kind == trace.Logged && e.Text == trace.OpStandbys:
		for i := range r.reigns {
			if r.reigns[i].logOf == of {
				r.reigns[i].named = int64(e.Digest)
			}
		}
	}
	for i := range r.reigns {
		if s := &r.reigns[i]; s.named < s.want && e.At > s.since+steal.Lease {
			return fmt.Sprintf("node %d leads build %d since %v and has %d standbys; there are members for %d",
				s.epoch.Leader, s.build, s.since, s.named, s.want)
		}
	}
	return ""
}

// standbys is how many a leader may have: members that are there from the
// beginning, besides itself and the initiator, and not so far that they may be
// lost before they answer. A local build has no other.
func standbys(s *setting.Setting, build, leader int) int64 {
	b, members := &s.Builds[build], int64(0)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if i != leader && i != b.Initiator && n.Late == 0 && n.Cell == s.Nodes[b.Initiator].Cell && !b.Modes.Local && !wayOf(s, leader, i).fragile() {
			members++
		}
	}
	return min(members, steal.Standbys)
}
