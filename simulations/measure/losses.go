package measure

import (
	"time"

	"github.com/buildnet/buildnet/simulations/trace"
)

// losses are the times from what went wrong to what was done about it, in
// seconds.
type losses struct {
	died []death
	// suspects, revokes, elected and assigned are as Summary defines them.
	suspects, notices, elected, assigned []float64
}

// death is the last of a node, if nobody has noticed it yet.
type death struct {
	at                 time.Duration
	unseen, unlamented bool
}

func (l *losses) init(nodes int) { l.died = make([]death, nodes) }

func (l *losses) up(node int) { l.died[node] = death{} }

func (l *losses) down(node int, at time.Duration) {
	l.died[node] = death{at: at, unseen: true, unlamented: true}
}

func (l *losses) suspected(e *trace.Event) {
	if d := &l.died[e.Peer]; d.unseen {
		d.unseen = false
		l.suspects = append(l.suspects, (e.At - d.at).Seconds())
	}
}

// noticed is told of what a leader logs as lost.
func (l *losses) noticed(e *trace.Event) {
	if e.Peer < 0 {
		return
	}
	if d := &l.died[e.Peer]; d.unlamented {
		d.unlamented = false
		l.notices = append(l.notices, (e.At - d.at).Seconds())
	}
}
