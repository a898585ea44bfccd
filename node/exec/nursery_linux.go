package exec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/node/exec/child"
)

// nursery is a process that others are forked from: see child.Nursery. It is
// started when it is needed first, and again if it has died.
type nursery struct {
	mu      sync.Mutex
	cmd     *exec.Cmd
	control int // a socket, while cmd is not nil
	closed  bool
}

// birthTime bounds how long a nursery takes for a process.
const birthTime = 30 * time.Second

var errClosed = errors.New("the executor is closed")

// pidfd is a process that is no child of this one.
type pidfd struct {
	pid int
	fd  int // -1 if there is none
}

// errUnheard is of a request that a nursery died before it took.
var errUnheard = errors.New("the process that sandboxes are forked from has died")

// bear has a process begin that is to do what s says. The other ends of its
// descriptors are the caller's. With errUnheard none has begun, nor will.
func (n *nursery) bear(s *child.Spec, life *os.File, fds []int, own func()) (pidfd, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.start(); err != nil {
		return pidfd{}, err
	}
	p, err := n.ask(s, life, fds, own)
	if err != nil {
		n.stop()
	}
	return p, err
}

// ask is called with mu held.
func (n *nursery) ask(s *child.Spec, life *os.File, fds []int, own func()) (pidfd, error) {
	if err := unix.Sendmsg(n.control, []byte{1}, unix.UnixRights(fds...), nil, 0); err != nil {
		return pidfd{}, fmt.Errorf("%w: %w", errUnheard, err)
	}
	own() // the other ends: a nursery that dies ends the pipes
	if _, err := life.Write(s.Encode()); err != nil {
		return pidfd{}, fmt.Errorf("%w: %w", errUnheard, err) // it has no whole spec
	}
	p, err := n.answer()
	if errors.Is(err, unix.ECONNRESET) { // unix(7): what was sent was not read
		return pidfd{}, fmt.Errorf("%w: %w", errUnheard, err)
	}
	if err != nil {
		return pidfd{}, fmt.Errorf("hear of a process: %w", err)
	}
	return p, nil
}

func (n *nursery) answer() (pidfd, error) {
	var text [32]byte
	rights := make([]byte, unix.CmsgSpace(4))
	var got, gotRights int
	var err error
	for {
		got, gotRights, _, _, err = unix.Recvmsg(n.control, text[:], rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return pidfd{}, err
	}
	pid, err := strconv.Atoi(string(text[:got]))
	if err != nil {
		return pidfd{}, fmt.Errorf("it said %q", text[:got])
	}
	if pid == 0 {
		return pidfd{fd: -1}, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights[:gotRights])
	if err != nil || len(messages) != 1 {
		return pidfd{}, fmt.Errorf("it gave no process: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return pidfd{}, fmt.Errorf("it gave no process: %w", err)
	}
	return pidfd{pid, fds[0]}, nil
}

// start is called with mu held.
func (n *nursery) start() error {
	switch {
	case n.closed:
		return errClosed
	case n.cmd != nil:
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	its := os.NewFile(uintptr(pair[1]), "control")
	defer its.Close()
	limit := unix.NsecToTimeval(int64(birthTime))
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		_ = unix.Close(pair[0])
		return err
	}
	cmd := again(child.Nursery)
	cmd.ExtraFiles = []*os.File{its}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = unix.Close(pair[0])
		return err
	}
	n.cmd, n.control = cmd, pair[0]
	return nil
}

// stop is called with mu held. What was born of the nursery goes on.
func (n *nursery) stop() {
	if n.cmd == nil {
		return
	}
	_ = unix.Close(n.control) // then it ends
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	n.cmd = nil
}

func (n *nursery) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.stop()
}

// again is this program, to be executed as what its package child makes of it.
func again(as string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe") //nolint:noctx // it ends with its descriptors
	cmd.Args = []string{"buildnet-action"}
	// It needs no second processor.
	cmd.Env = []string{child.Marker + "=" + as, "GOMAXPROCS=1"}
	return cmd
}

// wait returns when the process has ended, and nothing of it is left.
func (p pidfd) wait() {
	if p.fd < 0 {
		return
	}
	asked := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(asked, -1); err != unix.EINTR {
			return
		}
	}
}

func (p pidfd) kill() {
	if p.fd >= 0 {
		_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0) // it may be gone
	}
}

func (p pidfd) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}
