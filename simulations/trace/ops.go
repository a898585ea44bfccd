package trace

// Asked is the Text of Led where the initiator asked Node to lead: such a reign
// begins with nothing.
const Asked = "asked"

// Yielded is the Text of Over where an heir gives a build up, which goes on
// elsewhere.
const Yielded = "the initiator lives"

// Names of the ops of a leader's log, as Logged tells them.
const (
	OpStandbys    = "standbys" // Digest is how many stand by from now on
	OpStarted     = "started"
	OpDone        = "done"
	OpTried       = "tried" // Peer is on whom, or None
	OpLost        = "lost"  // Peer is who was lost with it, or None
	OpGone        = "gone"  // Peer is who is lost
	OpReopened    = "reopened"
	OpSecured     = "secured"
	OpFailed      = "failed"
	OpNote        = "note"
	OpEnded       = "ended"
	OpStopped     = "stopped"
	OpBackup      = "backup"      // Peer is to whom Step was given as well
	OpMode        = "mode"        // Digest is the steal.Mode
	OpQuarantined = "quarantined" // Peer is to be tried with one step at a time
	OpTrusted     = "trusted"     // Peer is quarantined no more
	OpHeir        = "heir"        // Peer is who goes on if the initiator is lost, or None
	OpReady       = "ready"       // Peer is the heir
	OpHeld        = "held"
	OpAdded       = "added" // Step is the first of those that are added
	OpShut        = "shut"
)

// Ops are the names by steal.OpKind.
var Ops = [...]string{
	"", OpStandbys, OpStarted, OpDone, OpTried, OpLost, OpGone, OpReopened, OpSecured, OpFailed, OpNote, OpEnded, OpStopped,
	OpBackup, OpMode, OpQuarantined, OpTrusted,
	OpHeir, OpReady, OpHeld, OpAdded, OpShut,
}
