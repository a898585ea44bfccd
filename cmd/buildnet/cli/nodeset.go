package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
)

func (a *app) nodeSetCommand() *cobra.Command {
	var as format
	var share, yield string
	c := leaf(&cobra.Command{
		Use:   "set [--share PART] [--yield on|off] [--json]",
		Short: "say how much of this machine others may use",
		Long: "Sets what the builds of other members may use of this machine, at once and for\n" +
			"good: it is kept in node.yaml. Builds of your own are not bound by it. What runs\n" +
			"for others always counts little against what you run; with `--yield on` there are\n" +
			"fewer of their steps while you use the machine, and none on battery.\n" +
			"`buildnet node status` shows what others get just now, and why.",
		Example: "  buildnet node set --share 0.5 --yield on",
		Args:    takes(""),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := lendRequest(share, yield)
			if err != nil {
				return usage{err}
			}
			return askNode(c.Context(), a, as, question[api.Lent]{
				func(ctx context.Context, n *client.Client) (api.Lent, error) { return n.Lend(ctx, r) },
				func(lent api.Lent) error { return a.print("others may use %s (%s)\n", lent.Text, rulesText(lent)) },
			})
		},
	}, asksNode...)
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&share, "share", "", "others may use at most `PART` of this machine: 0.5 is half, 1 is all")
	f.StringVar(&yield, "yield", "", "`X` is on to give way to you at the machine, and on battery, or off")
	as.flag(c, "print one JSON object")
	return c
}

// lendRequest reads the flags of `node set`.
func lendRequest(share, yield string) (r api.LendRequest, err error) {
	if share == "" && yield == "" {
		return r, errors.New("say what to set: --share or --yield")
	}
	if share != "" {
		part, err := strconv.ParseFloat(share, 64)
		if err != nil || config.CheckShare(part) != nil {
			return r, fmt.Errorf("--share %s: want a part of this machine, more than 0 and at most 1", share)
		}
		r.Share = &part
	}
	switch on := config.Switch(yield); on {
	case config.Unset:
	case config.On, config.Off:
		yields := on == config.On
		r.Yield = &yields
	default:
		return r, fmt.Errorf("--yield %s: want on or off", yield)
	}
	return r, nil
}

func rulesText(l api.Lent) string {
	yield := config.Off
	if l.Yield {
		yield = config.On
	}
	return fmt.Sprintf("share %.4g, yield %s", l.Share, yield)
}
