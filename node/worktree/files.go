// Package worktree reads and writes the files of a project's working tree with
// the rights of the user who builds it: it finds what changed since the last
// build, brings sources into the store, puts outputs into place, and knows
// when there is nothing to do at all. Start reading at Tree; Files is the seam
// to the file system, which is the process' own (Local) or, when the node
// belongs to somebody else, that of the command line's process at the other end
// of a stream (Serve, Dial).
//
// Nothing is ever written through a symbolic link, and nothing below an entry
// called .git or .buildnet is read or written, but for the configuration.
//
// What the watch on a tree cannot see: a write through a memory mapping, and
// one through a hard link made elsewhere after the seal. Both change the file's
// ctime, so that every stat walk does see them.
package worktree

import (
	"context"
	"errors"
	"io"
	"strings"
)

// ErrBlocked says that something lies where an output has to go.
var ErrBlocked = errors.New("path is blocked")

// Kind is what lies at a path.
type Kind uint8

const (
	// Absent is nothing at all.
	Absent Kind = iota
	// Regular is a file.
	Regular
	// Directory is a directory.
	Directory
	// Symlink is a symbolic link, whatever it leads to.
	Symlink
	// Other is a socket, a device or a pipe: never a source, never an output.
	Other
)

// Stat is what the file system says of a path without following it.
type Stat struct {
	Kind Kind `json:"k,omitempty"`
	// Executable is the owner's permission to execute a regular file.
	Executable bool  `json:"x,omitempty"`
	Size       int64 `json:"s,omitempty"`
	// ModTime and ChangeTime are nanoseconds of the epoch; ChangeTime is 0
	// where the system has none.
	ModTime    int64  `json:"m,omitempty"`
	ChangeTime int64  `json:"c,omitempty"`
	Inode      uint64 `json:"i,omitempty"`
	// Links counts the names of a regular file; 0 where unknown.
	Links uint32 `json:"n,omitempty"`
	// Target is where a symbolic link points.
	Target string `json:"t,omitempty"`
}

// same reports whether nothing about the file's content changed, as far as
// stats can tell. Links are left out: another name is no change.
func (s Stat) same(o Stat) bool {
	s.Links, o.Links = 0, 0
	return s == o
}

// Entry is one name in a directory.
type Entry struct {
	Name string `json:"f"`
	Stat
}

// Source reads a regular file.
type Source interface {
	io.Reader
	// Stat is of the open file before anything was read.
	Stat() Stat
	// Close returns the stat of the open file after all that was read.
	Close() (Stat, error)
}

// Temp is a file that is being written under a hidden name beside its place.
type Temp interface {
	io.Writer
	// Commit renames it into its place and returns its stat there. The
	// modification time is a little before its writing, so that a later
	// write in place shows in the stat whatever the clock's granularity.
	Commit() (Stat, error)
	// Abort removes it. After Commit it does nothing.
	Abort()
}

// Mode is the permission that a file is made with, before the umask.
type Mode uint16

const (
	// Plain files cannot be executed.
	Plain Mode = 0o666
	// Exec files can.
	Exec Mode = 0o777
)

// Hook is a shell command that runs with the user's rights.
type Hook struct {
	Command string `json:"command"`
	// Dir is from the root, "" for the root itself.
	Dir string `json:"dir"`
	// Env is added to the environment of the process that runs it.
	Env []string `json:"env"`
}

// HookResult is what came of a hook.
type HookResult struct {
	// ExitCode is -1 if the command could not be started or was killed.
	ExitCode int `json:"exit_code"`
	// Output is the first MaxHookOutput bytes of both streams.
	Output string `json:"-"`
	// Lost counts the bytes of output that were not kept.
	Lost int64 `json:"lost,omitempty"`
}

// Files is the file system of one tree. Paths are slash-separated and relative
// to the root, "" being the root. All methods may be called concurrently, and
// none leaves the root, whatever links lie in it. Errors match fs.ErrNotExist,
// fs.ErrExist, fs.ErrPermission and ErrBlocked where they apply.
type Files interface {
	// Root is the absolute path of the tree on its machine.
	Root() string
	// List returns the entries of a directory sorted by name. Temporary files
	// of a process that is gone are removed, those of one that lives left out.
	List(ctx context.Context, dir string) ([]Entry, error)
	// Stat returns one Stat a path; Absent for what is not there.
	Stat(ctx context.Context, paths []string) ([]Stat, error)
	// Open opens a regular file.
	Open(ctx context.Context, path string) (Source, error)
	// Create begins a file in a directory that is there.
	Create(ctx context.Context, path string, mode Mode) (Temp, error)
	// Link puts a symbolic link into its place, over a file or link.
	Link(ctx context.Context, path, target string) (Stat, error)
	// Chmod sets or clears the permissions to execute.
	Chmod(ctx context.Context, path string, mode Mode) (Stat, error)
	// Mkdir makes a directory and those above it. It returns ErrBlocked if one
	// of them is there as something else.
	Mkdir(ctx context.Context, dir string) error
	// Remove removes a file, a link or an empty directory.
	Remove(ctx context.Context, path string) error
	// RunHook runs a command. The error says that it could not be run at all.
	RunHook(ctx context.Context, h Hook) (HookResult, error)
	Close() error
}

// hidden reports whether entries of this name are no business of a build.
func hidden(name string) bool { return name == ".git" || name == ".buildnet" }

// hiddenPath reports whether an element of the path is hidden.
func hiddenPath(p string) bool {
	for element := range strings.SplitSeq(p, "/") {
		if hidden(element) {
			return true
		}
	}
	return false
}

// join is path.Join for clean paths, of which the first may be empty.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// split returns the directory of p, "" for the root, and its last element.
func split(p string) (dir, name string) {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}
