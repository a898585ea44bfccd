package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/config"
)

func (a *app) cacheCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "cache COMMAND",
		Short: "look at this machine's cache, check it, empty it",
		Long: "The cache is the store of this machine's node: results of steps, and the bytes of\n" +
			"inputs and outputs. Other members read it too. It is bounded, and what was used\n" +
			"longest ago goes first, large blobs and those of which others have a copy sooner,\n" +
			"so that it needs no care.",
		Example: "  buildnet cache stats",
	})
	c.AddCommand(
		a.cacheVerb("stats", "show what the cache holds",
			"Shows how much the cache holds and how well it served since the node started.\n`buildnet cache verify` checks that it is sound.", a.cacheStats),
		a.cacheVerb("verify", "read everything in the cache and drop what is damaged",
			"Reads and hashes every blob of the cache, and drops those that are damaged: builds\nmake them again. It finds what a failing disk did; `buildnet cache stats` is enough\notherwise.", a.cacheVerify),
		a.cacheVerb("clear", "empty the cache",
			"Empties the cache, but for what running builds need, and what clients and members\nwere promised for a while. Nothing is lost but time: the next builds execute, or\nfetch from other members, what they need.", a.cacheClear),
	)
	return c
}

// cacheVerb makes one of the commands, which differ in what they ask.
func (a *app) cacheVerb(name, short, long string, run func(context.Context, session, format) error) *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:     name + " [--json]",
		Short:   short,
		Long:    long,
		Example: "  buildnet cache " + name,
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.inSession(c.Context(), func(ctx context.Context, s session) error { return run(ctx, s, as) })
		},
	}, asksNode...)
	as.flag(c, "print one JSON object")
	return c
}

// inSession runs f with a node, which is this process' own where none runs.
func (a *app) inSession(ctx context.Context, f func(context.Context, session) error) (err error) {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(a, nothing)) }()
	return f(ctx, s)
}

func (a *app) cacheStats(ctx context.Context, s session, f format) error {
	st, err := s.CacheStats(ctx)
	if err != nil {
		return err
	}
	if f == asLine {
		return a.printJSON(st)
	}
	return a.print("%d blobs, %s of %s; %d results; %d blobs are in use and stay, %s are promised for a while\n%d reads found their blob and %d did not; %d blobs made room for others, %d were unused for too long, %d were damaged\n",
		st.Blobs, bytesText(st.Bytes), bytesText(st.MaxBytes), st.Actions, st.Leased, bytesText(st.Promised), st.Hits, st.Misses, st.Evicted, st.Aged, st.Corrupt)
}

func (a *app) cacheVerify(ctx context.Context, s session, f format) error {
	v, err := s.VerifyCache(ctx)
	if err != nil {
		return err
	}
	if f == asLine {
		if v.Corrupt == nil {
			v.Corrupt = []string{}
		}
		return a.printJSON(v)
	}
	for _, d := range v.Corrupt {
		if err := a.print("damaged and dropped: %s\n", d); err != nil {
			return err
		}
	}
	return a.print("%d blobs, %s, are sound; %d were damaged\n", v.Blobs, bytesText(v.Bytes), len(v.Corrupt))
}

func (a *app) cacheClear(ctx context.Context, s session, f format) error {
	c, err := s.ClearCache(ctx)
	if err != nil {
		return err
	}
	if f == asLine {
		return a.printJSON(c)
	}
	return a.print("freed %s and dropped %d results\n", bytesText(c.Bytes), c.Actions)
}

func (a *app) versionCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:     "version [--json]",
		Short:   "print the version",
		Long:    "Prints the version of this program. `buildnet node status` prints that of the node\nthat runs, which may be another one.",
		Example: "  buildnet version",
		Args:    takes(""),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{config.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if as == asLine {
				return a.printJSON(v)
			}
			return a.print("%s\n", fmt.Sprintf("buildnet %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch))
		},
	}, exitOK, exitUsage)
	as.flag(c, "print one JSON object")
	return c
}
