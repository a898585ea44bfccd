//go:build linux || darwin

package api

import (
	"net"
	"syscall"
)

func control(c net.Conn, f func(fd int)) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	// What f finds is all that matters: an error leaves the caller unknown.
	_ = raw.Control(func(fd uintptr) { f(int(fd)) })
}
