package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/intercept"
)

// kitsName is the directory in the home for what intercepts commands.
const kitsName = "exec"

// interceptedFlags are those of `buildnet build` that count with a command of
// another program.
var interceptedFlags = []string{"dir", "jobs", "json", "local", "why-local", "trace", "profile", "strategy", "partition", "home", "help"}

// commandOf returns the command behind --, if a build is of one.
func commandOf(c *cobra.Command, args []string) (argv []string, is bool, err error) {
	dash := c.ArgsLenAtDash()
	if dash < 0 || c.Flags().Changed("tool") {
		return nil, false, nil
	}
	if dash > 0 || len(args) == 0 {
		return nil, true, errors.New("want targets, or -- and a command")
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(interceptedFlags, f.Name) {
			err = fmt.Errorf("--%s is not for a command of another program; leave it away", f.Name)
		}
	})
	return args, true, err
}

// commandEnded is how a command of another program ended: its status is ours.
type commandEnded struct{ status int }

// Error implements error.
func (e commandEnded) Error() string {
	return "the command ended with status " + strconv.Itoa(e.status)
}

// diedOf is what shells add to the number of a signal.
const diedOf = 128

// statusOfProcess is its exit status, as a shell has it.
func statusOfProcess(s *os.ProcessState) int {
	if number := endSignal(s); number != 0 {
		return diedOf + number
	}
	return s.ExitCode()
}

// buildIntercepted runs a command whose compiles run on all machines.
func (a *app) buildIntercepted(of *cobra.Command, o buildFlags, argv []string) error {
	ctx := of.Context()
	if of.Flags().Changed("jobs") && o.jobs < 1 {
		return usage{fmt.Errorf("-j %d: want a positive number, or none for as many as are worth it", o.jobs)}
	}
	if err := o.check(); err != nil {
		return err
	}
	dir, err := filepath.Abs(o.dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return usage{fmt.Errorf("directory: %w", err)}
	}
	show := &shown{view: &aside{}, screen: func() {}}
	if o.json {
		show.lines = func(line []byte) error { return a.print("%s\n", line) }
	}
	return a.watching(ctx, o, dir, show, func(show *shown) error {
		c := intercepted{app: a, dir: dir, argv: argv, flags: o, environ: variables(a.sys.Environ), show: show}
		err := c.prepare(ctx)
		if c.faults != "" {
			defer func() { _ = os.Remove(c.faults) }() // it is a temporary file
		}
		var refused *api.Error
		switch {
		case errors.Is(err, errInterrupted), errors.As(err, &refused) && refused.Kind == api.Invalid:
			return err
		case err != nil:
			a.say("buildnet: all runs on this machine: %v", err)
		}
		return c.run(ctx)
	})
}

// intercepted is a build of another program's.
type intercepted struct {
	app     *app
	dir     string
	argv    []string
	flags   buildFlags
	environ []string
	show    *shown

	// Those that prepare has made; nil if it could not.
	kit        *intercept.Kit
	invocation *invocation
	faults     string
}

// prepare makes what intercepts, and begins an invocation.
func (c *intercepted) prepare(ctx context.Context) error {
	homes, err := c.app.homes()
	if err != nil {
		return err
	}
	kit, err := intercept.Open(ctx, filepath.Join(homes[0], kitsName), c.environ)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "buildnet-")
	if err != nil {
		return fmt.Errorf("make a file for faults: %w", err)
	}
	c.faults = file.Name()
	if err := file.Close(); err != nil {
		return fmt.Errorf("make a file for faults: %w", err)
	}
	c.invocation, err = c.app.invoke(ctx, c.app.connect, api.InvocationRequest{
		Client: filepath.Base(c.argv[0]), Root: c.dir, Targets: c.argv[1:min(len(c.argv), maxShown)], Jobs: c.flags.jobs, Local: c.flags.local,
		Profile: c.flags.profile, Strategy: c.flags.strategy, Partition: c.flags.partition, Env: c.environ,
	}, c.show.line)
	if err == nil {
		c.kit = kit
	}
	return err
}

// run runs the command, and sums up.
func (c *intercepted) run(ctx context.Context) error {
	env, argv := c.environ, c.argv
	jobs := c.flags.jobs
	if c.invocation != nil {
		if jobs == 0 {
			jobs = c.invocation.jobs()
		}
		env = c.kit.Environ(env, intercept.Invocation{Socket: c.invocation.Socket(), ID: c.invocation.id, Faults: c.faults, Slots: host.Slots()})
	}
	argv, env = withJobs(argv, env, jobs, c.flags.jobs > 0)
	status, err := c.execute(ctx, argv, env)
	c.sumUp(ctx, status)
	c.app.answered = c.flags.json
	if err != nil {
		return err
	}
	return withStatus(status)
}

// maxShown is how many arguments of a command people are shown.
const maxShown = 100

// withStatus is the error of a command that has told itself what was wrong.
func withStatus(status int) error {
	if status == exitOK {
		return nil
	}
	return commandEnded{status}
}

// execute runs the command with what this process has of the terminal.
func (c *intercepted) execute(ctx context.Context, argv, env []string) (status int, err error) {
	var program string
	args := argv
	if c.kit != nil {
		program, args = c.kit.Command(argv)
	} else if program, err = lookPath(argv[0], c.dir, env); err != nil {
		return exitNotFound, err
	}
	child := exec.Cmd{Path: program, Args: args, Dir: c.dir, Env: env, Stdin: os.Stdin, Stdout: c.app.sys.Stdout, Stderr: c.app.sys.Stderr}
	if c.flags.json {
		child.Stdout = child.Stderr // stdout has events alone
	}
	if err := child.Start(); err != nil {
		return exitNotFound, fmt.Errorf("run %s: %w", argv[0], err)
	}
	stop := context.AfterFunc(ctx, func() { passOn(context.Cause(ctx), child.Process) })
	defer stop()
	if err := child.Wait(); err != nil && child.ProcessState == nil {
		return exitFailed, fmt.Errorf("wait for %s: %w", argv[0], err)
	}
	return statusOfProcess(child.ProcessState), nil
}

