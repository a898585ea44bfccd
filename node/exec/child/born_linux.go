package child

import (
	"syscall"
	"unsafe"
)

// What is here runs in a process that was started and not executed, and that may
// share the memory of the one that started it: see program. It makes raw system calls
// and writes to its desk. The compiler and the linker check that its stack suffices.

var (
	sayStarted   = []byte(Started + "\n")
	sayDone      = []byte(Done)
	sayBroken    = []byte(Broken)
	sayNoCommand = []byte(NoCommand)
	blank        = []byte(" ")
	newline      = []byte("\n")
)

// Numbers and flags of the kernel's interface that package syscall lacks.
const (
	sysClone3  = 435 // on every architecture
	clonePidFD = 0x1000
	allSignals = ^uint64(0)
	signals    = 64
	signalSet  = unsafe.Sizeof(allSignals)
	pollIn     = 1
	command    = 2 // is the process ID of the first that another starts in its namespace
)

// reported is a bit of what the command says of its failed start: it did so itself.
const reported = 1 << 32

// live is the life of the first process of a sandbox, all signals to which are
// blocked.
//
//go:nosplit
//go:norace
func live(p *program) {
	d := p.desk
	for s := uintptr(1); s <= signals; s++ {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(&d.action)), 0, signalSet, 0, 0)
	}
	p.do(p.arrive)
	if n, _, _ := syscall.RawSyscall(syscall.SYS_READ, SpecFD, uintptr(unsafe.Pointer(&d.word)), 1); n != 1 {
		exit(1)
	}
	p.do(p.build)
	if d.word == BeginLast {
		p.do(p.last)
	}
	p.bear()
	say(sayStarted)
	if d.word == BeginLast {
		p.do(p.apart)
	}
	p.await(command)
	status := d.status
	_, _, _ = syscall.RawSyscall(syscall.SYS_KILL, ^uintptr(0), uintptr(syscall.SIGKILL), 0) // there may be nobody
	p.await(0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_GETRUSAGE, ^uintptr(0), uintptr(unsafe.Pointer(&d.usage)), 0)
	u := &d.usage
	p.done(int64(status), (int64(u.Utime.Sec)+int64(u.Stime.Sec))*1e9+(int64(u.Utime.Usec)+int64(u.Stime.Usec))*1e3, int64(u.Maxrss)<<10) //nolint:unconvert // they are 32 bits on some architectures
}

// bear starts the command, and returns when it is executed.
//
//go:nosplit
//go:norace
func (p *program) bear() {
	d := p.desk
	d.clone = cloneArgs{flags: uint64(p.flags), exitSignal: uint64(syscall.SIGCHLD)}
	d.clone.share(&d.stacks[1], true)
	pid, errno := branchCommand(&d.clone, unsafe.Sizeof(d.clone), p)
	switch {
	case errno != 0:
		p.fail(p.bearing, errno)
	case pid != command:
		p.fail(p.bearing, syscall.ESRCH)
	}
	p.do(p.maps)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(d.ready[1]), uintptr(unsafe.Pointer(&d.word)), 1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(d.failed[1]), 0, 0)
	n, _, _ := syscall.RawSyscall(syscall.SYS_READ, uintptr(d.failed[0]), uintptr(unsafe.Pointer(&d.failure)), unsafe.Sizeof(d.failure))
	switch {
	case n == 0:
		return
	case d.failure&reported != 0:
		exit(1)
	case p.missing && syscall.Errno(d.failure) == syscall.ENOENT:
		p.done(0, 0, 0)
	}
	say(sayNoCommand)
	d.number(int64(d.failure))
	say(blank)
	say(p.name)
	say(newline)
	exit(0)
}

