// Package doze has a long-lived process that does little use little: what it costs
// a machine is not what it does but how often it wakes up for it. It changes how Go
// and the kernel run this process, once, and starts nothing. Start reading at Once.
package doze

import (
	"os"
	"runtime"
)

// Once has this process wake up less often, as one that has so many cores to
// itself. It is for the start of a process, before anything else runs in it, which
// it may begin anew in this one's place: then it does not return. GOMAXPROCS of the
// environment is heeded instead of the cores.
//
// Go gives a process two processors of its own where a control group gives it a
// part of one. Nothing is won by the second, and each piece of work wakes a thread
// to look for more. A build's nodes with 0.2 cores used a seventh less with one.
func Once(cores float64) error {
	if os.Getenv("GOMAXPROCS") == "" && cores <= 1 {
		runtime.GOMAXPROCS(1)
	}
	return slacken()
}
