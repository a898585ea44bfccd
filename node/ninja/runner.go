package ninja

import (
	"context"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/project/ninja"
)

// Runner runs commands, here or elsewhere. It is used by several goroutines at
// once.
type Runner interface {
	// Run runs one command to its end. When ctx is done it ends the command and
	// answers Interrupted; no process of it may be left then. The directories of
	// the outputs and the response file exist; what the command makes has to be
	// in the working tree when Run returns.
	Run(ctx context.Context, job Job) Result
}

// Job is one command of a build. Paths are relative to the build's directory,
// or absolute.
type Job struct {
	// Command is for /bin/sh -c.
	Command string
	// Ins are all inputs, with those that earlier runs were found to read.
	// OrderOnlyIns is how many at the end may be read without being named by
	// the depfile, and do not count as changes.
	Ins          []string
	OrderOnlyIns int
	Outs         []string
	// Rspfile, if any, is written by the caller and holds RspfileContent.
	Rspfile, RspfileContent string
	// Depfile, if any, is written by the command: Deps says what becomes of it.
	Depfile string
	// Deps is gcc, msvc or empty: how the command tells what it read.
	Deps string
	// Pool is the name of the pool, empty for the common one. A job of the
	// console pool has the terminal to itself.
	Pool string
	// Generator marks a command that makes manifests: it may read anything.
	Generator bool
	// Restat marks a command that may leave outputs as they are.
	Restat bool
	// HereOnly is why no other machine may run it; "" if one may.
	HereOnly string
	// Rank is for how many seconds of work at least others wait for it, as far as
	// that is known, and Why is the first reason that was found for it to run.
	Rank float64
	Why  string

	// includesPrefix is what msvc writes before the name of an included file.
	includesPrefix string
}

// Console reports whether the job has the terminal to itself.
func (j Job) Console() bool { return j.Pool == ninja.ConsolePool }

// Status is how a command ended.
type Status uint8

const (
	// Failed means that it exited with another status than 0, or did not start.
	Failed Status = iota
	// Succeeded means that it exited with 0.
	Succeeded
	// Interrupted means that the user ended it: the build stops.
	Interrupted
	// NotBegun means that it was still to begin when the build had failed.
	NotBegun
)

// Result is what a command left.
type Result struct {
	Status Status
	// Output is what it wrote to stdout and stderr; nothing of a console job.
	Output []byte
	// ExitCode is what a job that failed has exited with; -1 if it did not.
	ExitCode int
	// CPU is what it and all that it has waited for used, and MaxRSS the bytes of the
	// largest of these: where a Runner knows.
	CPU    time.Duration
	MaxRSS int64
	Ran
}

// Ran is where a command ran. The zero value says that a Runner did not tell.
type Ran struct {
	// How is Executed, CachedLocal or CachedMesh.
	How event.Status
	// Here are the reasons why this machine ran it; none if another did, or if it
	// could have been another.
	Here []string
	// Peer executed it, now or for the cache; "" is this process.
	Peer string
	// Took is how long it ran itself, now or for the cache.
	Took time.Duration
	// Action is the digest of the action that it was; "" if it was none.
	Action string
}
