package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched/place"
)

// policyFlags are those that change a profile.
type policyFlags struct {
	profile, strategy, partition string
}

func (p *policyFlags) add(c *cobra.Command, profileUsage string) {
	f := c.Flags()
	f.StringVar(&p.profile, "profile", "", profileUsage)
	f.StringVar(&p.strategy, "strategy", "", "give each step by `S`: "+joined(place.Strategies()))
	f.StringVar(&p.partition, "partition", "", "keep together what `X` says: "+joined(place.Partitions()))
}

// check makes sure of the words, before anybody is asked.
func (p *policyFlags) check() error {
	for _, f := range []struct {
		name, word string
		words      []string
	}{{"--strategy", p.strategy, place.Strategies()}, {"--partition", p.partition, place.Partitions()}} {
		if f.word != "" && !slices.Contains(f.words, f.word) {
			advice := near.DidYouMean(f.word, f.words, "use one of "+joined(f.words))
			return usage{fmt.Errorf("%s %s: there is none of that name; %s", f.name, f.word, advice)}
		}
	}
	if p.profile == "" {
		return nil
	}
	if err := profile.CheckName(p.profile); err != nil {
		return usage{fmt.Errorf("--profile: %w", err)}
	}
	return nil
}

// over returns a profile with what the flags change of it.
func (p *policyFlags) over(base profile.Profile) (profile.Profile, error) {
	w := profile.Wishes{Mesh: &base}
	if p.strategy != "" {
		s, err := place.ParseStrategy(p.strategy)
		if err != nil {
			return base, usage{err}
		}
		w.Strategy = &s
	}
	if p.partition != "" {
		x, err := place.ParsePartition(p.partition)
		if err != nil {
			return base, usage{err}
		}
		w.Partition = &x
	}
	c, err := profile.Choose(w, nil)
	return c.Profile, err
}

type distributeFlags struct {
	policyFlags
	dir  string
	none bool
}

func (a *app) distributeCommand() *cobra.Command {
	var (
		as format
		o  distributeFlags
	)
	c := leaf(&cobra.Command{
		Use:   "distribute [--profile NAME] [--strategy S] [--partition X] [--none] [-C DIR] [--json]",
		Short: "choose how the builds of the whole mesh are distributed",
		Long: "Makes the builds of every member use a profile, where neither the build, nor the\n" +
			"project, nor `buildnet profile use` on the machine says something else. Without a\n" +
			"flag it shows what holds, who said so and when. --strategy and --partition change\n" +
			"the profile that is named, or else standard. Members that are away learn it when\n" +
			"they come back. The last one to say something decides.",
		Example: "  buildnet distribute --strategy locality",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.distribute(c.Context(), o, as)
		},
	}, asksNode...)
	c.Flags().SortFlags = false
	o.add(c, "use the profile `NAME`, of the program, the machine or the project")
	c.Flags().BoolVar(&o.none, "none", false, "take back what holds")
	projectFlag(c, &o.dir)
	as.flag(c, "print one JSON object")
	return c
}

func (a *app) distribute(ctx context.Context, o distributeFlags, f format) error {
	says := o.policyFlags != policyFlags{}
	if says && o.none {
		return usage{errors.New("--none goes with no other flag")}
	}
	if err := o.check(); err != nil {
		return err
	}
	return askNode(ctx, a, f, question[distribution]{
		func(ctx context.Context, n *client.Client) (distribution, error) {
			var now api.Profiles
			var err error
			switch {
			case says:
				now, err = layDown(ctx, n, o)
			case o.none:
				now, err = n.Distribute(ctx, api.DistributeRequest{})
			default:
				now, err = n.Profiles(ctx)
			}
			return distribution{now.Mesh}, err
		},
		func(d distribution) error { return a.printDistribution(d.Mesh) },
	})
}

// distribution is the answer of distribute. Its field names are a contract.
type distribution struct {
	Mesh *api.MeshProfile `json:"mesh"`
}

func layDown(ctx context.Context, n *client.Client, o distributeFlags) (api.Profiles, error) {
	known, err := shelvesOf(ctx, session{Client: n}, o.dir)
	if err != nil {
		return api.Profiles{}, err
	}
	base := profile.Standard()
	if o.profile != "" {
		if base, err = known.find(o.profile); err != nil {
			return api.Profiles{}, usage{err}
		}
	}
	p, err := o.over(base)
	if err != nil {
		return api.Profiles{}, err
	}
	text, err := textOf(p)
	if err != nil {
		return api.Profiles{}, err
	}
	return n.Distribute(ctx, api.DistributeRequest{Text: text})
}

func (a *app) printDistribution(m *api.MeshProfile) error {
	if m == nil {
		return a.print("nobody has said how builds of the mesh are distributed: they use the profile %s\n", profile.StandardName)
	}
	p, err := profile.Parse("the mesh's profile", m.Profile)
	if err != nil {
		return err
	}
	by := m.ByName
	if by == "" {
		by = names{}.of(m.By)
	}
	return a.print("%sset by %s, %s (%s)\n", yamlOf(p), by, humanize.Time(m.At), m.At.Local().Format(time.DateTime))
}

// policyText says how a build used the mesh, where that is worth a line.
func policyText(name, from string, changes []string) string {
	standard := name == profile.StandardName && from == string(profile.FromStandard)
	if standard && len(changes) == 0 {
		return ""
	}
	text := fmt.Sprintf("profile %s by %s", name, whoChose(profile.From(from)))
	if len(changes) > 0 {
		text += ": " + joined(changes)
	}
	return text
}