// passOn gives a signal on to the command, unless the terminal has given it to
// both.
func passOn(why error, p *os.Process) {
	var s signalled
	if errors.As(why, &s) && (s.signal != os.Interrupt || !inForeground()) {
		_ = p.Signal(s.signal) // it may have ended
	}
}

// sumUp ends the invocation and says what ran where.
func (c *intercepted) sumUp(ctx context.Context, status int) {
	if c.invocation == nil {
		if c.flags.json {
			c.tellAlone(ctx, status)
		}
		return
	}
	summary, err := c.invocation.end(c.app, api.InvocationEnd{OK: status == exitOK, Cancelled: wasSignalled(ctx)})
	if told, ok := c.show.view.(*aside); ok {
		for _, text := range told.warnings {
			c.app.say("%s", text)
		}
		if err == nil && summary.Steps > 0 && !c.flags.json {
			fmt.Fprint(c.app.sys.Stderr, summaryOf(*summary, told.names))
		}
	}
	if err != nil {
		c.tellLost(ctx, status, err)
	}
	noted, err := os.ReadFile(c.faults)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.app.say("buildnet: read what was at fault: %v", err)
	}
	if faults := strings.Split(strings.TrimSuffix(string(noted), "\n"), "\n"); faults[0] != "" {
		why := map[string]int{}
		for _, f := range faults {
			why[f]++
		}
		c.app.say("%s ran here beside that: %s", plural(len(faults), "compile"), reasons(why))
	}
}

// tellLost says that no node knows any more what ran where. The command has gone on
// without, and its status counts.
func (c *intercepted) tellLost(ctx context.Context, status int, err error) {
	text := "buildnet: " + err.Error()
	if errors.Is(err, client.ErrLost) {
		text = fmt.Sprintf("buildnet: the node was lost in the middle of the build, which went on here, %s at once: see node.log in the node's home; what ran where is not known",
			plural(host.Slots(), "compile"))
	}
	c.app.say("%s", text)
	if line, encoded := event.Encode(event.BuildFinished{
		Build: c.invocation.id, OK: status == exitOK, Cancelled: wasSignalled(ctx), Error: err.Error(), ByPeer: map[string]int{},
	}); encoded == nil && c.flags.json {
		_ = c.show.line(line) // a reader that is gone needs none
	}
}

// tellAlone says with --json what a command came to of which no node knows.
func (c *intercepted) tellAlone(ctx context.Context, status int) {
	for _, e := range []event.Event{
		event.BuildStarted{Root: c.dir, Targets: c.argv[1:min(len(c.argv), maxShown)], Members: 1, Client: filepath.Base(c.argv[0])},
		event.BuildFinished{OK: status == exitOK, Cancelled: wasSignalled(ctx), ByPeer: map[string]int{}},
	} {
		if line, err := event.Encode(e); err == nil {
			_ = c.show.line(line) // a reader that is gone needs none
		}
	}
}

// makes are the names of make.
var makes = []string{"make", "gmake", "gnumake"}

// withJobs tells a command how many jobs to run at once: make by an argument,
// unless it is told by the user; others by variables that tools which they call
// heed, where these are not set. asked says that the number is the user's.
func withJobs(argv, env []string, jobs int, asked bool) (args, environ []string) {
	if jobs < 1 {
		return argv, env
	}
	number := strconv.Itoa(jobs)
	vars := environment(env)
	if slices.Contains(makes, filepath.Base(argv[0])) {
		if !asked && (hasJobs(argv[1:]) || hasJobs(strings.Fields(vars["MAKEFLAGS"])) || hasJobs(strings.Fields(vars["GNUMAKEFLAGS"]))) {
			return argv, env
		}
		return slices.Concat(argv[:1], []string{"-j" + number}, argv[1:]), env
	}
	if vars["CMAKE_BUILD_PARALLEL_LEVEL"] == "" {
		env = append(slices.Clone(env), "CMAKE_BUILD_PARALLEL_LEVEL="+number)
	}
	if asked && vars["MAKEFLAGS"] == "" {
		env = append(slices.Clone(env), "MAKEFLAGS=-j"+number)
	}
	return argv, env
}

// takesValue are the flags of make, of one letter, behind which comes a value.
const takesValue = "CEIfloOW"

// hasJobs reports whether arguments of make have a number of jobs.
func hasJobs(args []string) bool {
	for _, arg := range args {
		letters, flags := strings.CutPrefix(arg, "-")
		switch {
		case arg == "--":
			return false
		case strings.HasPrefix(arg, "--jobs"):
			return true
		case !flags || strings.HasPrefix(arg, "--"):
			continue
		}
		if end := strings.IndexAny(letters, takesValue); end >= 0 {
			letters = letters[:end]
		}
		if strings.Contains(letters, "j") {
			return true
		}
	}
	return false
}

// lookPath finds a program in the PATH of an environment.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for _, in := range filepath.SplitList(environment(env)["PATH"]) {
		if in == "" {
			in = "."
		}
		if !filepath.IsAbs(in) {
			in = filepath.Join(dir, in)
		}
		if path, err := exec.LookPath(filepath.Join(in, name)); err == nil {
			return path, nil
		}
	}
	return "", notFound{name}
}

// notFound is an error of a program that there is not.
type notFound struct{ name string }

// Error implements error.
func (n notFound) Error() string {
	return n.name + ": there is no such program in PATH; is it installed?"
}
