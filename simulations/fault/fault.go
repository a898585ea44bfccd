// Package fault is what goes wrong in a simulated world, and when: written
// down, parsed from a script's line, or drawn. It is pure; the world carries
// it out. Start reading at Fault.
package fault

import "time"

// Kind is what goes wrong.
type Kind uint8

// The kinds.
const (
	// Kill ends the target without a word. With For it starts again after
	// that, with its store but without memory.
	Kill Kind = iota + 1
	// Restart starts a killed target again.
	Restart
	// Leave ends the target with a word to the others.
	Leave
	// Split cuts Group off from all others; with OneWay only what it sends is
	// lost, with Deaf only what is sent to it.
	Split
	// Slow makes the target run Factor (below 1) times as fast.
	Slow
	// Clog makes the target's links carry Factor (below 1) of their bandwidth.
	Clog
	// Stall stops the target (SIGSTOP) for For, and lets it go on.
	Stall
	// Break cuts the stream between a leader and the target.
	Break
	// FailDisk makes Factor of what the target's store is asked fail.
	FailDisk
	// LoseBlobs empties the target's store.
	LoseBlobs
	// Cancel has the initiator of Target.Build cancel it.
	Cancel
	// Heal undoes every Split, Slow, Clog, FailDisk and Claim.
	Heal
	// Claim leaves Factor (below 1) of the target's slots, rounded down, to builds
	// that were asked for elsewhere: its owner wants the others.
	Claim
)

// Role picks a node by what it is in a build when the fault strikes.
type Role uint8

// The roles.
const (
	// Node is a fixed node.
	Node Role = iota
	// Leader leads in the highest epoch.
	Leader
	// Standby is named to take over first.
	Standby
	// SecondStandby is named to take over second.
	SecondStandby
	// Worker is the one that is not initiator, leader or standby and has most
	// running; the lowest of equals.
	Worker
	// Holder is the only one, besides the initiator, that has the output of
	// the step that finished last.
	Holder
	// Initiator asked for the build.
	Initiator
)

// Target is whom a fault strikes.
type Target struct {
	Role Role
	// Node is a place in the setting, for the role Node.
	Node int
	// Build is a place in the setting, for the other roles.
	Build int
}

// Fault is one thing that goes wrong. It strikes at At, or, if Share is not 0,
// when that share of Build's steps is announced.
type Fault struct {
	At    time.Duration
	Share float64 // in (0, 1]
	Build int     // that Share is of

	Kind   Kind
	Target Target
	// Group is one side of a Split. Empty, it is the Target and every third
	// node.
	Group  []int
	OneWay bool
	Deaf   bool
	// For is how long it lasts; 0 lasts until Heal, and a killed node stays
	// dead.
	For time.Duration
	// Factor is in (0, 1).
	Factor float64
}
