package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/profile"
)

func (a *app) profileCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "profile COMMAND",
		Short: "choose how builds use the mesh",
		Long: "A profile says how a build uses the mesh: who gets a step, what of processors,\n" +
			"disks, network and caches is used. It changes how long a build takes and what\n" +
			"moves, never what comes out. The first that says something holds: the flag\n" +
			"--profile of `buildnet build`, the project's configuration, `buildnet profile use`\n" +
			"on this machine, `buildnet distribute` on any machine of the mesh. docs/config.md\n" +
			"has the form of a file.",
		Example: "  buildnet profile use bandwidth_saver",
	})
	c.AddCommand(a.profileListCommand(), a.profileShowCommand(), a.profileUseCommand(), a.profileCreateCommand())
	return c
}

// atShelf runs f with the profiles that there are here, in a directory.
func (a *app) atShelf(ctx context.Context, dir string, f func(session, *shelves) error) error {
	return a.inSession(ctx, func(ctx context.Context, s session) error {
		known, err := shelvesOf(ctx, s, dir)
		if err != nil {
			return err
		}
		return f(s, known)
	})
}

// projectFlag gives c the flag -C of a command that asks what there is for a
// directory.
func projectFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVarP(dir, "dir", "C", ".", "count the profiles of the project of `DIR` in, if it is one")
}

func (a *app) profileListCommand() *cobra.Command {
	var (
		as  format
		dir string
	)
	c := leaf(&cobra.Command{
		Use:   "list [-C DIR] [--json]",
		Short: "list the profiles, and which holds here",
		Long: "Lists the profiles of the program, of this machine and of the project, and marks the\n" +
			"one that a build here uses. `buildnet profile show` shows one in full.",
		Example: "  buildnet profile list",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.atShelf(c.Context(), dir, func(_ session, known *shelves) error { return a.listProfiles(known, as) })
		},
	}, asksNode...)
	projectFlag(c, &dir)
	as.flag(c, "print one JSON array")
	return c
}

// listedProfile is a line of a list. Its field names are a contract.
type listedProfile struct {
	profile.Profile
	// Where it lies: program, machine, project or mesh.
	Where string `json:"where"`
	// Holds says that a build here uses it, and From why.
	Holds bool         `json:"holds"`
	From  profile.From `json:"from,omitempty"`
}

func (a *app) listProfiles(known *shelves, f format) error {
	all, wrong := known.list()
	if all == nil {
		return wrong
	}
	if f == asLine {
		return errors.Join(a.printJSON(all), wrong)
	}
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tFROM THE\tDISTRIBUTION\tHOLDS\tDESCRIPTION")
	for _, p := range all {
		holds := ""
		if p.Holds {
			holds = "by " + whoChose(p.From)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Where, p.Distribution, holds, p.Description)
	}
	return errors.Join(flush(w), wrong)
}

// whoChose says in words who chose a profile.
func whoChose(f profile.From) string {
	switch f {
	case profile.FromFlag:
		return "--profile"
	case profile.FromProject:
		return "the project"
	case profile.FromNode:
		return "profile use"
	case profile.FromMesh:
		return "distribute"
	default:
		return "default"
	}
}

func (a *app) profileShowCommand() *cobra.Command {
	var (
		as  format
		dir string
	)
	c := leaf(&cobra.Command{
		Use:   "show [NAME] [-C DIR] [--json]",
		Short: "show a profile in full",
		Long: "Prints a profile as a file, with every key; without NAME the one that a build here\n" +
			"uses. What it prints is a start for one of your own: `buildnet profile create`.",
		Example: "  buildnet profile show speed > mine.yaml",
		Args:    takes("[NAME]"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.atShelf(c.Context(), dir, func(_ session, known *shelves) error { return a.showProfile(known, args, as) })
		},
	}, asksNode...)
	projectFlag(c, &dir)
	as.flag(c, "print one JSON object")
	return c
}

func (a *app) showProfile(known *shelves, args []string, f format) error {
	chosen, err := known.choose()
	if len(args) > 0 {
		chosen = profile.Chosen{}
		chosen.Profile, err = known.find(args[0])
	}
	if err != nil {
		return usage{err}
	}
	return a.answer(f, chosen.Profile, func() error {
		if chosen.From != "" {
			a.say("chosen by %s", whoChose(chosen.From))
		}
		return a.print("%s", yamlOf(chosen.Profile))
	})
}

// yamlOf writes a profile as a file, with every key.
func yamlOf(p profile.Profile) string {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s: %v\n", key, value) }
	line("version", p.Version)
	line("name", p.Name)
	if p.Description != "" {
		line("description", fmt.Sprintf("%q", p.Description))
	}
	line("distribution", p.Distribution)
	if w := p.Weights; w != nil {
		line("weights", fmt.Sprintf("{performance: %g, locality: %g, latency: %g, availability: %g}", w.Performance, w.Locality, w.Latency, w.Availability))
	}
	line("partition", p.Partition)
	line("cpu_strategy", p.CPU)
	line("storage_preference", p.Storage)
	line("network_preference", p.Network)
	line("cache_policy", p.Cache)
	return b.String()
}

