package steal

import (
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
)

// OpKind is what an op of the log says. Do not reorder: the numbers go over
// the wire.
type OpKind uint8

const (
	// OpStandbys names who keeps the log, the first to take over first.
	OpStandbys OpKind = iota + 1
	// OpStarted says that Peer began to run Step.
	OpStarted
	// OpDone says that Step has a result, good or bad.
	OpDone
	// OpTried counts a failure around Step on Peer, Text says which.
	OpTried
	// OpLost counts a worker, Peer, that was lost with Step in its hands. Text says
	// so if that was in an earlier epoch.
	OpLost
	// OpGone says that the worker Peer is lost.
	OpGone
	// OpReopened takes a result back that was not secured, or a failure: Text
	// says why.
	OpReopened
	// OpSecured says that the initiator has Step's outputs.
	OpSecured
	// OpFailed gives Step up: Text says why. Its command did not fail.
	OpFailed
	// OpNote is Text for the user.
	OpNote
	// OpEnded says that nothing is left that can be done. Only OpStandbys and
	// OpHeir may come after it.
	OpEnded
	// OpStopped says that Peer, which began to run Step, has left it, and lives.
	OpStopped
	// OpBackup says that Step was given to Peer as well, although another has it.
	OpBackup
	// OpMode says how the build goes on: Text is the name of a Mode. Peers are
	// the workers that are lost.
	OpMode
	// OpQuarantined says that Peer is given no more than one step at a time to
	// try it with: Text says why.
	OpQuarantined
	// OpTrusted ends that.
	OpTrusted
	// OpHeir names who goes on with the build if its initiator is lost; Peer is
	// empty if nobody does. It comes after the initiator has told what it knows:
	// from there on the log lacks nothing that was announced.
	OpHeir
	// OpReady says that the heir has all that the build began with.
	OpReady
	// OpHeld says that the heir has the outputs of Step, which the initiator made.
	OpHeld
	// OpAdded adds Steps to an open build; Step is the place of the first one.
	OpAdded
	// OpShut says that no more are added.
	OpShut
)

// How says where a result comes from. Do not reorder: the numbers go over the
// wire.
type How uint8

const (
	// Executed results were made in this build.
	Executed How = iota + 1
	// Found results were known to the mesh.
	Found
)

// Done is the result of a step in this build.
type Done struct {
	Entry action.Entry
	// Peer reported it; it is Entry.Executor unless the result was found.
	Peer peer.ID
	How  How
	// Holders have the outputs.
	Holders []peer.ID
	Timings Timings
	// Differs says that a forced execution came out otherwise than the result
	// that was known.
	Differs bool
	// Choice is where it was to run, and what came of that; nil if there was none.
	Choice *Choice
}

// Op is one decision of a leader.
type Op struct {
	Kind  OpKind
	Step  Step
	Peer  peer.ID
	Peers []peer.ID
	Text  string
	Done  *Done
	Steps []action.Step
}

// Rough sizes of an op on the wire, in bytes, to keep frames far from their
// limit.
const (
	opBytes     = 256
	outputBytes = 128
)

func (o *Op) size() int {
	n := opBytes + len(o.Text)
	for i := range o.Steps {
		n += o.Steps[i].Size()
	}
	if o.Done != nil {
		for i := range o.Done.Entry.Result.Outputs {
			n += outputBytes + len(o.Done.Entry.Result.Outputs[i].Path)
		}
	}
	return n
}

// StepRecord is what the log says of one step.
type StepRecord struct {
	// Result is nil while there is none.
	Result *action.Result
	// Done is nil for a result that was given with the plan.
	Done *Done
	// Before is the result that was taken back last, for comparison.
	Before  *Done
	Secured bool
	// Held says that the heir has the outputs as well.
	Held bool
	// Failed says why the step was given up.
	Failed string
	// Began are those who began to run it and of whom it is not known what came
	// of it: one that was not heard of since may be dead, and be dead of it,
	// although the step was given to another.
	Began []peer.ID
	// Backup is who has it as well, as far as was declared.
	Backup peer.ID
	// Tries and Lost count failures around it and workers lost with it. Fallen are
	// those workers, as far as their names are known, each as often as it was lost.
	Tries, Lost int
	Fallen      []peer.ID
}

// OK reports whether dependants may use the step's result.
func (s *StepRecord) OK() bool { return s.Result != nil && s.Result.OK() }

// Settled reports whether nothing more will be done for the step.
func (s *StepRecord) Settled() bool { return s.Failed != "" || s.Result != nil && s.Secured }

// Record is what a log comes to: the state of a build as its leader, its
// standbys and its initiator know it.
type Record struct {
	Steps    []StepRecord
	Standbys []peer.ID
	Heir     peer.ID // empty while there is none
	Ready    bool    // the heir could go on now
	Ended    bool
	Mode     Mode
	// Missing are the workers that were lost, as of the last change of Mode.
	Missing     []peer.ID
	Quarantined []peer.ID
	// Shut open builds get no more steps.
	Shut  bool
	open  bool
	steps []action.Step
	bytes int // of steps that were added
}

