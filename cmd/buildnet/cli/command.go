package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
)

// group makes c a command that does nothing but hold others.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf("; did you mean %q?", near[0])
		}
		return usage{errors.New(text)}
	}
	return leaf(c, exitOK, exitUsage)
}

// leaf makes c a command whose help tells these exit statuses.
func leaf(c *cobra.Command, statuses ...int) *cobra.Command {
	c.Annotations = map[string]string{"exit": exits(statuses...)}
	c.DisableFlagsInUseLine = true
	return c
}

// asksNode are the exit statuses of a command that asks a node.
var asksNode = []int{exitOK, exitFailed, exitUsage, exitUnreachable}

// helpTemplate has the order of every command's help.
const helpTemplate = `{{.Long}}

Usage:
  {{.UseLine}}
{{if .HasAvailableSubCommands}}
Commands:
{{range .Commands}}{{if .IsAvailableCommand}}  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages}}{{end}}{{if .HasAvailableInheritedFlags}}
Global flags:
{{.InheritedFlags.FlagUsages}}{{end}}
Exit status:
{{index .Annotations "exit"}}
Example:
{{.Example}}
`

// question is what a command asks of the node that runs, and how it tells people
// of the answer.
type question[T any] struct {
	ask  func(context.Context, *client.Client) (T, error)
	tell func(T) error
}

// askNode asks, and prints the answer.
func askNode[T any](ctx context.Context, a *app, as format, q question[T]) error {
	n, err := a.running(ctx)
	if err != nil {
		return err
	}
	v, err := q.ask(ctx, n)
	if err != nil {
		return err
	}
	return a.answer(as, v, func() error { return q.tell(v) })
}

// answer prints v as JSON, or has people told.
func (a *app) answer(as format, v any, people func() error) error {
	if as == asLine {
		return a.printJSON(v)
	}
	return people()
}

// problem is why a command with --json has no answer. Its field names are a
// contract.
type problem struct {
	Event string `json:"event"`
	Kind  string `json:"kind"`
	// Text is what people are told.
	Text   string `json:"error"`
	Status int    `json:"status"`
}

// interrupted is the kind of a problem that is none of the node's.
const interrupted = "interrupted"

// kindOf sorts an error as the API does.
func kindOf(err error) string {
	var told *api.Error
	switch status := exitStatus(err); {
	case status == exitInterrupted:
		return interrupted
	case status == exitUnreachable:
		return string(api.Unavailable)
	case errors.As(err, &told):
		return string(told.Kind)
	case status == exitUsage:
		return string(api.Invalid)
	default:
		return string(api.Internal)
	}
}

// tellProgram puts a problem on stdout, for a program that asked for JSON and
// has got none, or not all of it.
func (a *app) tellProgram(c *cobra.Command, args []string, p problem) {
	if a.answered || !a.wantsJSON(c, args) {
		return
	}
	_ = a.printJSON(p) // the exit status says it, too
}

// wantsJSON reports whether --json was given. Where the flags were refused it
// may stand behind the one that was wrong.
func (a *app) wantsJSON(c *cobra.Command, args []string) bool {
	if !a.began {
		return slices.Contains(args, "--json")
	}
	f := c.Flags().Lookup("json")
	if f == nil {
		return false
	}
	on, err := strconv.ParseBool(f.Value.String())
	return err == nil && on
}
