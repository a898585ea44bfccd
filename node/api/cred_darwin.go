package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// callerOf returns who is at the other end.
func callerOf(c net.Conn) origin {
	o := origin{uid: UnknownUID}
	control(c, func(fd int) {
		if cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
			o.uid = int(cred.Uid)
		}
	})
	return o
}
