package trace

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// says is how each Kind reads: %n is the node, %p the peer, %s the step, %v the
// value, %d the digest, %t the text.
var says = [...]string{
	Up: "%n is up, life %v", Down: "%n is down %t", Split: "%n is cut off from %p and others by split %v", Joined: "split %v is over for %n",
	Slowed: "%n runs at %v/1000", Clogged: "the links of %n carry %v/1000", DiskFailed: "the disk of %n fails %v/1000",
	LostBlobs: "%n lost its blobs", Broke: "the stream of %n to %p broke", Healed: "the faults are over",
	Suspected: "%n believes %p dead", Believed: "%n believes %p alive",
	Began: "begins at %n, %v steps", Over: "is over at %n, reason %v", Led: "%n leads, from a log of %v", Deposed: "%n leads no more",
	Elected: "%n follows %p, %v stand by", Heard: "%n heard %t of %p", Obeyed: "%n obeyed %p", Refused: "%n refused",
	Logged: "%n logged op %v %t of step %s", Kept: "%n keeps the log up to %v", Committed: "%n told that the log is safe up to %v",
	Secured: "%n has the outputs of step %s", Announced: "%n announced step %s, op %v, executed by %p, output %d",
	GaveUp: "%n gave step %s up: %t", Noted: "%n notes of step %s, %p: %t",
	Assigned: "%n assigned step %s to %p, action %d", Revoked: "%n took step %s back from %p", Claimed: "%n has the claim of %d from %p",
	Waits: "%n waits for another build's claim of %d", Found: "%n takes the result of %d, step %s, executed by %p",
	Published: "%n keeps the result of %d", Prepared: "%n has the inputs of step %s, %v bytes came", Unready: "%n is not ready for step %s: %t",
	RunBegan: "%n began to run step %s, action %d", RunEnded: "%n ran step %s, action %d, exit code %v", RunCut: "%n was cut short in step %s, action %d",
	Sent: "%n sent %v bytes to %p", Looked: "%n looked a key up in %v hops", Fetched: "%n has a blob of %v bytes", Forgot: "%n forgets the build", Lacked: "%n could not get the outputs of step %s: %t",
	Lent:        "%n lends %v slots",
	Ahead:       "%n has %d executed beside its claim at %p",
	Added:       "%n adds step %s",
	Dropped:     "%n needs step %s no more",
	CommandCame: "command %v asks for a slot of %n", CommandBegan: "%n runs command %v", CommandEnded: "command %v leaves %n",
	Inherited: "%n goes on with build %v, which %p asked for",
}

// String is one line for people: when, which build and epoch, and what. Nodes
// are called by their names, and by their numbers beyond them.
func (e *Event) String(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%10.6f ", e.At.Seconds())
	if e.Build != None {
		fmt.Fprintf(&b, "build %d ", e.Build)
	}
	if e.Epoch.Number != 0 {
		fmt.Fprintf(&b, "epoch %d of %s ", e.Epoch.Number, called(names, e.Epoch.Leader))
	}
	if int(e.Kind) >= len(says) || says[e.Kind] == "" {
		fmt.Fprintf(&b, "kind %d at %s", e.Kind, called(names, e.Node))
		return b.String()
	}
	b.WriteString(strings.NewReplacer(
		"%n", called(names, e.Node), "%p", called(names, e.Peer), "%s", number(e.Step), "%v", strconv.FormatInt(e.Value, 10),
		"%d", fmt.Sprintf("%08x", uint32(e.Digest>>32)), "%t", e.Text,
	).Replace(says[e.Kind]))
	return strings.TrimRight(b.String(), " ")
}

func called(names []string, node int) string {
	switch {
	case node == None:
		return "nobody"
	case node >= 0 && node < len(names) && names[node] != "":
		return names[node]
	default:
		return "node " + strconv.Itoa(node)
	}
}

func number(step int) string {
	if step == None {
		return "none"
	}
	return strconv.Itoa(step)
}

// Lines are events for people, one a line.
func Lines(events []Event, names []string) string {
	var b strings.Builder
	for i := range events {
		b.WriteString(events[i].String(names))
		b.WriteByte('\n')
	}
	return b.String()
}

// Blank is an event of no node, build or step.
func Blank(at time.Duration, k Kind) Event {
	return Event{At: at, Kind: k, Node: None, Peer: None, Build: None, Step: None}
}
