package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/intercept"
)

func (a *app) ccCommand() *cobra.Command {
	c := leaf(&cobra.Command{
		Use:   "cc COMPILER [ARG...]",
		Short: "run a compiler on any machine of the mesh",
		Long: "Runs a compile as the compiler would, on any machine of the mesh: what it prints,\n" +
			"what it makes and its exit status are the compiler's. It stands before the compiler\n" +
			"where that is configured, as in CC or in CMAKE_C_COMPILER_LAUNCHER.\n\n" +
			"Below `buildnet build -- COMMAND` it is not needed; where it is used nevertheless,\n" +
			"the compile is one of that build. Elsewhere it is a build of its own on the node\n" +
			"that runs. Where none runs, and for all that is no compile, it becomes the compiler.",
		Example: "  buildnet cc gcc -O2 -c main.c -o main.o",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage{errors.New("COMPILER is missing")}
			}
			return a.cc(c.Context(), args)
		},
	}, exitOK, exitUsage, exitNotFound)
	c.Flags().SetInterspersed(false)
	return c
}

// cc runs one command of a compiler.
func (a *app) cc(ctx context.Context, argv []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	env := variables(a.sys.Environ)
	path, err := lookPath(argv[0], dir, variables(intercept.Clean(env)))
	if err != nil {
		return err
	}
	if program, args, ok := intercept.Compile(env, path, argv); ok && a.exec(program, args, env) == nil {
		return nil
	}
	if !compiles(argv[1:]) {
		return a.become(ctx, path, argv)
	}
	i, err := a.invoke(ctx, a.runningOnly, api.InvocationRequest{Client: filepath.Base(argv[0]), Root: dir, Jobs: 1, Env: env}, func([]byte) error { return nil })
	if err != nil {
		return a.become(ctx, path, argv)
	}
	status := a.compile(ctx, i, api.Command{Dir: dir, Argv: slices.Concat([]string{path}, argv[1:]), Env: env, Terminal: a.sys.Screen == Terminal && environment(env)["NO_COLOR"] == "", Umask: umask()}, argv)
	// That its node cannot tell of it any more is no fault of the command.
	_, _ = i.end(a, api.InvocationEnd{OK: status == exitOK, Cancelled: wasSignalled(ctx)})
	return withStatus(status)
}

// compile has the one command of an invocation run, and returns its status.
func (a *app) compile(ctx context.Context, i *invocation, c api.Command, argv []string) (status int) {
	res, err := i.run(ctx, c)
	switch {
	case wasSignalled(ctx):
		return exitInterrupted
	case err != nil:
		return a.child(ctx, c.Argv[0], argv, c.Env)
	case len(res.Local) > 0:
		defer res.Release()
		if status = a.child(ctx, c.Argv[0], argv, c.Env); status != exitOK {
			i.failed(api.CommandFailure{Step: res.Step, ExitCode: status})
		}
		return status
	}
	_, _ = a.sys.Stderr.Write(res.Output) // as with the compiler, nobody needs to read it
	if res.Signal != 0 {
		return diedOf + res.Signal
	}
	return res.ExitCode
}

// compiles reports whether the arguments are of a compile; all others are none of
// a node's business.
func compiles(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == "-c" || arg == "-S" || strings.HasPrefix(arg, "@") })
}

// become executes a program in place of this one, or in a child where the system
// has no other way.
func (a *app) become(ctx context.Context, path string, argv []string) error {
	env := variables(a.sys.Environ)
	if a.exec(path, argv, env) == nil {
		return nil
	}
	return withStatus(a.child(ctx, path, argv, env))
}

// exec returns an error where the system cannot put a program in place of this one.
func (a *app) exec(path string, argv, env []string) error {
	if a.sys.Exec == nil {
		return errors.ErrUnsupported
	}
	return a.sys.Exec(path, argv, env)
}

// child runs a program to its end.
func (a *app) child(ctx context.Context, path string, argv, env []string) (status int) {
	c := exec.Cmd{Path: path, Args: argv, Env: env, Stdin: os.Stdin, Stdout: a.sys.Stdout, Stderr: a.sys.Stderr}
	if err := c.Start(); err != nil {
		a.say("buildnet: run %s: %v", argv[0], err)
		return exitNotFound
	}
	defer context.AfterFunc(ctx, func() { passOn(context.Cause(ctx), c.Process) })()
	_ = c.Wait() // its state says it
	return statusOfProcess(c.ProcessState)
}
