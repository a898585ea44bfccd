package api

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// Invocations are runs of programs that have commands of their own: ninja, make,
// a compiler that goes through a shim. Each is a build to which commands come
// while it goes on.
type Invocations interface {
	// Invoke runs an invocation and calls emit as Build does. Its first event is
	// event.BuildStarted, with the ID that RunCommand takes, the last one
	// event.BuildFinished. It goes on until EndInvocation, or until ctx ends: then
	// what still runs of it is cancelled, and it returns within 2 s.
	Invoke(ctx context.Context, r InvocationRequest, emit func(event.Event)) error
	// GoesOn returns the error of all that follows if there is no such invocation.
	GoesOn(ctx context.Context, invocation string) error
	// RunCommand runs one command of an invocation, here or anywhere, or has the
	// caller run it. When ctx ends nobody needs the command any more. An error says
	// that there is no such invocation, or that the request is at fault.
	RunCommand(ctx context.Context, invocation string, c Command) (CommandResult, error)
	// Made takes what a command made that the caller has run to its good end, and
	// that it was given a ticket for, before anything else uses that. The caller
	// holds the slot meanwhile. A result that is not kept is no error.
	Made(ctx context.Context, invocation, ticket string, m Made) (Kept, error)
	// FailCommand says how a command failed that the caller was to run, before it
	// calls Release.
	FailCommand(ctx context.Context, invocation string, f CommandFailure) error
	// EndInvocation says that no more commands come, and what came of it all.
	EndInvocation(ctx context.Context, invocation string, e InvocationEnd) error
}

// InvocationRequest begins an invocation.
type InvocationRequest struct {
	// Client is the name of the program, such as ninja.
	Client string `json:"client"`
	// Root is the absolute path of the directory that it works in.
	Root string `json:"root"`
	// Targets are what it was asked for, for people.
	Targets []string `json:"targets,omitempty"`
	// Jobs bounds the commands that run at once, anywhere; 0 is no bound.
	Jobs int `json:"jobs,omitempty"`
	// Local asks no peer for bytes or work.
	Local bool `json:"local,omitempty"`
	// Profile, Strategy and Partition are as for a BuildRequest.
	Profile   string `json:"profile,omitempty"`
	Strategy  string `json:"strategy,omitempty"`
	Partition string `json:"partition,omitempty"`
	// Whole says that all that writes files meanwhile are its commands. Otherwise
	// each may find files changed.
	Whole bool `json:"whole,omitempty"`
	// Env are the variables, as NAME=VALUE, of commands that bring none.
	Env []string `json:"env,omitempty"`

	// UID is the caller's, by the socket, and PID its process; UnknownUID and 0 where
	// the system does not say.
	UID int `json:"-"`
	PID int `json:"-"`
}

// InvocationEnd is what came of an invocation, as its client has it.
type InvocationEnd struct {
	OK bool `json:"ok"`
	// Cancelled says that its user stopped it.
	Cancelled bool `json:"cancelled,omitempty"`
	// Error says why it failed where no command did.
	Error string `json:"error,omitempty"`
	// Skipped are commands that were not run since nothing had changed, NotRun
	// those behind a failure.
	Skipped int `json:"skipped,omitempty"`
	NotRun  int `json:"not_run,omitempty"`
}

// CommandFailure is how a command failed that its client has run.
type CommandFailure struct {
	// Step is the one of its CommandResult.
	Step string `json:"step"`
	// ExitCode is -1 if it did not exit.
	ExitCode int `json:"exit_code"`
	// Output is what it printed, as far as that is worth keeping.
	Output string `json:"output,omitempty"`
}

// Command is one command of an invocation.
type Command struct {
	// Dir is the working directory, absolute.
	Dir string
	// Argv is the command, or Shell is it for /bin/sh -c.
	Argv  []string
	Shell string
	// Env are its variables as NAME=VALUE; none are those of the invocation.
	Env []string
	// Name is what people call it; "" is its first output.
	Name string
	// Rank is how much work waits for it, in BPU-seconds; 0 where nobody knows.
	Rank float64
	// Terminal says that its messages go to a terminal.
	Terminal bool
	// Stdout says that the caller gives back apart what a command prints on stdout: see
	// CommandResult.
	Stdout bool
	// Umask is the one that its files are made with; nil where nobody says.
	Umask *fs.FileMode
	// Inputs and Outputs are what a graph declares, as seen from Dir, if one does;
	// Depfile and Rspfile likewise.
	Inputs  []string
	Outputs []string
	Depfile string
	Rspfile string
	// Local is why the client wants to run it itself: it waits for a slot then.
	Local string
	// Why is why it is to run at all, in the words of the client.
	Why string
	// Tells says that a client which runs it can tell what it made: see
	// Invocations.Made.
	Tells bool

	// UID is the caller's, as for an InvocationRequest, and PID its process, 0 where
	// the system does not say. A slot that a caller has is that of all that it runs. One
	// that is not the process of the invocation becomes what it is to run: how it ends
	// is how that ends.
	UID int
	PID int
}

// CommandResult is what came of a command.
type CommandResult struct {
	// Local are the reasons why the caller has to run the command itself, now. If
	// there is one, the command has a slot of this machine until Release is
	// called, and there is nothing below. Step is what it is called in the
	// invocation.
	Local   []string
	Step    string
	Release func()
	// Ticket is there, with Local, if the caller does well to tell what the command
	// has made: see Invocations.Made.
	Ticket string

	ExitCode int
	Signal   int // that ended it; 0 for none
	// Output is what it printed, both streams in the order in which they came; with
	// Stdout it is of that alone, and there was nothing else.
	Output []byte
	Stdout bool
	// How is Executed, CachedLocal or CachedMesh; a command that fails was executed.
	How event.Status
	// Peer executed it, now or for the cache.
	Peer   string
	RunMS  int64
	Action string // its digest
}

// Made is what came of a command that has succeeded.
type Made struct {
	// Output is what it printed, as that of a CommandResult.
	Output []byte
	CPU    time.Duration
	MaxRSS int64 // bytes, of its largest process

	UID int // as that of a Command
}

// Kept is what becomes of what a command made.
type Kept struct {
	// Why it is of use to nobody else; "" if it is kept, as the result of an Action
	// by Peer.
	Why    string `json:"why,omitempty"`
	Action string `json:"action,omitempty"`
	Peer   string `json:"peer,omitempty"`
}

// check makes sure of what the type of a request promises.
func (q *InvocationRequest) check() error {
	switch {
	case q.Client == "" || len(q.Client) > maxClient || strings.ContainsFunc(q.Client, isControl):
		return Errorf(Invalid, "client %q of an invocation: want a name of up to %d bytes", q.Client, maxClient)
	case !cleanDir(q.Root):
		return Errorf(Invalid, "root %q of an invocation: want a clean absolute path", q.Root)
	case len(q.Targets) > maxTargets:
		return Errorf(Invalid, "%d targets, the limit is %d", len(q.Targets), maxTargets)
	case q.Jobs < 0:
		return Errorf(Invalid, "%d jobs", q.Jobs)
	}
	return checkEnv(q.Env)
}

// maxClient bounds the name of a client, in bytes.
const maxClient = 64

// cleanDir reports whether d is a clean absolute path.
func cleanDir(d string) bool {
	return filepath.IsAbs(d) && filepath.Clean(d) == d && !strings.ContainsRune(d, 0)
}

func checkEnv(env []string) error {
	for _, v := range env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" || strings.ContainsRune(v, 0) {
			return Errorf(Invalid, "bad environment variable %q", v)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
