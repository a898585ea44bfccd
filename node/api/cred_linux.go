package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// callerOf returns who is at the other end.
func callerOf(c net.Conn) origin {
	o := origin{uid: UnknownUID}
	control(c, func(fd int) {
		if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			o = origin{uid: int(cred.Uid), pid: int(cred.Pid)}
		}
	})
	return o
}
