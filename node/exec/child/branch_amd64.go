//go:build linux && !race

package child

import "syscall"

// branches says that a process of a sandbox needs no copy of the memory of the one
// that starts it: it has a stack of its own.
const branches = true

// branchFirst starts a process as clone3(2), which lives p on the stack that args name.
//
//go:noescape
func branchFirst(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno)

// branchCommand starts one that becomes p's command.
//
//go:noescape
func branchCommand(args *cloneArgs, size uintptr, p *program) (pid uintptr, errno syscall.Errno)

// These are called by branch_amd64.s.
var _ = [...]func(*program){live, become}
