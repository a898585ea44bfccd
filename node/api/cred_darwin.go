package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// callerUID returns the user of the process at the other end.
func callerUID(c net.Conn) int {
	uid := UnknownUID
	control(c, func(fd int) {
		if cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}
