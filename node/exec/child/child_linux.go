package child

import (
	"errors"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

func init() {
	what, ok := syscall.Getenv(Marker)
	if !ok {
		return
	}
	runtime.LockOSThread() // rights, priority and the like are a thread's
	if what == Nursery {
		nursery()
	}
	run()
	syscall.Exit(0)
}

// Numbers of the kernel's interface that package syscall lacks.
const (
	prSetDumpable     = 4
	prSetTimerSlack   = 29
	prSetNoNewPrivs   = 38
	prSetSubreaper    = 36
	prCapbsetRead     = 23
	prCapbsetDrop     = 24
	prCapAmbient      = 47
	prAmbientClearAll = 4
	waitAll           = 0x40000000 // __WALL
	sysCloseRange     = 436        // on every architecture
	closeRangeCloexec = 4
	capVersion        = 0x20080522 // _LINUX_CAPABILITY_VERSION_3
	sigSetMask        = 2
)

// usualSlack is what the kernel gives processes, in nanoseconds: see prctl(2).
const usualSlack = 50_000

func run() {
	closeOnExec(SpecFD)
	s, err := readSpec(SpecFD)
	var word [1]byte
	if err == nil {
		err = readFull(SpecFD, word[:])
	}
	if err != nil {
		fail("read the spec", err)
	}
	last := word[0] == BeginLast
	if last {
		s.Nice = lastNice
	}
	go endWithNode()
	// The command may be the same user: it must not trace us.
	must("bar tracing", prctl(prSetDumpable, 0))
	_ = prctl(prSetTimerSlack, usualSlack) // the node's own may be another
	syscall.Umask(0o022)
	plain(&s)
	limit(&s)
	if last {
		idle()
	}
	supervise(&s, last)
}

// closeOnExec keeps the descriptors from first on from the command: the pipes of
// the node, and what whoever started the node let it inherit, which would be a
// way out of the sandbox.
func closeOnExec(first int) {
	_, _, errno := syscall.RawSyscall(sysCloseRange, uintptr(first), uintptr(^uint32(0)), closeRangeCloexec)
	if errno == 0 {
		return
	}
	// Linux before 5.11.
	var limit syscall.Rlimit
	must("count the descriptors", syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	for fd := first; fd < int(min(limit.Cur, maxDescriptors)); fd++ {
		syscall.CloseOnExec(fd)
	}
}

// maxDescriptors bounds how many descriptors are looked at one by one.
const maxDescriptors = 1 << 16

func readSpec(fd int) (Spec, error) {
	var head [4]byte
	if err := readFull(fd, head[:]); err != nil {
		return Spec{}, err
	}
	n := length(head[:])
	if n > maxSpecBytes {
		return Spec{}, errSpec
	}
	b := make([]byte, n)
	if err := readFull(fd, b); err != nil {
		return Spec{}, err
	}
	return decode(b)
}

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return syscall.EPIPE
		default:
			b = b[n:]
		}
	}
	return nil
}

// endWithNode ends the action when the pipe from the node ends, and kills what it
// started.
func endWithNode() {
	var b [1]byte
	for {
		if n, err := syscall.Read(SpecFD, b[:]); n == 0 && err != syscall.EINTR {
			break
		}
	}
	killDescendants()
	syscall.Exit(1)
}

// supervise runs the command until it and all that it left behind are gone.
func supervise(s *Spec, last bool) {
	program, err := find(s)
	if err != nil {
		noCommand(s.Argv[0], err)
	}
	_ = prctl(prSetNoNewPrivs, 1)
	pid, err := syscall.ForkExec(program, s.Argv, &syscall.ProcAttr{Env: s.Env, Files: []uintptr{0, 1, 2}, Sys: attributes(s)})
	if err != nil {
		noCommand(program, err)
	}
	limitMemory(pid, s.MemoryBytes)
	if last {
		putLast(pid)
	}
	report(Started)
	status := reap(pid)
	killDescendants()
	reap(-1)
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
	cpu := u.Utime.Nano() + u.Stime.Nano()
	report(Done + " " + strconv.Itoa(int(status)) + " " + strconv.FormatInt(cpu, 10) + " " + strconv.FormatInt(int64(u.Maxrss)<<10, 10)) //nolint:unconvert // it is 32 bits on some architectures
}

