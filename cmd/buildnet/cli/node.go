package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
)

func (a *app) nodeCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "node COMMAND",
		Short: "run this machine's node and look at it",
		Long: "The node is this machine's part in the mesh: it executes steps of any member's\n" +
			"builds and serves its cache. `buildnet mesh` is about who belongs to the mesh.",
		Example: "  buildnet node up --detach",
	})
	c.AddCommand(a.nodeUpCommand(), a.nodeStatusCommand(), a.nodeSetCommand(), a.nodeLsCommand(), a.nodeDownCommand())
	return c
}

// ready is the one line of `node up`. Its field names are a contract.
type ready struct {
	Event  string  `json:"event"`
	Peer   string  `json:"peer"`
	Listen string  `json:"listen"`
	API    string  `json:"api"`
	REAPI  string  `json:"reapi"`
	Mesh   string  `json:"mesh"`
	Slots  int     `json:"slots"`
	BPU    float64 `json:"bpu"`
}

// joinEnv carries the token of --join where others could read a process'
// arguments.
const joinEnv = "BUILDNET_JOIN"

type upFlags struct {
	config NodeConfig
	detach bool
	json   bool
}

func (a *app) nodeUpCommand() *cobra.Command {
	var o upFlags
	c := leaf(&cobra.Command{
		Use:   "up [--listen HOST:PORT] [--api HOST:PORT] [--reapi HOST:PORT|off] [--mesh NAME] [--join TOKEN] [--slots N] [--detach] [--json]",
		Short: "run the node, and say when it is ready",
		Long: "Runs this machine's node until SIGTERM or `buildnet node down`, which let running\n" +
			"builds end. It prints one line once it can take work. The first node of a mesh\n" +
			"needs no flag; others `--join` it once, with a token of `buildnet mesh invite`,\n" +
			"and find it by themselves from then on.",
		Example: "  buildnet node up --join \"$(ssh other buildnet mesh invite)\"",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("slots") && o.config.Slots < 1 {
				return usage{fmt.Errorf("--slots %d: want a positive number, or none for what the machine has", o.config.Slots)}
			}
			homes, err := a.homes()
			if err != nil {
				return err
			}
			o.config.Home = homes[0]
			if o.config.Join == "" {
				o.config.Join = environment(a.sys.Environ)[joinEnv]
			}
			if o.detach {
				return a.detach(c.Context(), o)
			}
			return a.nodeUp(c.Context(), o)
		},
	}, asksNode...)
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.config.Listen, "listen", "", "UDP `HOST:PORT` of the mesh (default "+config.DefaultListen+")")
	f.StringVar(&o.config.API, "api", "", "TCP `HOST:PORT` of GET /health and GET /status (default "+config.DefaultAPI+")")
	f.StringVar(&o.config.REAPI, "reapi", "", "TCP `HOST:PORT` for clients of the Remote Execution API such as Bazel, or off (default "+config.DefaultREAPI+")")
	f.StringVar(&o.config.Mesh, "mesh", "", "`NAME` of the mesh that a first node makes")
	f.StringVar(&o.config.Join, "join", "", "`TOKEN` of the mesh to join; once is enough (default $"+joinEnv+", which other users cannot see)")
	f.IntVar(&o.config.Slots, "slots", 0, "run `N` steps at once (default: what the machine has)")
	f.BoolVar(&o.detach, "detach", false, "run in the background, with the log in node.log of the home; returns when it is ready")
	f.BoolVar(&o.json, "json", false, "print the ready line as JSON")
	return c
}

// nodeUp runs a node in this process.
func (a *app) nodeUp(ctx context.Context, o upFlags) error {
	if a.sys.Doze != nil {
		if err := a.sys.Doze(); err != nil {
			fmt.Fprintln(a.sys.Stderr, "buildnet: this node wakes up more often than it has to:", err)
		}
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	o.config.Log = a.sys.Stderr
	n, err := a.sys.Start(o.config)
	if err != nil {
		return a.inUse(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case err := <-done:
		return a.ended(ctx, err)
	case <-n.Ready():
	}
	st, err := client.New(o.config.Home).Status(ctx)
	if err == nil {
		err = a.printReady(st, o)
	}
	if err != nil && !wasSignalled(ctx) {
		end()
		return errors.Join(err, <-done)
	}
	return a.ended(ctx, <-done)
}

// ended says what it means that a node's Run returned.
func (a *app) ended(ctx context.Context, err error) error {
	if wasSignalled(ctx) && errors.Is(err, context.Canceled) {
		return nil
	}
	return a.inUse(err)
}

// inUse makes a home that somebody holds a mesh that cannot be reached.
func (a *app) inUse(err error) error {
	if errors.Is(err, ErrHomeInUse) {
		return unreachable{err}
	}
	return err
}

func (a *app) printReady(st api.Status, o upFlags) error {
	if st.Note != "" {
		a.say("%s", st.Note)
	}
	if st.IsolationMissing != "" {
		a.say("WARNING: isolation is %s: %s", st.Isolation, st.IsolationMissing)
	}
	r := ready{Event: "ready", Peer: st.Peer, Listen: st.Listen, API: st.API, REAPI: st.REAPI, Mesh: st.Mesh, Slots: st.Slots, BPU: st.BPU}
	if o.json {
		return a.printJSON(r)
	}
	return a.print("ready: peer %s, mesh %s on %s, HTTP on %s, %s of %.2f BPU\n",
		r.Peer, r.Mesh, r.Listen, orNone(r.API), plural(r.Slots, "slot"), r.BPU)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// print writes text for people on stdout.
func (a *app) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.sys.Stdout, format, args...); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func (a *app) nodeStatusCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "status [--json]",
		Short: "show how the node is",
		Long: "Shows how this machine's node is: addresses, strength, isolation, cache, and what\n" +
			"is wrong, if something is. `buildnet node ls` shows the other members.",
		Example: "  buildnet node status --json",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return askNode(c.Context(), a, as, question[api.Status]{
				func(ctx context.Context, n *client.Client) (api.Status, error) { return n.Status(ctx) }, a.printStatus,
			})
		},
	}, asksNode...)
	as.flag(c, "print one JSON object")
	return c
}

