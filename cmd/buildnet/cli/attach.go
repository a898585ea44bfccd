package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
)

func (a *app) buildsAttachCommand() *cobra.Command {
	var json bool
	var dir string
	c := leaf(&cobra.Command{
		Use:   "attach BUILD [--output-dir DIR] [--json]",
		Short: "follow a build of any machine, and fetch its outputs",
		Long: "Follows a build wherever in the mesh it runs, as `buildnet build` would, and when it\n" +
			"has ended brings its outputs here: to DIR, or into the project that you are in.\n" +
			"BUILD is its ID, or so much of its beginning that no other build begins so. A build\n" +
			"with --local is followed only from the machine that makes it.\n\n" +
			"Any member may say that it has the build, so a project gets only outputs that its\n" +
			"own configuration declares. A DIR that is no project has to be empty, or not there\n" +
			"yet.\n\n" +
			"If the machine dies on which a build was begun, another one goes on with it; this is\n" +
			"how to come to its outputs. Ctrl-C ends only this command. A build can be followed\n" +
			"for ten minutes after its end. One of ninja, of make or the like cannot: its files\n" +
			"are where it works alone. An invocation of a Remote Execution client, such as Bazel,\n" +
			"is followed on the machine that it asks, from anywhere there, until nothing was\n" +
			"asked for it for 30 s; BUILD may be the client's own invocation ID.",
		Example: "  buildnet builds attach 3f9a --output-dir ~/rescued",
		Args:    takes("BUILD"),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := outputDir(dir)
			if err != nil && !a.placeless(c.Context(), args[0]) {
				return usage{err}
			}
			request := api.BuildRequest{Dir: to, Attach: args[0], Targets: []string{}, Env: map[string]string{}}
			return a.showBuilding(c.Context(), request, a.viewOf(buildFlags{json: json}))
		},
	}, exitOK, exitFailed, exitUsage, exitUnreachable, exitInterrupted)
	c.Flags().StringVar(&dir, "output-dir", "", "bring the outputs to `DIR`, which is made if it is not there")
	c.Flags().BoolVar(&json, "json", false, "print one JSON object a line, as it happens; the last is build.finished")
	return c
}

// placeless reports whether a build goes on whose outputs come here by themselves.
func (a *app) placeless(ctx context.Context, id string) (yes bool) {
	err := a.inSession(ctx, func(ctx context.Context, s session) error {
		r, err := s.ShowBuild(ctx, id)
		yes = r.Running
		return err
	})
	return yes && err == nil
}

// outputDir is where outputs go: the root of the project here, unless the user
// names another place.
func outputDir(dir string) (string, error) {
	if dir == "" {
		root, err := config.ProjectRoot(".")
		if err != nil {
			return "", fmt.Errorf("%w; or name a directory with --output-dir", err)
		}
		return filepath.EvalSymlinks(root)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("--output-dir %s: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", fmt.Errorf("--output-dir: %w", err)
	}
	return filepath.EvalSymlinks(abs)
}

// showBuilding has a node do what is asked, shows it, and returns how it ended.
func (a *app) showBuilding(ctx context.Context, request api.BuildRequest, show *shown) (err error) {
	a.restore.Store(&show.screen)
	s, err := a.buildOn(ctx, request, show)
	summary := show.close()
	a.answered = summary != nil
	left := nothing
	if summary == nil && wasSignalled(ctx) {
		left = aBuild
	}
	defer func() { err = errors.Join(err, s.close(a, left)) }()
	switch {
	case summary != nil:
		return outcome(ctx, *summary)
	case wasSignalled(ctx):
		return errInterrupted
	default:
		return err
	}
}
