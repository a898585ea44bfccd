package child

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

// network is a network namespace with nothing but a loopback interface. To make one and
// to take it down costs as much as half of what else a sandbox is, so that one in which
// nothing was ever sent serves again: no command has a right to change it otherwise, and
// what is bound in it goes with its processes.
type network struct {
	fd int
	// counts is a socket within it by which the kernel is asked what was sent.
	counts int
	// sockets is its sockstat of proc(5), and atFirst what that said when it was new:
	// a socket in a ring or on its way to another may end after its process.
	sockets int
	atFirst string
}

// networks are those of a root's nursery. The zero value has none.
type networks struct {
	own  int // that of this process, if not 0
	idle []network
}

// maxIdle bounds the namespaces that are kept.
const maxIdle = 32

// threadsNetwork is the namespace of the thread that opens it: see namespaces(7).
const threadsNetwork = "/proc/thread-self/ns/net"

// take returns a namespace in which nothing was sent. False is for none, which there
// may be another way to.
func (n *networks) take() (network, bool) {
	if last := len(n.idle) - 1; last >= 0 {
		one := n.idle[last]
		n.idle = n.idle[:last]
		return one, true
	}
	return n.add()
}

// add makes a namespace. This thread, which is the only one that has to do with others
// and is not left until the process ends, is in it meanwhile.
func (n *networks) add() (network, bool) {
	if n.own == 0 {
		fd, err := syscall.Open(threadsNetwork, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return network{}, false
		}
		n.own = fd
	}
	// What cannot be left again is not entered.
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(n.own), syscall.CLONE_NEWNET, 0); errno != 0 {
		return network{}, false
	}
	if syscall.Unshare(syscall.CLONE_NEWNET) != nil {
		return network{}, false
	}
	one, ok := opened()
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(n.own), syscall.CLONE_NEWNET, 0); errno != 0 {
		syscall.Exit(1) // what is started next would be where it may not
	}
	return one, ok
}

// give takes a namespace back whose processes have ended.
func (n *networks) give(one network) {
	if len(n.idle) < maxIdle && one.silent() {
		n.idle = append(n.idle, one)
		return
	}
	one.close()
}

func (o network) close() {
	_ = syscall.Close(o.counts)
	_ = syscall.Close(o.sockets)
	_ = syscall.Close(o.fd)
}

// used is the line of how many sockets there are.
func (o network) used() string {
	var b [256]byte
	n, err := syscall.Pread(o.sockets, b[:], 0)
	if err != nil {
		return ""
	}
	for i, c := range b[:n] {
		if c == '\n' {
			return string(b[:i])
		}
	}
	return ""
}

// opened opens the namespace of this thread, which is new, and raises its loopback
// interface.
func opened() (network, bool) {
	fd, err := syscall.Open(threadsNetwork, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return network{}, false
	}
	counts, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		_ = syscall.Close(fd)
		return network{}, false
	}
	sockets, err := syscall.Open("/proc/thread-self/net/sockstat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		_ = syscall.Close(counts)
		_ = syscall.Close(fd)
		return network{}, false
	}
	one := network{fd: fd, counts: counts, sockets: sockets}
	if raise() != nil {
		one.close()
		return network{}, false
	}
	one.atFirst = one.used()
	return one, true
}

func raise() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(s) }()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(s), ioctlSetFlags, uintptr(unsafe.Pointer(upLoopback()))); errno != 0 {
		return errno
	}
	return nil
}

// Of rtnetlink(7) and linux/if_link.h.
const (
	getStats      = 94 // RTM_GETSTATS
	newStats      = 92 // RTM_NEWSTATS
	link64        = 1  // IFLA_STATS_LINK_64
	statsHeader   = 12 // struct if_stats_msg
	loopbackIndex = 1  // of the first interface, which the kernel makes
)

// silent reports whether the kernel says that nothing was sent or received, not even
// by the loopback interface, and that no socket is left.
func (o network) silent() bool {
	if o.atFirst == "" || o.used() != o.atFirst {
		return false
	}
	question := make([]byte, syscall.NLMSG_HDRLEN+statsHeader)
	order := binary.NativeEndian
	order.PutUint32(question, uint32(len(question)))
	order.PutUint16(question[4:], getStats)
	order.PutUint16(question[6:], syscall.NLM_F_REQUEST)
	order.PutUint32(question[syscall.NLMSG_HDRLEN+4:], loopbackIndex)
	order.PutUint32(question[syscall.NLMSG_HDRLEN+8:], 1<<(link64-1))
	if syscall.Sendto(o.counts, question, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}) != nil {
		return false
	}
	var answer [1024]byte
	got, _, err := syscall.Recvfrom(o.counts, answer[:], syscall.MSG_DONTWAIT)
	if err != nil || got < syscall.NLMSG_HDRLEN+statsHeader || order.Uint16(answer[4:]) != newStats {
		return false
	}
	return noPackets(answer[syscall.NLMSG_HDRLEN+statsHeader : got])
}

// noPackets finds the counts among attributes: struct rtnl_link_stats64 begins with the
// packets that were received and those that were sent.
func noPackets(attributes []byte) bool {
	order := binary.NativeEndian
	for len(attributes) >= syscall.SizeofRtAttr {
		length, kind := int(order.Uint16(attributes)), order.Uint16(attributes[2:])
		if length < syscall.SizeofRtAttr || length > len(attributes) {
			return false
		}
		value := attributes[syscall.SizeofRtAttr:length]
		if kind == link64 && len(value) >= 16 {
			return order.Uint64(value) == 0 && order.Uint64(value[8:]) == 0
		}
		attributes = attributes[min((length+3)&^3, len(attributes)):]
	}
	return false
}
