//go:build flaws

package swarm

import "os"

// flawNoRefetch is a bug planted to show that package simulations finds it:
// what was asked of a holder that failed, or was lost, is never asked again.
var flawNoRefetch = os.Getenv("BUILDNET_FLAW") == "no-refetch"

// flaws is what a chunk remembers for them.
type flaws struct{ failed bool }

func (f *flaws) fail() { f.failed = f.failed || flawNoRefetch }

func (f *flaws) abandoned() bool { return f.failed }
