//go:build !386 && !s390x

package child

import "syscall"

const sysSocket = syscall.SYS_SOCKET
