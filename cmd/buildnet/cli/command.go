package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config/near"
)

// group makes c a command that does nothing but hold others.
func group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return usage{unknownCommand(c, args[0])}
	}
	return leaf(c, exitOK, exitUsage)
}

func unknownCommand(c *cobra.Command, name string) error {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q for %q; %s", name, c.CommandPath(), near.DidYouMean(name, names, "see `"+c.CommandPath()+" --help`"))
}

// leaf makes c a command whose help tells these exit statuses.
func leaf(c *cobra.Command, statuses ...int) *cobra.Command {
	c.Annotations = map[string]string{"exit": exits(statuses...)}
	c.DisableFlagsInUseLine = true
	return c
}

// takes is what a command takes beside its flags: nothing, one NAME, or for
// [NAME] one at most.
func takes(what string) cobra.PositionalArgs {
	name := strings.Trim(what, "[]")
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && what == name && name != "":
			return fmt.Errorf("%s is missing", name)
		case len(args) == 0:
			return nil
		case name == "":
			return fmt.Errorf("%q is too much: it takes flags alone", args[0])
		case len(args) > 1:
			return fmt.Errorf("%d arguments: it takes one %s", len(args), name)
		case args[0] == "":
			return fmt.Errorf("%s is empty", name)
		default:
			return nil
		}
	}
}

// flagFault says what is wrong with a flag, in words of the command line.
func flagFault(c *cobra.Command, err error) error {
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		return unknownCommand(c, c.Flags().Arg(0)) // the flag is of a command that there is not
	}
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), ": strconv.")
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s: the number is too large", text)
	}
	return fmt.Errorf("%s: want a number", text)
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