// NewRecord returns the record of a plan before its first op.
func NewRecord(p *Plan) *Record {
	r := &Record{Steps: make([]StepRecord, p.Graph.Len()), steps: slices.Clip(p.Graph.Steps()), open: p.Open}
	for _, g := range p.Given {
		s := &r.Steps[g.Step]
		s.Result, s.Done, s.Secured = g.Result, g.Done, g.Secured || g.Done == nil
	}
	return r
}

// Apply adds an op. It refuses one that cannot follow what came before.
func (r *Record) Apply(o Op) error {
	if r.Ended && o.Kind != OpStandbys && o.Kind != OpHeir {
		return fmt.Errorf("%w log: op %d after the end", action.ErrInvalid, o.Kind)
	}
	switch o.Kind {
	case OpStandbys:
		r.Standbys = o.Peers
		return nil
	case OpHeir:
		r.appoint(o.Peer)
		return nil
	case OpReady:
		r.Ready = r.Heir != ""
		return nil
	case OpGone, OpNote:
		return nil
	case OpMode:
		mode, err := ParseMode(o.Text)
		r.Mode, r.Missing = mode, o.Peers
		return err
	case OpQuarantined:
		r.Quarantined = with(r.Quarantined, o.Peer)
		return nil
	case OpTrusted:
		r.Quarantined = without(r.Quarantined, o.Peer)
		return nil
	case OpEnded:
		if r.open && !r.Shut {
			return fmt.Errorf("%w log: the end of a build that is open", action.ErrInvalid)
		}
		r.Ended = true
		return nil
	case OpAdded:
		return r.extend(&o)
	case OpShut:
		r.Shut = r.open
		return nil
	}
	if o.Step < 0 || int(o.Step) >= len(r.Steps) {
		return fmt.Errorf("%w log: step %d of %d", action.ErrInvalid, o.Step, len(r.Steps))
	}
	if o.Kind == OpDone && o.Done != nil {
		if err := r.steps[o.Step].Fits(&o.Done.Entry.Result); err != nil {
			return fmt.Errorf("log: %w", err)
		}
	}
	if err := r.Steps[o.Step].apply(o); err != nil {
		return fmt.Errorf("%w log: step %d: %w", action.ErrInvalid, o.Step, err)
	}
	return nil
}

func (s *StepRecord) apply(o Op) error {
	open := s.open()
	switch o.Kind {
	case OpStarted, OpStopped, OpBackup, OpTried, OpLost, OpDone, OpFailed:
		if !open {
			return fmt.Errorf("op %d on a step that is done", o.Kind)
		}
	case OpReopened:
		if s.Failed == "" && (s.Result == nil || s.Secured) {
			return fmt.Errorf("op %d on a step with nothing to take back", o.Kind)
		}
	case OpHeld:
		if s.Result == nil {
			return fmt.Errorf("op %d on a step without a result", o.Kind)
		}
	case OpSecured:
		if s.Result == nil || s.Secured {
			return fmt.Errorf("op %d on a step without a result at stake", o.Kind)
		}
	}
	switch o.Kind {
	case OpStarted:
		s.Began = with(s.Began, o.Peer)
	case OpStopped:
		s.leave(o.Peer)
	case OpBackup:
		s.Backup = o.Peer
	case OpTried:
		s.Tries++
		s.leave(o.Peer)
	case OpLost:
		s.Lost++
		if o.Peer != "" {
			s.Fallen = append(s.Fallen, o.Peer)
		}
		s.leave(o.Peer)
	case OpDone:
		if o.Done == nil {
			return fmt.Errorf("op %d without a result", o.Kind)
		}
		s.Done, s.Result, s.Began, s.Backup = o.Done, &o.Done.Entry.Result, nil, ""
	case OpReopened:
		if s.Done != nil {
			s.Before = s.Done
		}
		s.Result, s.Done, s.Failed, s.Held = nil, nil, "", false
	case OpHeld:
		s.Held = true
	case OpSecured:
		s.Secured = true
	case OpFailed:
		if o.Text == "" {
			return fmt.Errorf("op %d without a reason", o.Kind)
		}
		s.Failed, s.Began, s.Backup = o.Text, nil, ""
	default:
		return fmt.Errorf("unknown op %d", o.Kind)
	}
	return nil
}

// maxNames bounds a list of members in a record: those of a crew, and as many
// that were of it once. A log may name more.
const maxNames = 2 * MaxCrew

// with adds a name that is not there yet, if there is room.
func with(ids []peer.ID, id peer.ID) []peer.ID {
	if len(ids) >= maxNames || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

// leave notes that a member runs the step no more.
func (s *StepRecord) leave(id peer.ID) {
	s.Began = without(s.Began, id)
	if s.Backup == id {
		s.Backup = ""
	}
}

// sameOutputs reports whether two results are the same for a dependant.
func sameOutputs(a, b *action.Result) bool {
	if a.OK() != b.OK() || len(a.Outputs) != len(b.Outputs) {
		return false
	}
	for i := range a.Outputs {
		if a.Outputs[i] != b.Outputs[i] {
			return false
		}
	}
	return true
}
