//go:build unix

package cli

import (
	"os"
	"syscall"
)

// ownSession makes a process that outlives the terminal.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// EndSignals end a command in order: see System.Signals.
var EndSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}
