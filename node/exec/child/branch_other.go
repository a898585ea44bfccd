//go:build linux && (!amd64 || race)

package child

import (
	"syscall"
	"unsafe"
)

// branches says that a process of a sandbox needs no copy of the memory of the one
// that starts it. Here it has one, and goes on where that was: nobody has written the
// few instructions for this processor, or the race detector would look into the memory.
const branches = false

// branchFirst starts a process as clone3(2), which lives p.
//
//go:nosplit
//go:norace
func branchFirst(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(args)), size, 0)
	if errno == 0 && pid == 0 {
		live(p)
	}
	return pid, errno
}

// branchCommand starts one that becomes p's command.
//
//go:nosplit
//go:norace
func branchCommand(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(args)), size, 0)
	if errno == 0 && pid == 0 {
		become(p)
	}
	return pid, errno
}
