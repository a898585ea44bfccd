// Package steal holds the machines that share a build out: the Leader, which
// decides; the Hand of each member that works; the Keeper of each member that
// could take over; and the Origin, which asked for the build. They are pure:
// time and messages come in, a value goes out, and nothing in them reads a
// clock, starts a goroutine or does I/O. A machine is not safe for concurrent
// use. Package sched drives them.
//
// # What a driver does
//
// A leader opens one stream to each member of its crew, itself included; the
// first message on it is Hello. At the member's end every message goes to the
// Hand, to the Keeper and, at the initiator, to the Origin of the build: each
// passes over what is not for it. (The initiator's node has no Keeper: its
// Origin keeps the log.) A member makes the Hand and the Keeper of a build at
// the first Hello. The messages travel in order, with the build and the epoch.
//
// Leader: Tick first and every BeatEvery, Opened and Closed for its streams,
// Receive, Meet when the membership changes, Resolved for each Resolve.
//
// Hand, Keeper, Origin: Tick when it is Due, Receive, Closed when the stream
// of an epoch broke. A leader that opens another stream in its epoch replaces
// the one before: Closed for that comes before the new one's Hello, and
// nothing of it after. An unknown build's stream that does not begin with
// Hello or Lead is to be closed.
//
// A driver checks what it decodes: that the sender is the leader of its epoch,
// and that every Entry is signed by its executor. Everything else may be
// anything; the machines cope.
//
// Start reading at Message, then at Leader and its Phases.
package steal
