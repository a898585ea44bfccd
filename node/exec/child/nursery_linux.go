package child

import (
	"errors"
	"strconv"
	"syscall"
	"unsafe"
)

// alone is a map of users or groups with one in it.
func alone(host int) string { return strconv.Itoa(UID) + " " + strconv.Itoa(host) + " 1\n" }

// controlFD is where a nursery hears from its node.
const controlFD = SpecFD

// low descriptors are those that a process of a sandbox has for itself: what a
// nursery is given must not be among them.
const low = 16

// nursery starts a process for each sandbox, and has nothing open: to execute the
// node's program each time would cost as much as all else of a sandbox. It returns
// never.
func nursery() {
	control := highUp(controlFD)
	for fd := range low {
		if fd > 2 {
			must("fill the low descriptors", syscall.Dup3(0, fd, syscall.O_CLOEXEC))
		}
	}
	n := &nurse{control: control}
	for n.serve() {
	}
	syscall.Exit(0)
}

func highUp(fd int) int {
	to, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, low)
	if errno != 0 {
		syscall.Exit(1)
	}
	_ = syscall.Close(fd)
	return int(to)
}

type nurse struct {
	control  int
	children []born
	networks networks
}

// born is a process that goes on, or is to be waited for. Its program is not freed
// before: it may be in this memory.
type born struct {
	pid, fd int
	program *program
}

// serve waits for a request or for the end of processes; false is for the end of
// the node. These are waited for so that what they used counts as the node's.
func (n *nurse) serve() bool {
	polled := []pollFD{{fd: int32(n.control), events: pollIn}}
	for _, c := range n.children {
		polled = append(polled, pollFD{fd: int32(c.fd), events: pollIn})
	}
	_, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&polled[0])), uintptr(len(polled)), 0, 0, 0, 0)
	going := n.children[:0]
	for i, c := range n.children {
		if polled[i+1].revents == 0 {
			going = append(going, c)
			continue
		}
		_, _ = syscall.Wait4(c.pid, nil, waitAll, nil)
		_ = syscall.Close(c.fd)
		n.leave(c.program.network)
	}
	n.children = going
	return polled[0].revents == 0 || n.request()
}

// request has a process be born.
func (n *nurse) request() bool {
	g, ok := n.receive()
	if !ok {
		return false
	}
	b := n.deliver(g)
	for _, fd := range []int{g.life, g.report, g.out, g.err} {
		_ = syscall.Close(fd)
	}
	var rights []byte
	if b.pid > 0 {
		rights = syscall.UnixRights(b.fd)
		n.children = append(n.children, b)
	}
	return syscall.Sendmsg(n.control, []byte(strconv.Itoa(b.pid)), rights, nil, 0) == nil
}

// receive takes the descriptors of a request.
func (n *nurse) receive() (given, bool) {
	var word [1]byte
	rights := make([]byte, syscall.CmsgSpace(4*givenFDs))
	for {
		got, gotRights, _, _, err := syscall.Recvmsg(n.control, word[:], rights, syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got == 0 {
			return given{}, false
		}
		messages, err := syscall.ParseSocketControlMessage(rights[:gotRights])
		if err != nil || len(messages) != 1 {
			return given{}, false
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != givenFDs {
			return given{}, false
		}
		return given{fds[0], fds[1], fds[2], fds[3]}, true
	}
}

// deliver returns the process and what it is watched by; none has the number 0, and
// the report says why.
func (n *nurse) deliver(g given) born {
	s, err := readSpec(g.life)
	if err != nil {
		reportTo(g.report, failure{"read the spec", err})
		return born{}
	}
	network := n.network(&s)
	p, err := compile(&s, g, network)
	if err != nil {
		n.leave(network)
		reportTo(g.report, err)
		return born{}
	}
	b, err := p.start(&s)
	if err != nil {
		n.leave(network)
		reportTo(g.report, failure{"start a process in namespaces", err})
		return born{}
	}
	if s.Mode == Sandbox {
		if err := mapSelf(b.pid); err != nil {
			reportTo(g.report, failure{"say who the action is", err})
			_ = syscall.Kill(b.pid, syscall.SIGKILL)
			n.children = append(n.children, b)
			return born{}
		}
	}
	return b
}

// network is one that is there for a sandbox, or nil: only root may enter one.
func (n *nurse) network(s *Spec) *network {
	if s.Network != Loopback || s.Mode != RootSandbox {
		return nil
	}
	one, ok := n.networks.take()
	if !ok {
		return nil
	}
	return &one
}

// leave is called when nothing runs in a network, or will.
func (n *nurse) leave(one *network) {
	if one != nil {
		n.networks.give(*one)
	}
}

// start starts a process that does what p says. In this memory it is, rather than in a
// copy, which takes as long as all else, but for two: where memory is bounded the kernel
// ends whoever has the most within the bound, and with it all that have the same; and of
// a process that is not to be traced nobody but root could say who it is.
func (p *program) start(s *Spec) (born, error) {
	d := p.desk
	flags := clonePidFD | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	if s.Network == Loopback && p.network == nil {
		flags |= syscall.CLONE_NEWNET
	}
	if s.Mode == Sandbox {
		flags |= syscall.CLONE_NEWUSER
	}
	d.clone = cloneArgs{flags: uint64(flags), pidFD: uint64(uintptr(unsafe.Pointer(&d.pidFD))), exitSignal: uint64(syscall.SIGCHLD)}
	all, was := allSignals, uint64(0)
	exchange(&all, &was)
	d.clone.share(&d.stacks[0], s.Mode == RootSandbox && s.MemoryBytes == 0)
	got, errno := branchFirst(&d.clone, unsafe.Sizeof(d.clone), p)
	exchange(&was, nil)
	if errno != 0 {
		return born{}, errno
	}
	return born{int(got), int(d.pidFD), p}, nil
}

// exchange sets the signals that are blocked, and returns those that were.
func exchange(to, was *uint64) {
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetMask, uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(was)), signalSet, 0, 0)
}

// mapSelf makes this process's user the action's in a user namespace.
func mapSelf(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	for _, f := range [][2]string{
		{"uid_map", alone(syscall.Geteuid())}, {"setgroups", "deny"}, {"gid_map", alone(syscall.Getegid())},
	} {
		fd, err := syscall.Open(dir+f[0], syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		_, err = syscall.Write(fd, []byte(f[1]))
		_ = syscall.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// reportTo reports what could not be made ready.
func reportTo(fd int, err error) {
	what, number := err.Error(), syscall.EINVAL
	var f failure
	if errors.As(err, &f) {
		what = f.what
		_ = errors.As(f.err, &number)
	}
	_, _ = syscall.Write(fd, []byte(Broken+" "+strconv.Itoa(int(number))+" "+what+"\n"))
}
