package cli

import (
	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
)

func (a *app) meshCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "mesh COMMAND",
		Short: "say who belongs to the mesh",
		Long: "The mesh is the nodes that share one secret: they build for each other and read\n" +
			"each other's caches. `buildnet node ls` lists them.",
		Example: "  buildnet mesh invite",
	}, exits(exitOK, exitUsage))
	c.AddCommand(a.meshInviteCommand(), a.meshLeaveCommand(), a.meshRevokeCommand())
	return c
}

func (a *app) meshInviteCommand() *cobra.Command {
	var lan bool
	c := &cobra.Command{
		Use:   "invite [--lan]",
		Short: "print a token with which another machine joins",
		Long: "Prints a token, alone, on stdout: give it to `buildnet node up --join` on another\n" +
			"machine. It holds the secret of the mesh: hand it on as you would a password.",
		Example:               "  buildnet mesh invite | ssh other 'buildnet node up --detach --join \"$(cat)\"'",
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{"exit": exits(exitOK, exitUsage, exitUnreachable)},
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := a.running(c.Context())
			if err != nil {
				return err
			}
			reach := api.Everywhere
			if lan {
				reach = api.LAN
			}
			inv, err := n.Invite(c.Context(), api.InviteRequest{Reach: reach})
			if err != nil {
				return err
			}
			return a.print("%s\n", inv.Token)
		},
	}
	c.Flags().BoolVar(&lan, "lan", false, "leave addresses out: members on the same LAN are found by mDNS")
	return c
}

func (a *app) meshLeaveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "leave",
		Short: "take this machine out of the mesh for good",
		Long: "Tells the mesh that this machine leaves, and forgets the secret; the node goes on\n" +
			"alone, with its cache. To come back it needs a token of `buildnet mesh invite`.\n" +
			"`buildnet node down` ends the node without leaving.",
		Example:               "  buildnet mesh leave",
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{"exit": exits(exitOK, exitFailed, exitUsage, exitUnreachable)},
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := a.running(c.Context())
			if err != nil {
				return err
			}
			left, err := n.Leave(c.Context())
			if err != nil {
				return err
			}
			a.say("left mesh %s", left.Mesh)
			return nil
		},
	}
}

func (a *app) meshRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke PEER",
		Short: "shut a machine out of the mesh for good",
		Long: "Shuts a peer out: no member speaks to it again. PEER is a peer ID of\n" +
			"`buildnet node ls`, the end of one, or a host name that only one member has. Who\n" +
			"held the secret still knows it: where that matters, make a new mesh.",
		Example:               "  buildnet mesh revoke old-laptop",
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		Annotations:           map[string]string{"exit": exits(exitOK, exitFailed, exitUsage, exitUnreachable)},
		RunE: func(c *cobra.Command, args []string) error {
			n, err := a.running(c.Context())
			if err != nil {
				return err
			}
			gone, err := n.Revoke(c.Context(), api.RevokeRequest{Peer: args[0]})
			if err != nil {
				return err
			}
			a.say("revoked %s (%s)", gone.Peer, orNone(gone.Name))
			return nil
		},
	}
}
