// Package trace is what happens in a simulated world, as a stream of events:
// rules judge it, measures add it up, a hash of it says whether two runs were
// the same, and its end is what a failure prints. It is pure. Start reading at
// Event and its Kinds.
package trace

import "time"

// None stands where an Event has no node, build or step.
const None = -1

// Epoch is the reign of one leader of a build: steal.Epoch with the leader's
// place in the setting instead of its name.
type Epoch struct {
	Number uint64
	Leader int
}

// Less orders epochs as steal.Epoch does: nodes are named in their order.
func (e Epoch) Less(than Epoch) bool {
	return e.Number < than.Number || e.Number == than.Number && e.Leader < than.Leader
}

// Event is one thing that happened in a world. Nodes, builds and steps are
// their places in the setting, or None. What Value, Digest and Text mean is
// said with each Kind; Text is never made for an event alone, so that events
// cost no memory.
type Event struct {
	At    time.Duration // since the world began
	Kind  Kind
	Node  int // where it happened
	Peer  int // who else is concerned
	Build int
	Epoch Epoch
	Step  int
	Value int64
	// Digest is the first 8 bytes of a digest, of an action unless the Kind
	// says otherwise.
	Digest uint64
	Text   string
}

// Kind is what an Event says.
type Kind uint8

// The kinds. Node is where it happened.
const (
	// Of the world and its faults.

	Up         Kind = iota + 1 // Node runs; Value counts its lives from 0
	Down                       // Node was killed or left (Text "left")
	Split                      // Node is in the group of split number Value, which cuts it off from Peer, the first of the others
	Joined                     // split number Value is over for Node
	Slowed                     // Node runs at Value thousandths of its speed
	Clogged                    // Node's links carry Value thousandths of their bandwidth
	DiskFailed                 // Node's disk fails Value thousandths of what it is asked
	LostBlobs                  // Node lost what it stored
	Broke                      // the stream between Node and Peer of Build's Epoch was cut
	Healed                     // the faults are over: from here on nothing fails any more

	// Of membership.

	Suspected // Node believes Peer dead
	Believed  // Node believes Peer alive

	// Of builds.

	Began     // Build began at Node, its initiator; Value is its number of steps
	Over      // Build is over at Node, its initiator; Value is the steal.Reason
	Led       // Node leads in Epoch; Value is the length of the log that it has from its predecessor, Text is Asked or nothing
	Deposed   // Node leads no more in Epoch; Value is how many messages it sent and took, signs of life included
	Elected   // the initiator, Node, follows Peer in Epoch; Value is how many stand by
	Heard     // Node took a message of Epoch's leader, Peer; Text names its type
	Obeyed    // a machine of Node did something else than refuse because of the message Heard just before
	Refused   // Node refused Epoch
	Logged    // Node, the leader, put op number Value of Epoch's log on its way; Text names its kind, Step is its step
	Kept      // Peer, the leader of Epoch, heard that Node keeps its log up to Value
	Committed // Node, the leader, told that its log is safe up to Value
	Secured   // Node, the initiator, has the outputs of Step
	Announced // Node, the initiator, announced Step; Peer executed it; Digest is of the first output, 0 if it failed; Value is the index of the op in Epoch's log
	GaveUp    // Node, the initiator, gave Step up; Text says why
	Noted     // Node, the initiator, says Text of Step or Peer

	// Of steps.

	Assigned  // Node, the leader, gave Step to Peer; Digest
	Revoked   // Node, the leader, took Step back from Peer
	Claimed   // Node, a leader, has the claim of Digest from its owner Peer
	Waits     // Node, a leader, waits for another build's claim of Digest
	Found     // Node, a leader, takes the known result of Digest, which Peer executed
	Published // Node, an owner, keeps the result of Digest
	Prepared  // Node has the inputs of Step; Value is how many bytes came from others
	Unready   // Node could not get the inputs of Step; Text says why
	RunBegan  // Node began to execute Step; Digest
	RunEnded  // Node executed Step; Digest; Value is the exit code
	RunCut    // Node's execution of Step was cancelled or lost with it; Digest

	// Of bytes.

	Sent    // Node sent a blob of Value bytes to Peer
	Looked  // Node looked a key up in the DHT; Value is the number of hops, Digest the nanoseconds that it took
	Fetched // Node has all of a large blob of Value bytes

	// Forgot says that Node has no more part in Build, but to lead it, and
	// remembers nothing of it.
	Forgot
	// Lacked says that Node, the initiator, could not get the outputs of Step;
	// Text says why.
	Lacked
	// Inherited says that Node goes on as Build with the build Value, whose
	// initiator, Peer, is lost.
	Inherited
	// Lent says that Node lends Value of its slots to builds of others, from now
	// on.
	Lent
	// Ahead says that Node, a leader, has Digest executed beside its claim at the
	// owner Peer, which is far.
	Ahead
	// Added says that Node, the initiator of the open Build, adds Step.
	Added
	// Dropped says that nobody needs Step any more, as Node, the initiator, says.
	Dropped

	// Of commands outside of builds; Value is the number in the setting.

	CommandCame  // a command asks for a slot of Node
	CommandBegan // it has one
	CommandEnded // it has none any more, or waits for none
)

// Sink takes events in the order in which they happen. It must not keep the
// pointer.
type Sink interface {
	Observe(e *Event)
}
