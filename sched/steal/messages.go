package steal

import (
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// BuildID names a build across the mesh.
type BuildID string

// Step is a step's place in its build's graph, which is how messages and the
// log name it.
type Step int

// Message is what one peer says to another within a build. Every message
// travels with the build and the epoch that it is of.
type Message interface{ message() }

// Spec is what a toolchain digest is asked for: the platform properties
// toolchain-spec and toolchain-dirs of a step.
type Spec struct{ Spec, Dirs string }

// Lead is what an initiator says to the member that it chose to lead: a stream
// of its own, which says no more. The build and the epoch travel with it. The
// answer is the new leader's Hello.
type Lead struct {
	// Plan is the blob to lead with; the initiator has it.
	Plan digest.Digest
}

// Messages of a leader.
type (
	// Hello opens a leader's stream to a member of its crew. Whoever gets it
	// serves that leader, or refuses it.
	Hello struct {
		Initiator peer.ID
		// Plan is the blob with which a standby could lead.
		Plan digest.Digest
		// Specs are the toolchains that the build's steps ask for; Join answers
		// in the same order.
		Specs []Spec
		// Forget asks a worker to keep no result of the build, and to tell nobody
		// of its outputs but the leader.
		Forget bool
		// Have is only for the initiator: a bit for each step that the leader
		// knows to be given up, or to have a result which the initiator has. The
		// initiator answers with what is missing in it.
		Have []byte
		// Open says that the build is an open one: its user waits for each step.
		Open bool
		// Steps is only for the initiator of an open build: how many steps the leader
		// has. It is told of the others before it is followed.
		Steps int
	}
	// Append carries ops of the leader's log to those who keep it: the standbys
	// and the initiator. First is the index of the first, from 1; all up to
	// Commit are where they have to be.
	Append struct {
		First  uint64
		Ops    []Op
		Commit uint64
	}
	// Beat says that the sender lives. A leader's also carries the commit index, and
	// says in an open build whether that rests: who hears it beats every CalmEvery,
	// until something else is said.
	Beat struct {
		Commit uint64
		Calm   bool
	}
	// Assign gives a step to a worker.
	Assign struct {
		Step   Step
		Name   action.StepID
		Action digest.Digest
		// Holders are those who have the inputs.
		Holders []peer.ID
		// Messages are blobs of which the action is made, as far as they travel with
		// the assignment. The driver sees to them.
		Messages [][]byte
	}
	// Revoke takes an assignment back. Who has it answers by Return.
	Revoke struct{ Step Step }
	// Recall takes an assignment back unless it runs: it is answered by Return,
	// or not at all.
	Recall struct{ Step Step }
	// Confirm says that a report is in the log, where it has to be.
	Confirm struct {
		Step   Step
		Action digest.Digest
	}
	// End ends the build for the receiver.
	End struct{ Reason Reason }
	// Tidings tell the initiator what its log does not say, for people: nothing is
	// decided by it.
	Tidings struct {
		Placements []Placement
		Advances   []Advance
		Statuses   []PeerStatus
	}
)

// Messages to a leader.
type (
	// Join says what a worker is, and what it is doing for the build. Reports
	// that no leader has confirmed come before it.
	Join struct {
		Slots    int
		OS, Arch string
		BPU      float64
		// Memory in bytes that the worker gives to actions; 0 is not known, and no
		// bound.
		Memory int64
		// Toolchains are the digests of Hello's Specs, in their text form;
		// empty for one that the worker does not have.
		Toolchains []string
		Running    []Running
		// Absolute says that it can run steps with action.RootAbsolute.
		Absolute bool
		// Optional says that it knows of action.OutputsOptional and
		// action.StreamsApart: an older node takes no notice of either.
		Optional bool
	}
	// Want is a steal request: after the Seen-th assignment of this stream the
	// worker takes Free more. A later one replaces an earlier one.
	Want struct {
		Seen uint64
		Free int
	}
	// Resize says how many slots the worker has from now on: the owner of its
	// machine wants some back, or has left them. One whose owner wants all of them
	// for now says 1, and wants nothing.
	Resize struct{ Slots int }
	// Started says that a worker began to run the step.
	Started struct{ Step Step }
	// Report is what came of an assignment: Entry, or a Failure that is not the
	// command's.
	Report struct {
		Step    Step
		Action  digest.Digest
		Entry   *action.Entry
		Failure Failure
		Timings Timings
	}
	// Return gives an assignment back: it was not begun, or the owner of the
	// machine wants it back and it was ended. Taken says that the leader had taken
	// it back: its worker has ended it, and lives.
	Return struct {
		Step  Step
		Taken bool
	}
	// Ack says that the log is kept up to Index.
	Ack struct{ Index uint64 }
	// Known tells a new leader of a result that its log may lack, or of a step
	// that was announced as given up: Failed says why, and there is no Done.
	Known struct {
		Step    Step
		Done    Done
		Secured bool
		Failed  string
	}
	// Toll tells a new leader who began a step that has no result, and who was lost
	// with it, as far as the initiator knows: see Record.
	Toll struct {
		Step          Step
		Began, Fallen []peer.ID
	}
	// Follow is the initiator's answer to Hello, after every Known and Toll. The heir says
	// it when it has all that the build began with.
	Follow struct{}
	// Decline says that a member that was named the heir cannot be it: Text says why.
	Decline struct{ Text string }
	// Occupied is the answer to Hello of a member that does not join: it serves
	// Build, which this one goes on with, and that goes on as well. The leader passes
	// it to its initiator.
	Occupied struct {
		Build     BuildID
		Initiator peer.ID
	}
	// Secured says that the initiator has all outputs of the step's result. The
	// heir says it of what the initiator made.
	Secured struct {
		Step   Step
		Action digest.Digest
	}
	// Unsecured says that the initiator could not get them.
	Unsecured struct {
		Step   Step
		Action digest.Digest
		Text   string
	}
	// Cancel ends the build; only the initiator may.
	Cancel struct{}
	// Refuse answers a leader whose epoch is over.
	Refuse struct{ Epoch Epoch }
	// Progress says how much of a step that runs here is done, in per cent: the
	// step says so itself.
	Progress struct {
		Step    Step
		Percent int
	}
	// Status says how a worker is. It is a Beat as well.
	Status struct {
		// Slots are those that the build has here, Busy steps of it run, Waiting
		// others are here.
		Slots, Busy, Waiting int
		Running              []Step
		// Memory is what the worker's machine has in use, in bytes; 0 is not known.
		Memory int64
		// Share is how much of the worker its owner leaves to others, 0 to 1.
		Share float64
	}
)

// Placement is a step in a worker's hands that has not begun.
type Placement struct {
	Step Step
	Peer peer.ID
}

// Advance is how much of a step is done on a worker, in per cent.
type Advance struct {
	Step    Step
	Peer    peer.ID
	Percent int
}

// PeerStatus is the Status of a worker.
type PeerStatus struct {
	Peer   peer.ID
	Status Status
}

// Running is a step in a worker's hands.
type Running struct {
	Step    Step
	Action  digest.Digest
	Started bool
}

// Timings are where a step's time went.
type Timings struct{ Queued, Fetch, Run, Upload time.Duration }

// Reason is why a leader ends a build for a member. Do not reorder: the
// numbers go over the wire.
type Reason uint8

const (
	// Completed builds have nothing left to do.
	Completed Reason = iota + 1
	// Cancelled builds lost their initiator, or it wants no more.
	Cancelled
	// Orphaned builds lost their initiator, and have an heir that goes on.
	Orphaned
)

// NoRoom begins the text of failures of the kind NoSpace. Of a step that is given up a
// log has text alone: whoever answers for the step tells by this that it is not to be
// tried again at once.
const NoRoom = "no room"

// FailureKind is why an assignment brought no result although its command did
// not fail. Do not reorder: the numbers go over the wire.
type FailureKind uint8

const (
	// Broken is any failure of the worker's machinery.
	Broken FailureKind = iota + 1
	// MissingBlob is an input that nobody could give.
	MissingBlob
	// NoSpace is a full disk.
	NoSpace
	// WrongToolchain is a worker whose toolchain changed after it joined; it gets no
	// more steps that need it, until it says that it has it.
	WrongToolchain
	// Unable is a worker that is sound and cannot run this step as it asks to be
	// run: its files lie where this machine has its own, for one.
	Unable
)

// blames reports whether such a failure may be the worker's fault. For a missing
// blob it is whoever had it, and what a worker is unable to do it is not to blame
// for.
func (k FailureKind) blames() bool { return k != MissingBlob && k != Unable }

// waits reports whether after such a failure another try had better come later.
func (k FailureKind) waits() bool { return k != Unable }

// Failure is what went wrong around a command.
type Failure struct {
	Kind FailureKind
	Text string
}

func (Lead) message()      {}
func (Hello) message()     {}
func (Append) message()    {}
func (Beat) message()      {}
func (Assign) message()    {}
func (Revoke) message()    {}
func (Recall) message()    {}
func (Confirm) message()   {}
func (End) message()       {}
func (Join) message()      {}
func (Want) message()      {}
func (Resize) message()    {}
func (Started) message()   {}
func (Report) message()    {}
func (Return) message()    {}
func (Ack) message()       {}
func (Known) message()     {}
func (Toll) message()      {}
func (Follow) message()    {}
func (Decline) message()   {}
func (Occupied) message()  {}
func (Secured) message()   {}
func (Unsecured) message() {}
func (Cancel) message()    {}
func (Refuse) message()    {}
func (Progress) message()  {}
func (Status) message()    {}
func (Tidings) message()   {}

// Send is a message of a leader to a member, on the stream that the leader
// opened.
type Send struct {
	To  peer.ID
	Msg Message
}

// Reply is a message to a leader, on the last stream that it opened in the
// epoch To. It is lost if there is none.
type Reply struct {
	To  Epoch
	Msg Message
}
