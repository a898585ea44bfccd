package reapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What sock_diag(7) and inet_diag.h say of one TCP socket.
const (
	sockDiagByFamily = 20
	requestBytes     = unix.NLMSG_HDRLEN + 56
	// uidAt is where inet_diag_msg has the owner, behind the header.
	uidAt = unix.NLMSG_HDRLEN + 64
)

var errNoOwner = errors.New("nobody is known to have the socket")

// owner returns the user who has the socket of this machine that is bound to local and
// connected to remote.
func owner(local, remote netip.AddrPort) (uid uint32, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("owner of %v: %w", local, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, ownerRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("owner of %v: %w", local, err)
	}
	answer := make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, fmt.Errorf("owner of %v: %w", local, err)
	}
	if n < uidAt+4 || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0, fmt.Errorf("owner of %v: %w", local, errNoOwner)
	}
	return binary.NativeEndian.Uint32(answer[uidAt:]), nil
}

// ownerRequest is a nlmsghdr and an inet_diag_req_v2 for one socket.
func ownerRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, requestBytes)
	binary.NativeEndian.PutUint32(b, requestBytes)
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	q := b[unix.NLMSG_HDRLEN:]
	q[0], q[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if local.Addr().Is4() {
		q[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(q[4:], 1<<32-1) // in any state
	id := q[8:]
	binary.BigEndian.PutUint16(id, local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[40:], 1<<64-1) // no cookie
	return b
}