// become is the life of the command until it is executed.
//
//go:nosplit
//go:norace
func become(p *program) {
	d := p.desk
	_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(d.ready[0]), uintptr(unsafe.Pointer(&d.word)), 1)
	if c, errno := p.try(p.dress); errno != 0 {
		p.report(c.what, errno) // first: when the other process hears of it, both end
		d.failure = reported
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(d.failed[1]), uintptr(unsafe.Pointer(&d.failure)), unsafe.Sizeof(d.failure))
		exit(1)
	}
	last := syscall.ENOENT
	for _, path := range p.paths {
		_, _, errno := syscall.RawSyscall(syscall.SYS_EXECVE, path, p.argv, p.env)
		if errno != syscall.ENOENT && errno != syscall.ENOTDIR || len(p.paths) == 1 {
			last = errno
		}
		if last != syscall.ENOENT && last != syscall.EACCES {
			break // as execvp(3)
		}
	}
	d.failure = uint64(last)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(d.failed[1]), uintptr(unsafe.Pointer(&d.failure)), unsafe.Sizeof(d.failure))
	exit(1)
}

// await returns when a process has ended, whose status is on the desk then, and all
// of whom there is; with pid 0 when there are none. When the pipe from the node
// ends, this process does, and takes the others with it.
//
//go:nosplit
//go:norace
func (p *program) await(pid uintptr) {
	d := p.desk
	for {
		got, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&d.status)), waitAll|syscall.WNOHANG, 0, 0, 0)
		if errno != 0 || got == pid && pid != 0 {
			return
		}
		if got != 0 {
			continue
		}
		d.polled[0] = pollFD{fd: SpecFD, events: pollIn}
		d.polled[1] = pollFD{fd: signalFD, events: pollIn}
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&d.polled)), 2, 0, 0, 0, 0)
		if d.polled[0].revents != 0 {
			if n, _, _ := syscall.RawSyscall(syscall.SYS_READ, SpecFD, uintptr(unsafe.Pointer(&d.text)), 1); n != 1 {
				exit(1)
			}
		}
		if d.polled[1].revents != 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_READ, signalFD, uintptr(unsafe.Pointer(&d.text)), unsafe.Sizeof(d.text))
		}
	}
}

// do makes calls, and ends the process with a report if one fails.
//
//go:nosplit
//go:norace
func (p *program) do(calls []call) {
	if c, errno := p.try(calls); errno != 0 {
		p.fail(c.what, errno)
	}
}

// try returns the first that failed.
//
//go:nosplit
//go:norace
func (p *program) try(calls []call) (*call, syscall.Errno) {
	var kept uintptr
	for i := range calls {
		c := &calls[i]
		first := c.args[0]
		if c.onKept {
			first = kept
		}
		r, _, errno := syscall.RawSyscall6(c.number, first, c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if errno != 0 && errno != c.fine && c.what != nil {
			return c, errno
		}
		if c.keep {
			kept = r // ^0, which is no descriptor, if it failed
		}
	}
	return nil, 0
}

// fail reports what could not be made ready, and ends the process.
//
//go:nosplit
//go:norace
func (p *program) fail(what []byte, errno syscall.Errno) {
	p.report(what, errno)
	exit(1)
}

//go:nosplit
//go:norace
func (p *program) report(what []byte, errno syscall.Errno) {
	say(sayBroken)
	p.desk.number(int64(errno))
	say(blank)
	say(what)
	say(newline)
}

// done reports how the command ended, and ends the process.
//
//go:nosplit
//go:norace
func (p *program) done(status, cpu, rss int64) {
	say(sayDone)
	p.desk.number(status)
	p.desk.number(cpu)
	p.desk.number(rss)
	say(newline)
	exit(0)
}

//go:nosplit
//go:norace
func say(text []byte) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, ReportFD, uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)))
}

// number says a blank and a number that is not negative.
//
//go:nosplit
//go:norace
func (d *desk) number(n int64) {
	at := len(d.text)
	for {
		at--
		d.text[at] = byte('0' + n%10)
		if n /= 10; n == 0 {
			break
		}
	}
	at--
	d.text[at] = ' '
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, ReportFD, uintptr(unsafe.Pointer(&d.text[at])), uintptr(len(d.text)-at))
}

//go:nosplit
//go:norace
func exit(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}
