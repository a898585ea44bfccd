package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
)

func (a *app) meshCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "mesh COMMAND",
		Short: "say who belongs to the mesh",
		Long: "The mesh is the nodes that share one secret: they build for each other and read\n" +
			"each other's caches. `buildnet node ls` lists them.",
		Example: "  buildnet mesh invite",
	})
	c.AddCommand(a.meshInviteCommand(), a.meshLeaveCommand(), a.meshRevokeCommand())
	return c
}

func (a *app) meshInviteCommand() *cobra.Command {
	var (
		as  format
		lan bool
	)
	c := leaf(&cobra.Command{
		Use:   "invite [--lan] [--json]",
		Short: "print a token with which another machine joins",
		Long: "Prints a token, alone, on stdout: give it to `buildnet node up --join` on another\n" +
			"machine. It holds the secret of the mesh: hand it on as you would a password.",
		Example: "  buildnet mesh invite | ssh other 'buildnet node up --detach --join \"$(cat)\"'",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			reach := api.Everywhere
			if lan {
				reach = api.LAN
			}
			return askNode(c.Context(), a, as, question[api.Invitation]{
				func(ctx context.Context, n *client.Client) (api.Invitation, error) {
					return n.Invite(ctx, api.InviteRequest{Reach: reach})
				},
				func(inv api.Invitation) error { return a.print("%s\n", inv.Token) },
			})
		},
	}, asksNode...)
	c.Flags().BoolVar(&lan, "lan", false, "leave addresses out: members on the same LAN are found by mDNS")
	as.flag(c, "print one JSON object")
	return c
}

func (a *app) meshLeaveCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "leave [--json]",
		Short: "take this machine out of the mesh for good",
		Long: "Tells the mesh that this machine leaves, and forgets the secret; the node goes on\n" +
			"alone, with its cache, as soon as its builds have ended. To come back it needs a\n" +
			"token of `buildnet mesh invite`. `buildnet node down` ends the node without leaving.",
		Example: "  buildnet mesh leave",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			return askNode(c.Context(), a, as, question[api.Left]{
				leaveMesh,
				func(left api.Left) error { a.say("left mesh %s", left.Mesh); return nil },
			})
		},
	}, asksNode...)
	as.flag(c, "print one JSON object")
	return c
}

// leaveMesh has the node leave, and waits until it answers again: it begins anew
// without the mesh.
func leaveMesh(ctx context.Context, n *client.Client) (api.Left, error) {
	st, err := n.Status(ctx)
	if err != nil {
		return api.Left{}, err
	}
	since := time.Now()
	left, err := n.Leave(ctx)
	if err != nil || st.Ephemeral {
		return left, err
	}
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if st, err := n.Status(ctx); err == nil && st.UptimeS < time.Since(since).Seconds() {
			return left, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return left, fmt.Errorf("the node has left mesh %s and is not back: %w; see %s in %s", left.Mesh, ctx.Err(), logName, st.Home)
		}
	}
}

func (a *app) meshRevokeCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "revoke PEER [--json]",
		Short: "shut a machine out of the mesh for good",
		Long: "Shuts a peer out: no member speaks to it again. PEER is a peer ID of\n" +
			"`buildnet node ls`, the end of one, or a host name that only one member has. Who\n" +
			"held the secret still knows it: where that matters, make a new mesh.",
		Example: "  buildnet mesh revoke old-laptop",
		Args:    takes("PEER"),
		RunE: func(c *cobra.Command, args []string) error {
			return askNode(c.Context(), a, as, question[api.Revoked]{
				func(ctx context.Context, n *client.Client) (api.Revoked, error) {
					return n.Revoke(ctx, api.RevokeRequest{Peer: args[0]})
				},
				func(gone api.Revoked) error { a.say("revoked %s (%s)", gone.Peer, orNone(gone.Name)); return nil },
			})
		},
	}, asksNode...)
	as.flag(c, "print one JSON object")
	return c
}
