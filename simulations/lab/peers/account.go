//go:build lab && linux

package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/simulations/lab"
)

// compilers counts what compilers do on a host apart from all the rest, such as
// from preprocessing, by telling them from other programs when they start: the
// kernel says so (connector, linux/cn_proc.h).
type compilers struct {
	lab.Part
	// calls is how many compiles there were.
	calls atomic.Int64
}

// The kernel's connector of processes: linux/connector.h, linux/cn_proc.h.
const (
	processes  = 1 // CN_IDX_PROC and CN_VAL_PROC
	listen     = 1 // PROC_CN_MCAST_LISTEN
	executed   = 2 // PROC_EVENT_EXEC
	headerSize = unix.SizeofNlMsghdr + 20
	eventSize  = headerSize + 24
)

// received bounds what the kernel keeps for us, in bytes: a machine starts some
// thousand processes a second at most, and we are never a second late.
const received = 4 << 20

// countCompilers begins. It ends with the test.
func countCompilers(tb testing.TB, h *lab.Host) *compilers {
	tb.Helper()
	c := &compilers{Part: h.Part("compilers")}
	fd, err := subscribe()
	if err != nil {
		tb.Fatalf("listen to the kernel's telling of programs that start: %v", err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	tb.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, 4096)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.ENOBUFS) {
				tb.Error("programs started of which we do not know: what the compilers used is too little")
			}
			if err == nil && n >= eventSize && binary.NativeEndian.Uint32(buf[headerSize:]) == executed {
				c.started(int(binary.NativeEndian.Uint32(buf[headerSize+20:])))
			}
		}
	}()
	return c
}

func subscribe() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return 0, err
	}
	msg := make([]byte, headerSize+4)
	for i, v := range []uint32{uint32(len(msg)), unix.NLMSG_DONE, 0, uint32(os.Getpid()), processes, processes, 0, 0, 4, listen} {
		binary.NativeEndian.PutUint32(msg[4*i:], v)
	}
	wait := unix.NsecToTimeval(int64(100 * time.Millisecond))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, received),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: processes}),
		unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	if err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}

// started takes a process into account if it is a compiler of the host: one that
// was called to compile, or what that has called.
func (c *compilers) started(pid int) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return
	}
	argv := strings.Split(string(raw), "\x00")
	name := filepath.Base(argv[0])
	compiler := name == "cc1" || name == "cc1plus"
	driver := slices.Contains([]string{"cc", "c++", "gcc", "g++"}, name) && slices.Contains(argv, "-c")
	if !compiler && !driver && name != "as" || slices.Contains(argv, "-E") {
		return
	}
	if c.Add(pid) && compiler {
		c.calls.Add(1)
	}
}
