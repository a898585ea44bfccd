//go:build 386 || s390x

package child

// sysSocket is a system call of its own there since Linux 4.3.
const sysSocket = 359
