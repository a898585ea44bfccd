package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Commits is the rule that a leader never tells that its log is safe beyond
// what the initiator and, if it has any, one of its standbys keep. After the
// death of the initiator there is no build, and nobody whom it could tell.
type Commits struct {
	logs map[logOf]*keeping
	// initiators of builds, by place.
	initiators map[int]int
	// orphans are the builds whose initiator was lost: the stream on which their
	// leaders told it who stands by is no more, and a death of the last standby
	// changes nothing that anybody hears.
	orphans map[int]bool
	// doubts are what was said to be safe and was not, until the moment is over.
	doubts []trace.Event
}

// logOf names the log of an epoch.
type logOf struct {
	build int
	epoch trace.Epoch
}

// keeping is who keeps a log, as its leader knows.
type keeping struct {
	kept map[int]int64
	// standbys are how many stand by at present, named when they were told.
	standbys    int64
	committed   int64
	committedAt time.Duration
	// alone is how far the log was safe while nobody stood by, aloneAt when that
	// was so last.
	alone   int64
	aloneAt time.Duration
}

func (k *keeping) others(initiator int) int64 {
	most := int64(0)
	for node, upTo := range k.kept {
		if node != initiator {
			most = max(most, upTo)
		}
	}
	return most
}

// note takes what is logged, kept, and said to be safe. A leader may tell that
// its log is safe in the moment in which it has lost its last standby, and that
// it has only then; in that moment it may have found the next one, too.
func (k *keeping) note(e *trace.Event) {
	switch {
	case e.Kind == trace.Kept:
		k.kept[e.Node] = max(k.kept[e.Node], e.Value)
		return
	case e.Kind == trace.Committed:
		k.committed, k.committedAt = max(k.committed, e.Value), e.At
	case e.Text == trace.OpStandbys:
		k.standbys = int64(e.Digest)
	}
	if k.standbys == 0 {
		k.aloneAt = e.At
	}
	if k.aloneAt == e.At && k.committedAt == e.At {
		k.alone = k.committed
	}
}

// NewCommits returns the rule for one run.
func NewCommits() *Commits {
	return &Commits{logs: map[logOf]*keeping{}, initiators: map[int]int{}, orphans: map[int]bool{}}
}

// Name names the rule.
func (*Commits) Name() string { return "a log is as safe as its leader says" }

// Observe keeps how far each log is kept.
func (r *Commits) Observe(w World, e *trace.Event) string {
	if len(r.doubts) > 0 && e.At > r.doubts[0].At {
		if text := r.Settle(w); text != "" {
			return text
		}
	}
	switch e.Kind {
	case trace.Began:
		r.initiators[e.Build] = e.Node
	case trace.Down:
		for build, initiator := range r.initiators {
			if initiator == e.Node {
				r.orphans[build] = true
			}
		}
	case trace.Logged, trace.Kept:
		r.log(e).note(e)
	case trace.Deposed:
		// Whoever loses all its standbys, and its initiator, in one moment has
		// no time to say so.
		r.doubts = slices.DeleteFunc(r.doubts, func(d trace.Event) bool { return d.Build == e.Build && d.Epoch == e.Epoch })
	case trace.Committed:
		r.log(e).note(e)
		if !r.orphans[e.Build] && r.wrong(e) != "" {
			r.doubts = append(r.doubts, *e)
		}
	}
	return ""
}

// Settle judges what is in doubt.
func (r *Commits) Settle(World) string {
	for i := range r.doubts {
		if text := r.wrong(&r.doubts[i]); text != "" {
			return text
		}
	}
	r.doubts = r.doubts[:0]
	return ""
}

func (r *Commits) log(e *trace.Event) *keeping {
	of := logOf{e.Build, e.Epoch}
	if r.logs[of] == nil {
		r.logs[of] = &keeping{kept: map[int]int64{}, aloneAt: -1}
	}
	return r.logs[of]
}

func (r *Commits) wrong(e *trace.Event) string {
	k, initiator := r.log(e), r.initiators[e.Build]
	switch others := k.others(initiator); {
	case k.kept[initiator] < e.Value:
		return fmt.Sprintf("node %d told that its log of build %d is safe up to %d; the initiator keeps it up to %d",
			e.Node, e.Build, e.Value, k.kept[initiator])
	case others < e.Value && k.alone < e.Value:
		return fmt.Sprintf("node %d told that its log of build %d is safe up to %d; none of its %d standbys keeps more than %d",
			e.Node, e.Build, e.Value, k.standbys, others)
	}
	return ""
}
