//go:build !amd64 && !386

package child

import "syscall"

const sysSetns = syscall.SYS_SETNS
