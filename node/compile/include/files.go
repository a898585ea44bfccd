package include

import "errors"

// Kind is what a path is.
type Kind uint8

// The kinds that a scan tells apart.
const (
	None Kind = iota // nothing, or nothing that can be read
	File
	Dir
	Link
)

// Stamp tells states of a file or directory apart: with equal stamps nothing
// has changed.
type Stamp struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64 // nanoseconds
	// Young says that a change could still leave the stamp as it is: it was
	// taken so soon after the last that the clock of the file system may not
	// have moved. Then it equals none.
	Young bool
}

// Stat is what is at a path.
type Stat struct {
	Kind  Kind
	Stamp Stamp
	// Target is where a link leads, as it is written.
	Target string
}

// Entry is a name in a directory.
type Entry struct {
	Name string
	Kind Kind
}

// ErrMany says that a directory has more names than were asked for.
var ErrMany = errors.New("many names in the directory")

// Files is what a scan sees of a file system. Paths are absolute and clean, and
// only their last name may be a link's.
type Files interface {
	// Lstat says what is at path, without following a link.
	Lstat(path string) Stat
	// List returns the names in a directory, at most limit; ErrMany says that
	// there are more. Any other error is taken for an empty directory.
	List(dir string, limit int) ([]Entry, error)
	// Read returns what is in a file, of which the scan needs no more than
	// limit bytes and one.
	Read(file string, limit int) ([]byte, error)
}