func (a *app) printStatus(st api.Status) error {
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("state", "%s for %s, process %d, version %s", st.State, (time.Duration(st.UptimeS) * time.Second).String(), st.PID, st.Version)
	line("peer", "%s (%s)", st.Peer, st.Name)
	line("home", "%s", st.Home)
	line("mesh", "%s, members alive: %d", orNone(st.Mesh), st.Members)
	line("listen", "%s, seen by members as %s", st.Listen, orNone(joined(st.Observed)))
	line("http", "%s", orNone(st.API))
	line("strength", "%.2f BPU on each of %.4g cores, %d slots, %s/%s", st.BPU, st.Cores, st.Slots, st.OS, st.Arch)
	line("isolation", "%s", st.Isolation)
	if st.IsolationMissing != "" {
		line("WARNING", "%s", st.IsolationMissing)
	}
	if st.Note != "" {
		line("WARNING", "%s", st.Note)
	}
	line("running", "%d builds, %d steps", st.Builds, st.Actions)
	line("for others", "%s (%s)", st.Lent.Text, rulesText(st.Lent))
	line("kept back by", "%s", st.Lent.Means)
	if st.Lent.Lacking != "" {
		line("", "%s", st.Lent.Lacking)
	}
	line("cache", "%d blobs, %s of %s, %d results", st.Cache.Blobs, bytesText(st.Cache.Bytes), bytesText(st.Cache.MaxBytes), st.Cache.Actions)
	line("toolchains", "%s", orNone(joined(st.Toolchains)))
	for _, name := range sortedKeys(st.Counters) {
		line(name, "%d", st.Counters[name])
	}
	return flush(w)
}

func flush(w *tabwriter.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func (a *app) nodeLsCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "ls [--json]",
		Short: "list the members of the mesh",
		Long: "Lists the members of the mesh as this machine's node sees them, itself included.\n" +
			"`buildnet node status` tells more of this one; `buildnet mesh invite` adds others.",
		Example: "  buildnet node ls",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return askNode(c.Context(), a, as, question[[]api.Member]{
				func(ctx context.Context, n *client.Client) ([]api.Member, error) {
					members, err := n.Members(ctx)
					return append([]api.Member{}, members...), err // an empty list is [] as JSON
				},
				a.printMembers,
			})
		},
	}, asksNode...)
	as.flag(c, "print one JSON array")
	return c
}

func (a *app) printMembers(members []api.Member) error {
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tPEER\tADDRESS\tSTATE\tBPU\tCORES\tPLATFORM\tRTT\tVERSION")
	for _, m := range members {
		rtt := fmt.Sprintf("%.1fms", m.RTTMS)
		if m.Self {
			rtt = "self"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%.4g\t%s/%s\t%s\t%s\n", m.Name, m.Peer, m.Addr, m.State, m.BPU, m.Cores, m.OS, m.Arch, rtt, m.Version)
	}
	return flush(w)
}

func (a *app) nodeDownCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "down [--json]",
		Short: "end the node",
		Long: "Ends this machine's node, as SIGTERM does: it takes no more work, lets running\n" +
			"builds end, and tells the mesh. Returns when the process has ended. The node stays\n" +
			"a member: `buildnet node up` brings it back, `buildnet mesh leave` is for good.",
		Example: "  buildnet node down",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return askNode(c.Context(), a, as, question[down]{endNode, func(d down) error {
				a.say("the node of %s has ended", d.home)
				return nil
			}})
		},
	}, asksNode...)
	as.flag(c, "print one JSON object")
	return c
}

// down is the answer of `node down`. Its field names are a contract.
type down struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	home  string
}

// endNode ends the node and waits for its process.
func endNode(ctx context.Context, n *client.Client) (down, error) {
	st, err := n.Status(ctx)
	if err != nil {
		return down{}, err
	}
	if err := n.Down(ctx); err != nil {
		return down{}, err
	}
	return down{"down", st.Peer, st.Home}, gone(ctx, st)
}