func (a *app) profileUseCommand() *cobra.Command {
	var (
		as   format
		none bool
	)
	c := leaf(&cobra.Command{
		Use:   "use NAME|--none [--json]",
		Short: "use a profile for the builds of this machine",
		Long: "Makes builds of this machine use a profile where neither --profile nor the project\n" +
			"names another; with --none they follow the mesh again. NAME is one of the program or\n" +
			"of this machine. For all machines there is `buildnet distribute`.",
		Example: "  buildnet profile use bandwidth_saver",
		Args:    takes("[NAME]"),
		RunE: func(c *cobra.Command, args []string) error {
			if none == (len(args) == 1) {
				return usage{errors.New("name a profile, or give --none")}
			}
			return a.inSession(c.Context(), func(ctx context.Context, s session) error {
				return a.useProfile(ctx, s, strings.Join(args, ""), as)
			})
		},
	}, asksNode...)
	c.Flags().BoolVar(&none, "none", false, "use none of this machine's own choice")
	as.flag(c, "print one JSON object")
	return c
}

func (a *app) useProfile(ctx context.Context, s session, name string, f format) error {
	p, err := s.UseProfile(ctx, api.UseProfileRequest{Name: name})
	if err != nil {
		return err
	}
	return a.answer(f, p, func() error {
		if name == "" {
			a.say("builds of this machine follow the mesh")
		} else {
			a.say("builds of this machine use %s", name)
		}
		return nil
	})
}

func (a *app) profileCreateCommand() *cobra.Command {
	var (
		as  format
		o   createFlags
		dir string
	)
	c := leaf(&cobra.Command{
		Use:   "create FILE.yaml [--project] [-C DIR] [--json]",
		Short: "keep a profile of your own",
		Long: "Checks a file and keeps it as a profile of this machine, or with --project of the\n" +
			"project, for all who build it. An older one of the same name gives way. To use it:\n" +
			"`buildnet profile use`, or profile in the project's configuration.",
		Example: "  buildnet profile create nightly.yaml",
		Args:    takes("FILE.yaml"),
		RunE: func(c *cobra.Command, args []string) error {
			o.file, o.dir = args[0], dir
			return a.createProfile(c.Context(), o, as)
		},
	}, asksNode...)
	c.Flags().BoolVar(&o.project, "project", false, "keep it in .buildnet/profiles of the project")
	c.Flags().StringVarP(&dir, "dir", "C", ".", "with --project: the project of `DIR`")
	as.flag(c, "print one JSON object")
	return c
}

type createFlags struct {
	file, dir string
	project   bool
}

// created is the answer of create. Its field names are a contract.
type created struct {
	profile.Profile
	// Path is of the file in the project, empty for one of the machine.
	Path string `json:"path,omitempty"`
}

func (a *app) createProfile(ctx context.Context, o createFlags, f format) error {
	src, err := os.ReadFile(o.file)
	if err != nil {
		return usage{fmt.Errorf("read the profile: %w; `buildnet profile show` prints one to begin with", err)}
	}
	p, err := profile.Parse(o.file, src)
	if err == nil && profile.IsBuiltin(p.Name) {
		err = fmt.Errorf("profile %s comes with the program; give yours another name", p.Name)
	}
	if err != nil {
		return usage{err}
	}
	path := ""
	if o.project {
		path, err = saveInProject(o.dir, p, src)
	} else {
		err = a.inSession(ctx, func(ctx context.Context, s session) error {
			_, err := s.SaveProfile(ctx, api.ProfileFile{Name: p.Name, Text: string(src)})
			return err
		})
	}
	if err != nil {
		return err
	}
	return a.answer(f, created{p, path}, func() error {
		a.say("profile %s is kept; builds use it with `buildnet build --profile %s`", p.Name, p.Name)
		return nil
	})
}

func saveInProject(dir string, p profile.Profile, src []byte) (string, error) {
	root, err := config.ProjectRoot(dir)
	if err != nil {
		return "", usage{err}
	}
	path := profilePath(root, p.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("keep profile %s: %w", p.Name, err)
	}
	if err := os.WriteFile(path, src, 0o644); err != nil { //nolint:gosec // it is part of the sources
		return "", fmt.Errorf("keep profile %s: %w", p.Name, err)
	}
	return path, nil
}

func profilePath(root, name string) string {
	return filepath.Join(root, ".buildnet", "profiles", name+".yaml")
}

// projectNames are the names of a project's profiles, sorted.
func projectNames(root string) []string {
	if root == "" {
		return nil
	}
	paths, _ := filepath.Glob(profilePath(root, "*")) // the pattern is sound
	var names []string
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if profile.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
