package check

import (
	"fmt"
	"maps"

	"github.com/buildnet/buildnet/simulations/trace"
)

// Succession is the rule that a build which an heir goes on with is the same
// build: what the dead initiator had announced is not executed again while
// somebody has it, and is announced again as it was. An heir that the leader
// had given up may not know all, and goes on alone on its side of a split; nor
// does it know what a later leader announced from whose log it was missing.
type Succession struct {
	unsettled
	heirs     map[int]appointed
	announced map[stepOf]uint64
	// led are the latest epochs of builds, and unheard what was announced in one
	// whose leader knew of no heir.
	led       map[int]trace.Epoch
	unheard   map[stepOf]bool
	forebears map[int]int
	// lost are steps of inherited builds whose outputs nobody had.
	lost    map[stepOf]bool
	lacking map[int]bool // builds of which some were lost
	down    map[int]bool
}

// appointed is who is the heir of a build by its latest log.
type appointed struct {
	epoch trace.Epoch
	heir  int
	ready bool
	// at is where the log says that it is ready. forgotten says that a later leader
	// began with a log that does not.
	at        int64
	forgotten bool
}

// NewSuccession returns the rule for one run.
func NewSuccession() *Succession {
	return &Succession{
		heirs: map[int]appointed{}, announced: map[stepOf]uint64{}, forebears: map[int]int{}, lost: map[stepOf]bool{},
		led: map[int]trace.Epoch{}, unheard: map[stepOf]bool{}, lacking: map[int]bool{}, down: map[int]bool{},
	}
}

// Name names the rule.
func (*Succession) Name() string { return "an heir loses nothing" }

// Observe compares what an heir does with what was announced before.
func (r *Succession) Observe(w World, e *trace.Event) string {
	of := stepOf{e.Build, e.Step}
	switch e.Kind {
	case trace.Up:
		delete(r.down, e.Node)
	case trace.Down:
		r.down[e.Node] = true
	case trace.Led:
		r.succeeded(e)
	case trace.Logged:
		r.logged(e)
	case trace.Inherited:
		r.inherit(w, e)
	case trace.Lacked:
		// Its disk failed, or who had them is lost by now.
		r.lost[of], r.lacking[e.Build] = true, true
	case trace.Announced:
		digest, before := r.before(of)
		r.announced[of] = e.Digest
		if r.heirs[e.Build].forgotten {
			r.unheard[of] = true
		}
		if before && digest != e.Digest {
			return fmt.Sprintf("step %d of build %d came to %016x, and to %016x before its initiator died", e.Step, e.Build, e.Digest, digest)
		}
	case trace.RunBegan:
		if _, before := r.before(of); before {
			return fmt.Sprintf("step %d of build %d is executed on node %d, and was announced before its initiator died", e.Step, e.Build, e.Node)
		}
	}
	return ""
}

// succeeded finds out whether a new leader knows of the heir: it does if it has
// the log of the epoch in which the heir was named, as far as where that was
// ready.
func (r *Succession) succeeded(e *trace.Event) {
	last := r.led[e.Build]
	if e.Epoch.Less(last) {
		return
	}
	r.led[e.Build] = e.Epoch
	if a := r.heirs[e.Build]; a.ready && (a.epoch != last || e.Value < a.at) {
		a.forgotten = true
		r.heirs[e.Build] = a
	}
}

func (r *Succession) logged(e *trace.Event) {
	if e.Text == trace.OpReopened && r.lacking[e.Build] {
		r.lost[stepOf{e.Build, e.Step}] = true // it was made of what was lost
	}
	a := r.heirs[e.Build]
	if e.Epoch.Less(a.epoch) {
		return
	}
	switch e.Text {
	case trace.OpHeir:
		r.heirs[e.Build] = appointed{epoch: e.Epoch, heir: e.Peer, forgotten: e.Epoch.Less(r.led[e.Build])}
	case trace.OpReady:
		a.ready, a.at = true, e.Value
		r.heirs[e.Build] = a
		if !a.forgotten { // the log has it
			maps.DeleteFunc(r.unheard, func(of stepOf, _ bool) bool { return of.build == e.Build })
		}
	}
}

// inherit takes what was announced so far for known to the heir.
func (r *Succession) inherit(w World, e *trace.Event) {
	old := int(e.Value)
	if a := r.heirs[old]; !a.ready || a.heir != e.Node {
		return
	}
	r.forebears[e.Build] = old
	for step := range w.Setting().Builds[old].Graph.Steps {
		digest, announced := r.announced[stepOf{old, step}]
		if !announced {
			digest, announced = r.before(stepOf{old, step})
		}
		if !announced || r.unheard[stepOf{old, step}] || digest != 0 && !r.held(w, digest) {
			r.lost[stepOf{e.Build, step}] = true
		}
	}
}

func (r *Succession) held(w World, digest uint64) bool {
	for node := range w.Setting().Nodes {
		if !r.down[node] && w.Holds(node, digest) {
			return true
		}
	}
	return false
}

// before is what a step came to in the build that its build goes on with.
func (r *Succession) before(of stepOf) (digest uint64, announced bool) {
	for {
		old, inherited := r.forebears[of.build]
		if !inherited || r.lost[of] {
			return 0, false
		}
		of.build = old
		if digest, announced = r.announced[of]; announced {
			return digest, true
		}
	}
}
