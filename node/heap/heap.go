// Package heap has a process collect its garbage less often while there is
// little of it. It holds memory for the whole process and starts nothing. Start
// reading at Floor.
package heap

import (
	"os"
	"runtime"
)

// ballast of a heap is never touched, so that no machine has to give it; Go counts
// it as in use, and lets as much come new before it collects. A node has 5 to 15
// MiB in use, of which a build makes as much garbage several times a second: a
// tenth of its CPU time went to walking that again and again.
var ballast []byte

const (
	// mostBallast is that of a machine with 16 GiB, or more.
	mostBallast = 64 << 20
	// ballastShare is one in how many of a machine's bytes.
	ballastShare = 256
	// usualMemory stands for that of a machine that does not tell, in bytes.
	usualMemory = 4 << 30
)

// Floor has this process collect nothing before there is a 128th of the machine's
// memory, in bytes (0 if it is not known), and 128 MiB at most. Above that Go's measure holds: twice what
// is in use, and the floor. GOGC and GOMEMLIMIT of the environment are heeded
// instead. It is for the start of a process.
func Floor(memory int64) {
	if memory <= 0 {
		memory = usualMemory
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, min(memory/ballastShare, mostBallast))
		runtime.KeepAlive(ballast)
	}
}
