package child

import (
	"syscall"
	"unsafe"
)

// failure is what could not be made ready.
type failure struct {
	what string
	err  error
}

func (f failure) Error() string { return f.what + ": " + f.err.Error() }

// given are the descriptors that come with a spec.
type given struct{ life, report, out, err int }

// signalFD is where a process hears of the ends of others: the first descriptor
// behind those that it was given.
const signalFD = ReportFD + 1

// compile makes the program of a sandbox, in a network that is there already or, if n is
// nil, in one of its own.
func compile(s *Spec, g given, n *network) (*program, error) {
	p := &program{
		desk: &desk{childEnds: 1 << (syscall.SIGCHLD - 1)}, bearing: []byte("start a command in namespaces of its own"), network: n,
	}
	p.arriving(g)
	p.must("bar tracing", syscall.SYS_PRCTL, prSetDumpable, 0) // the command may be the same user
	p.add(syscall.SYS_PRCTL, prSetTimerSlack, usualSlack)      // the node's own may be another
	p.add(syscall.SYS_UMASK, 0o022)
	if err := p.sandbox(s); err != nil {
		return nil, err
	}
	p.limits(s)
	p.rights(s.Mode)
	p.build = p.part()
	p.lastOfAll()
	p.command(s)
	return p, nil
}

// arriving takes the descriptors into their places, and closes all others: those
// would be a way out of the sandbox.
func (p *program) arriving(g given) {
	const what = "take the descriptors"
	for at, fd := range map[uintptr]int{1: g.out, 2: g.err} {
		p.must(what, syscall.SYS_DUP3, uintptr(fd), at, 0)
	}
	for at, fd := range map[uintptr]int{SpecFD: g.life, ReportFD: g.report} {
		p.must(what, syscall.SYS_DUP3, uintptr(fd), at, syscall.O_CLOEXEC)
	}
	if p.network != nil {
		p.must("enter the network", sysSetns, uintptr(p.network.fd), syscall.CLONE_NEWNET)
	}
	p.must(what, sysCloseRange, ReportFD+1, uintptr(^uint32(0)), 0)
	d := p.desk
	p.must(what, syscall.SYS_SIGNALFD4, ^uintptr(0), uintptr(unsafe.Pointer(&d.childEnds)), signalSet, syscall.O_CLOEXEC|syscall.O_NONBLOCK)
	p.must(what, syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&d.ready)), syscall.O_CLOEXEC)
	p.must(what, syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&d.failed)), syscall.O_CLOEXEC)
	p.arrive = p.part()
}

func (p *program) limits(s *Spec) {
	if nicer(s.Nice) {
		p.add(syscall.SYS_SETPRIORITY, syscall.PRIO_PROCESS, 0, uintptr(s.Nice))
	}
	p.limit(syscall.RLIMIT_CORE, 0)
	p.limit(syscall.RLIMIT_NOFILE, maxFiles)
	if s.FileBytes > 0 {
		p.limit(syscall.RLIMIT_FSIZE, uint64(s.FileBytes))
	}
}

// rights leaves the process, and so the command, nothing that execve could give
// back.
func (p *program) rights(m Mode) {
	const what = "drop the rights"
	p.must(what, syscall.SYS_PRCTL, prSetNoNewPrivs, 1)
	if m != Sandbox {
		return
	}
	for c := uintptr(0); prctl(prCapbsetRead, c) == nil; c++ {
		p.must(what, syscall.SYS_PRCTL, prCapbsetDrop, c)
	}
	p.must(what, syscall.SYS_PRCTL, prCapAmbient, prAmbientClearAll)
	head := &struct {
		version uint32
		pid     int32
	}{version: capVersion}
	none := &[2]struct{ effective, permitted, inheritable uint32 }{}
	p.kept = append(p.kept, head, none)
	p.must(what, syscall.SYS_CAPSET, uintptr(unsafe.Pointer(head)), uintptr(unsafe.Pointer(none)))
}

// lastOfAll has the command run when nothing else wants to, and its session count
// least among sessions: see putLast.
func (p *program) lastOfAll() {
	p.add(syscall.SYS_SETPRIORITY, syscall.PRIO_PROCESS, 0, lastNice)
	priority := new(int32)
	p.kept = append(p.kept, priority)
	p.add(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(priority)))
	p.add(syscall.SYS_IOPRIO_SET, ioPrioProcess, 0, ioPrioIdle)
	p.last = p.part()
	p.writeTo("", "/proc/2/autogroup", "19")
	p.apart = p.part()
}

// command is what becomes of the second process.
func (p *program) command(s *Spec) {
	p.flags = 0
	if s.Mode == RootSandbox {
		// The namespaces around it belong to the host's root, so that nothing
		// within this user namespace has a right over them.
		p.flags = syscall.CLONE_NEWUSER
		one := alone(s.HostUID)
		const what = "say who the command is"
		p.writeTo(what, "/proc/2/setgroups", "deny")
		p.writeTo(what, "/proc/2/uid_map", one)
		p.writeTo(what, "/proc/2/gid_map", one)
	}
	p.maps = p.part()
	const what = "become the command"
	p.must(what, syscall.SYS_SETSID)
	if s.Mode == RootSandbox {
		p.must(what, syscall.SYS_SETGID, UID)
		p.must(what, syscall.SYS_SETUID, UID)
		p.must(what, syscall.SYS_PRCTL, prSetDumpable, 0) // the memory is another's until execve, and setuid(2) has changed it
	}
	if s.MemoryBytes > 0 { // of the command rather than of the process before it
		p.set(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: uint64(s.MemoryBytes), Max: uint64(s.MemoryBytes)})
	}
	p.must(what, syscall.SYS_RT_SIGPROCMASK, sigSetMask, uintptr(unsafe.Pointer(&p.desk.none)), 0, signalSet)
	p.dress = p.part()
	p.argv, p.env = p.list(s.Argv), p.list(s.Env)
	if len(s.Argv) == 0 {
		p.missing, p.paths = true, []uintptr{p.text("/buildnet/none")}
		return
	}
	p.name = []byte(s.Argv[0])
	p.paths = p.places(s)
}

// places are where execvp would look for the program, in the command's PATH.
func (p *program) places(s *Spec) (all []uintptr) {
	name := s.Argv[0]
	for i := range len(name) {
		if name[i] == '/' {
			return []uintptr{p.text(name)}
		}
	}
	path := ""
	for _, e := range s.Env {
		if len(e) > 5 && e[:5] == "PATH=" {
			path = e[5:]
		}
	}
	for start, i := 0, 0; i <= len(path); i++ {
		if i < len(path) && path[i] != ':' {
			continue
		}
		if i > start {
			all = append(all, p.text(path[start:i]+"/"+name))
		}
		start = i + 1
	}
	return all
}
