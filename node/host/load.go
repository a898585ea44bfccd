package host

import (
	"errors"
	"time"
)

// ErrUnmeasured says that what others use of this machine cannot be told.
var ErrUnmeasured = errors.New("what the owner uses of this machine cannot be measured")

// Use is what was used of this machine so far, and how it is powered.
type Use struct {
	// All is the CPU time of everything that ran here, Node that of this process
	// and of all that it started.
	All, Node time.Duration
	// Cores is how many processors All could use at once.
	Cores float64
	// Waited is how long something that could run waited for a processor; it
	// stays 0 where the kernel does not tell.
	Waited time.Duration
	// Battery says that the machine runs on its battery.
	Battery bool
}
