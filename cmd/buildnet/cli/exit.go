package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
)

// The exit statuses are a contract.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNotFound    = 127
	exitInterrupted = 130
)

var exitTexts = map[int]string{
	exitOK:          "done",
	exitFailed:      "failed",
	exitUsage:       "wrong usage, or refused",
	exitUnreachable: "no node or mesh could be reached",
	exitNotFound:    "there is no such program, or it cannot be run",
	exitInterrupted: "interrupted",
}

// exits is the part of a command's help about its exit status.
func exits(statuses ...int) string {
	var b strings.Builder
	for _, s := range statuses {
		fmt.Fprintf(&b, "  %-4d %s\n", s, exitTexts[s])
	}
	return b.String()
}

var (
	// errFailed says that a build failed; what and why was told already.
	errFailed = errors.New("build failed")
	// errInterrupted says that the user ended it.
	errInterrupted = errors.New("interrupted")
)

// Misused makes err, of a Starter's node, one of usage or configuration.
func Misused(err error) error { return usage{err} }

// Unreachable makes err one of a node or mesh that could not be reached.
func Unreachable(err error) error { return unreachable{err} }

// usage is an error of the command line or of the project's configuration.
type usage struct{ error }

// Unwrap returns the error.
func (u usage) Unwrap() error { return u.error }

// unreachable is an error of a node or mesh that could not be reached.
type unreachable struct{ error }

// Unwrap returns the error.
func (u unreachable) Unwrap() error { return u.error }

// exitStatus maps errors to exit statuses. Nothing else does.
func exitStatus(err error) int {
	var (
		told   *api.Error
		wrong  usage
		nobody unreachable
		theirs commandEnded
		none   notFound
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &theirs):
		return theirs.status
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &none):
		return exitNotFound
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &nobody), errors.Is(err, client.ErrNoNode), errors.Is(err, client.ErrDenied), errors.Is(err, client.ErrLost):
		return exitUnreachable
	case errors.As(err, &told):
		return exitStatusOf(told.Kind)
	default:
		return exitFailed
	}
}

func exitStatusOf(k api.Kind) int {
	switch k {
	case api.Invalid, api.Forbidden, api.NotFound, api.Conflict:
		return exitUsage
	case api.Unavailable:
		return exitUnreachable
	default:
		return exitFailed
	}
}

// explain returns what to tell the user of an error of a command, which ends
// with what to do next; "" for what was told already.
func explain(err error, command string) string {
	var theirs commandEnded
	switch {
	case err == nil, errors.Is(err, errFailed), errors.As(err, &theirs):
		return ""
	case errors.Is(err, errInterrupted):
		return "interrupted"
	case errors.Is(err, client.ErrLost):
		return err.Error() + "; it was stopped or died: see `buildnet node status` and node.log in its home, then build again: what had finished is kept"
	case errors.Is(err, client.ErrNoNode):
		return err.Error() + "; start one with `buildnet node up`"
	}
	var wrong usage
	if errors.As(err, &wrong) && !strings.Contains(err.Error(), "; ") {
		return err.Error() + "; see `" + command + " --help`"
	}
	return err.Error()
}
