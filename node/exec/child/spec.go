// Package child is the process that stands between the node and an action. It
// builds the sandbox, runs the command in it, kills and reaps all that the command
// left behind, and reports. It comes about in one of two ways, both of which begin
// with the node executing itself again, where this package's init takes over before
// anything else of the program is initialised: for an action without a sandbox it is
// that process; for one in a sandbox that process is a nursery, which stays, and
// forks one for each action.
//
// It imports syscall and strconv alone: Go initialises a package as soon as its
// imports are ready, in the order of import paths, so that none of the node's
// other packages has run an initialiser by then. Start reading at Spec, then at
// run, and at nursery.
package child

import (
	"errors"
	"strconv"
)

// Marker is the environment variable that turns a process into a child, or into a
// nursery if it is Nursery.
const (
	Marker  = "BUILDNET_SANDBOX_CHILD"
	Nursery = "nursery"
)

// A nursery is asked over a socket of packets, its descriptor SpecFD. A request is
// one byte with givenFDs descriptors: the pipe that the child reads its Spec from,
// the one that it writes its reports to, and its standard output and error. The
// answer, once the Spec is read, is the ID of the child as a decimal number with a
// pidfd for it, or 0 without: then the report says why.
const givenFDs = 4

// Behind its Spec a child waits for one byte, so that the node can do something
// about it before. BeginLast has the command run when nothing else wants the
// processor or the disk: for a machine that has no other way to put it last.
const (
	Begin     = 'b'
	BeginLast = 'l'
)

// The file descriptors that a child begins with, besides the standard ones.
const (
	// SpecFD is a pipe that the node writes a Spec to. It stays open: when it
	// ends, the node is gone or has lost interest, and the child kills all.
	SpecFD = 3
	// ReportFD is a pipe that the child writes its reports to.
	ReportFD = 4
)

// The reports, one a line. A child that could begin writes Started and then
// Done; one that could not, Broken or NoCommand.
const (
	Started = "started"
	// Done is followed by the wait status, the CPU time in ns and the peak
	// resident set in bytes.
	Done = "done"
	// Broken is followed by an errno and what could not be made ready.
	Broken = "broken"
	// NoCommand is followed by an errno and the program that cannot be executed.
	NoCommand = "nocommand"
)

// UID is the user and group that an action sees itself as in a sandbox.
const UID = 1000

// Mode is how far the child goes. Do not reorder: the numbers go through a pipe.
type Mode uint8

const (
	// Sandbox is in namespaces that the node has made, with the rights of the
	// user that the node runs as.
	Sandbox Mode = iota + 1
	// RootSandbox is a Sandbox begun as root; the command gets a user
	// namespace of its own.
	RootSandbox
	// Plain is an ordinary process, with everything that it starts.
	Plain
)

// Spec is what a child is to do.
type Spec struct {
	Mode Mode
	// Argv is the command; none tries the sandbox out and runs nothing.
	Argv []string
	Env  []string
	// Scratch is a directory with root, work, tmp and home below it. A sandbox
	// binds them; a plain process runs in work.
	Scratch string
	// Dir is the working directory, from the work directory.
	Dir string
	// Absolute says that a sandbox has no work directory: what is in it is
	// mounted at its own place, as Mounts say, and Dir is from the root.
	Absolute bool
	Mounts   []Mount
	// Binds are paths that are bound read-only, parents first; Needed those
	// of them that must exist.
	Binds  []string
	Needed []string
	// Hidden are directories within Binds that are covered.
	Hidden []string
	// HostUID is whom the command is to the host: for RootSandbox, and for a
	// Plain process that root starts. -1 leaves it.
	HostUID int
	// Network is whether the namespaces have none of their own.
	Network Network
	// MemoryBytes bounds the writable memory of each process; 0 does not.
	MemoryBytes int64
	// FileBytes bounds each file that is written.
	FileBytes int64
	// Nice is the niceness of the command, if it is more than the node's.
	Nice int
}