func attributes(s *Spec) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if s.HostUID >= 0 {
		a.Credential = &syscall.Credential{Uid: uint32(s.HostUID), Gid: uint32(s.HostUID)}
	}
	return a
}

// reap waits for processes until pid has ended, whose status it returns, or
// until there are none.
func reap(pid int) syscall.WaitStatus {
	for {
		var w syscall.WaitStatus
		got, err := syscall.Wait4(-1, &w, waitAll, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return w
		case got == pid:
			return w
		}
	}
}

func limit(s *Spec) {
	if nicer(s.Nice) {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, s.Nice)
	}
	set := func(what int, n uint64) {
		var r syscall.Rlimit
		if syscall.Getrlimit(what, &r) == nil {
			r.Max = min(r.Max, n)
			r.Cur = r.Max
			_ = syscall.Setrlimit(what, &r)
		}
	}
	set(syscall.RLIMIT_CORE, 0)
	set(syscall.RLIMIT_NOFILE, maxFiles)
	if s.FileBytes > 0 {
		set(syscall.RLIMIT_FSIZE, uint64(s.FileBytes))
	}
}

// nicer reports whether nice is more than what this process has.
func nicer(nice int) bool {
	const least = 20 // of getpriority(2) the system call, which has no negative result
	has, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	return err == nil && nice > least-has
}

// maxFiles a command may have open.
const maxFiles = 65536

// Of sched(7) and ioprio_set(2).
const (
	lastNice      = 19
	schedIdle     = 5
	ioPrioProcess = 1
	ioPrioIdle    = 3 << 13
)

// idle makes this thread, and so the command, run when nothing else wants to.
func idle() {
	var priority int32
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&priority)))
	_, _, _ = syscall.RawSyscall(syscall.SYS_IOPRIO_SET, ioPrioProcess, 0, ioPrioIdle)
}

// putLast makes the session of the command count least among sessions: where
// the kernel groups processes by session, what they are to each other within
// one counts for nothing outside. See sched(7), "The autogroup feature".
func putLast(pid int) {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/autogroup", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = syscall.Write(fd, []byte("19"))
	_ = syscall.Close(fd)
}

// limitMemory bounds the command rather than this process, which it would
// starve of threads.
func limitMemory(pid int, bytes int64) {
	if bytes <= 0 {
		return
	}
	r := syscall.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_DATA, uintptr(unsafe.Pointer(&r)), 0, 0, 0)
}

// find looks the program up as execvp would, in the command's PATH.
func find(s *Spec) (string, error) {
	name := s.Argv[0]
	for i := range len(name) {
		if name[i] == '/' {
			return name, nil
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
		if p := path[start:i] + "/" + name; i > start && executable(p) {
			return p, nil
		}
		start = i + 1
	}
	return "", syscall.ENOENT
}

func executable(p string) bool {
	var st syscall.Stat_t
	return syscall.Stat(p, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG && st.Mode&0o111 != 0
}

func prctl(option, a uintptr) error {
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, option, a, 0, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

func report(line string) {
	b := []byte(line + "\n")
	for len(b) > 0 {
		n, err := syscall.Write(ReportFD, b)
		if err != nil && err != syscall.EINTR {
			return
		}
		b = b[max(n, 0):]
	}
}

func noCommand(program string, err error) {
	var e syscall.Errno
	if !errors.As(err, &e) {
		fail("start "+program, err)
	}
	report(NoCommand + " " + strconv.Itoa(int(e)) + " " + program)
	syscall.Exit(0)
}

func fail(what string, err error) {
	reportTo(ReportFD, failure{what, err})
	syscall.Exit(1)
}

func must(what string, err error) {
	if err != nil {
		fail(what, err)
	}
}
