package cli

import (
	"os"
	"syscall"
)

// ownSession makes a process that outlives the console.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// EndSignals end a command in order: see System.Signals.
var EndSignals = []os.Signal{os.Interrupt}