// Mount is a part of the inputs at its own place in a sandbox. What is above
// that place is no link.
type Mount struct {
	Kind Kind
	// From is an absolute path, and where a Link leads.
	From string
	// To is the place, an absolute path.
	To string
	// Writable mounts are of what the command may write to.
	Writable bool
}

// Kind is how a Mount comes about. Do not reorder: the numbers go through a pipe.
type Kind uint8

const (
	// Place binds a file or directory where there is nothing yet.
	Place Kind = iota + 1
	// Link makes a link where there is nothing yet.
	Link
	// Layer shows what a directory holds over what the machine has there.
	Layer
	// Replace binds a directory over what the machine has there.
	Replace
)

// Network says what of the network an action has.
type Network uint8

const (
	// Loopback alone.
	Loopback Network = iota + 1
	// Host is the network of the machine.
	Host
)

var errSpec = errors.New("malformed spec")

// maxSpecBytes bounds what a child reads: an argument list of the kernel's
// limit and its environment.
const maxSpecBytes = 8 << 20

// Encode returns the spec as a child reads it: its length, then its fields.
func (s *Spec) Encode() []byte {
	var b []byte
	for _, n := range []int64{
		int64(s.Mode), int64(s.HostUID), int64(s.Network), s.MemoryBytes, s.FileBytes, int64(s.Nice), one(s.Absolute),
	} {
		b = appendText(b, strconv.FormatInt(n, 10))
	}
	b = appendText(b, s.Scratch)
	b = appendText(b, s.Dir)
	for _, list := range [][]string{s.Argv, s.Env, s.Binds, s.Needed, s.Hidden} {
		b = appendText(b, strconv.Itoa(len(list)))
		for _, text := range list {
			b = appendText(b, text)
		}
	}
	b = appendText(b, strconv.Itoa(len(s.Mounts)))
	for _, m := range s.Mounts {
		b = appendText(b, strconv.Itoa(int(m.Kind)))
		b = appendText(b, strconv.FormatInt(one(m.Writable), 10))
		b = appendText(b, m.From)
		b = appendText(b, m.To)
	}
	return append(appendLength(nil, len(b)), b...)
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func appendLength(b []byte, n int) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func length(b []byte) int {
	return int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

func appendText(b []byte, s string) []byte {
	return append(appendLength(b, len(s)), s...)
}

// decode reads what Encode wrote, without the length in front.
func decode(b []byte) (Spec, error) {
	d := decoder{rest: b}
	s := Spec{Mode: Mode(d.number())}
	s.HostUID, s.Network = int(d.number()), Network(d.number())
	s.MemoryBytes, s.FileBytes, s.Nice = d.number(), d.number(), int(d.number())
	s.Absolute = d.number() == 1
	s.Scratch, s.Dir = d.text(), d.text()
	for _, list := range []*[]string{&s.Argv, &s.Env, &s.Binds, &s.Needed, &s.Hidden} {
		*list = d.list()
	}
	s.Mounts = d.mounts()
	return s, d.err
}

type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) text() string {
	if d.err != nil || len(d.rest) < 4 || length(d.rest) > len(d.rest)-4 {
		d.err = errSpec
		return ""
	}
	n := length(d.rest)
	s := string(d.rest[4 : 4+n])
	d.rest = d.rest[4+n:]
	return s
}

func (d *decoder) number() int64 {
	n, err := strconv.ParseInt(d.text(), 10, 64)
	if err != nil {
		d.err = errSpec
	}
	return n
}

func (d *decoder) mounts() []Mount {
	n := d.length()
	var mounts []Mount
	for i := int64(0); i < n && d.err == nil; i++ {
		m := Mount{Kind: Kind(d.number()), Writable: d.number() == 1}
		m.From, m.To = d.text(), d.text()
		mounts = append(mounts, m)
	}
	return mounts
}

// length reads that of a list.
func (d *decoder) length() int64 {
	n := d.number()
	if n > int64(len(d.rest)) { // each has four bytes at least
		d.err = errSpec
	}
	return n
}

func (d *decoder) list() []string {
	n := d.length()
	var list []string
	for i := int64(0); i < n && d.err == nil; i++ {
		list = append(list, d.text())
	}
	return list
}
