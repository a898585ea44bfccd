// Package heap has a process collect its garbage less often while there is
// little of it. It holds memory for the whole process and starts nothing. Start
// reading at Floor.
package heap

import (
	"os"
	"runtime"
	"sync"
)

// ballastBytes of a heap are never touched, so that no machine has to give them;
// Go counts them as in use, and lets as much come new before it collects. A node
// has 5 to 15 MiB in use, of which a build makes as much garbage several times a
// second: a tenth of its CPU time went to walking that again and again.
const ballastBytes = 32 << 20

var ballast []byte

// Floor has this process collect nothing before there are some 64 MiB. Above that
// Go's measure holds, twice what is in use, and 64 MiB. GOGC and GOMEMLIMIT of the
// environment are heeded instead.
var Floor = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastBytes)
		runtime.KeepAlive(ballast)
	}
})
