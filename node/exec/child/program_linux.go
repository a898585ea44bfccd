package child

import (
	"syscall"
	"unsafe"
)

// program is what a process does between its beginning and the end of its command, made
// ready before: system calls with their arguments. A process that was forked of a Go
// program, or shares the memory of one, has one thread, and whatever locks the others
// held: it may neither allocate, nor grow its stack, nor let another goroutine run, as
// between fork and exec in package syscall. What it runs is in born_linux.go. Whoever
// started a process that shares memory keeps its program until it has ended.
type program struct {
	// arrive takes what the process was given into its places, and leaves all else.
	arrive []call
	// build makes the sandbox, and takes rights away.
	build []call
	// last has the process, and apart its command, count last.
	last, apart []call
	// maps are written of the command before it goes on, dress is what it does then.
	maps, dress []call
	// paths are where the command may be, argv and env what it gets: of execve(2).
	paths     []uintptr
	argv, env uintptr
	// missing says that no command is to be found: the sandbox is tried out.
	missing bool
	// flags are the namespaces of the command itself.
	flags uintptr
	// network is where it is, if not in a new one.
	network *network

	bearing, name []byte // for reports
	desk          *desk
	calls         []call // of the part that is being written
	kept          []any  // what arguments point to
}

// stackSize suffices for what is in born_linux.go many times over; passed bytes above
// the stack are for the first argument.
const (
	stackSize = 8 << 10
	passed    = 16
)

// stack is that of a process that shares the memory of another.
type stack [stackSize / 8]uint64

// desk is the memory that the processes of a program write to.
type desk struct {
	stacks        [2]stack // of the first process, and of the command
	clone         cloneArgs
	pidFD         int32 // of clone, for the parent
	usage         syscall.Rusage
	ready, failed [2]int32 // pipes to the command, and from it
	polled        [2]pollFD
	action        [8]uint64 // struct sigaction of the default
	childEnds     uint64    // the signal set of SIGCHLD
	none          uint64    // the empty signal set
	failure       uint64
	status        uint32
	word          byte
	text          [160]byte
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize, tls uint64 //nolint:unused // the kernel reads them
}

// share has the process begin on a stack of its own, and with vm in the memory of the
// one that starts it.
//
//go:nosplit
//go:norace
func (a *cloneArgs) share(s *stack, vm bool) {
	if !branches {
		return
	}
	if vm {
		a.flags |= syscall.CLONE_VM
	}
	a.stack = uint64(uintptr(unsafe.Pointer(s)))
	a.stackSize = stackSize - passed
}

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd              int32
	events, revents int16
}

// call is a system call.
type call struct {
	number uintptr
	args   [6]uintptr
	what   []byte        // for the report that it failed; nil if that does not matter
	fine   syscall.Errno // is no failure
	// keep has the result be the first argument of those that are onKept.
	keep, onKept bool
}

// text has a string stay in memory, with a NUL behind it.
func (p *program) text(s string) uintptr {
	b := append([]byte(s), 0)
	p.kept = append(p.kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// optional is text that is a null pointer if s is empty.
func (p *program) optional(s string) uintptr {
	if s == "" {
		return 0
	}
	return p.text(s)
}

// list has strings stay in memory as execve(2) wants them.
func (p *program) list(all []string) uintptr {
	pointers := make([]uintptr, 0, len(all)+1)
	for _, s := range all {
		pointers = append(pointers, p.text(s))
	}
	pointers = append(pointers, 0)
	p.kept = append(p.kept, pointers)
	return uintptr(unsafe.Pointer(&pointers[0]))
}

// must adds a call that ends the process if it fails.
func (p *program) must(what string, number uintptr, args ...uintptr) *call {
	c := p.add(number, args...)
	c.what = []byte(what)
	return c
}

// add adds a call that may fail.
func (p *program) add(number uintptr, args ...uintptr) *call {
	c := call{number: number}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
	return &p.calls[len(p.calls)-1]
}

// part takes the calls that were added since it was asked last.
func (p *program) part() []call {
	calls := p.calls
	p.calls = nil
	return calls
}

// here is AT_FDCWD: paths are from the working directory.
const here = ^uintptr(99)

func (p *program) chdir(what, dir string) { p.must(what, syscall.SYS_CHDIR, p.text(dir)) }

func (p *program) mkdir(dir string) {
	p.must("make /"+dir, syscall.SYS_MKDIRAT, here, p.text(dir), 0o755).fine = syscall.EEXIST
}

func (p *program) symlink(what, target, at string) {
	p.must(what, syscall.SYS_SYMLINKAT, p.text(target), here, p.text(at))
}

// mount is of mount(2).
type mount struct {
	from, to, kind string
	flags          uintptr
	data           string
}

func (p *program) mount(what string, m mount) {
	p.must(what, syscall.SYS_MOUNT, p.optional(m.from), p.text(m.to), p.optional(m.kind), m.flags, p.optional(m.data))
}

// writeTo writes to a file that is there; an empty what is for one that need not be.
func (p *program) writeTo(what, file, content string) {
	add := func(number uintptr, args ...uintptr) *call {
		if what == "" {
			return p.add(number, args...)
		}
		return p.must(what, number, args...)
	}
	add(syscall.SYS_OPENAT, here, p.text(file), syscall.O_WRONLY|syscall.O_CLOEXEC).keep = true
	add(syscall.SYS_WRITE, 0, p.text(content), uintptr(len(content))).onKept = true
	p.add(syscall.SYS_CLOSE).onKept = true
}

// write makes a file.
func (p *program) write(at, content string) {
	p.must("make /"+at, syscall.SYS_OPENAT, here, p.text(at), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644).keep = true
	if content != "" {
		p.must("write /"+at, syscall.SYS_WRITE, 0, p.text(content), uintptr(len(content))).onKept = true
	}
	p.add(syscall.SYS_CLOSE).onKept = true
}

func (p *program) bindFile(from, to string) {
	p.write(to, "")
	p.mount("bind "+from, mount{from: from, to: to, flags: syscall.MS_BIND})
}

func (p *program) parents(at string) {
	for i := range len(at) {
		if at[i] == '/' {
			p.mkdir(at[:i])
		}
	}
}

// attributes changes those of a mount, or with atRecursive of all below it too.
func (p *program) attributes(what, at string, c change) {
	attr := &[4]uint64{c.set, c.clear} // struct mount_attr: and propagation, user namespace
	p.kept = append(p.kept, attr)
	p.must(what, sysMountSetattr, here, p.text(at), c.flags, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
}

// change is of the attributes of a mount.
type change struct {
	set, clear uint64
	flags      uintptr
}

// limit bounds a resource, or leaves the bound that there is.
func (p *program) limit(what int, n uint64) {
	r := new(syscall.Rlimit)
	if syscall.Getrlimit(what, r) != nil {
		return
	}
	r.Max = min(r.Max, n)
	r.Cur = r.Max
	p.set(what, r)
}

func (p *program) set(what int, r *syscall.Rlimit) {
	p.kept = append(p.kept, r)
	p.add(syscall.SYS_PRLIMIT64, 0, uintptr(what), uintptr(unsafe.Pointer(r)))
}
