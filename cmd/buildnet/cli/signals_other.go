//go:build !unix

package cli

import "os"

// endSignal knows no signals.
func endSignal(*os.ProcessState) int { return 0 }

// inForeground: a console gives its signals to all that it has.
func inForeground() bool { return true }
