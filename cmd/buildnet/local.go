package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/heap"
	"github.com/buildnet/buildnet/node/host"
)

// startNode is the cli.Starter of a real node.
func startNode(c cli.NodeConfig) (cli.Node, error) {
	heap.Floor(host.Memory())
	if c.Lifetime == cli.Ephemeral {
		// Nobody looks for it there, and another node may have the port.
		c.API, c.REAPI = node.NoAPI, node.NoREAPI
	}
	n, err := node.New(node.Config{
		Home: c.Home, Listen: c.Listen, API: c.API, REAPI: c.REAPI, Mesh: c.Mesh, Join: c.Join, Slots: c.Slots,
		Ephemeral: c.Lifetime == cli.Ephemeral, Log: slog.New(slog.NewTextHandler(c.Log, nil)),
	})
	if err != nil {
		return nil, meaning(err)
	}
	return local{n}, nil
}

// local is a node whose errors say what the exit status is to be.
type local struct{ *node.Node }

// Run implements cli.Node.
func (l local) Run(ctx context.Context) error { return meaning(l.Node.Run(ctx)) }

// meaning maps the errors of a node to those of the command line.
func meaning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, node.ErrHomeInUse):
		return fmt.Errorf("%w: %w", cli.ErrHomeInUse, err)
	case errors.Is(err, node.ErrConfig):
		return cli.Misused(err)
	case errors.Is(err, mesh.ErrNoMember), errors.Is(err, mesh.ErrCopied):
		return cli.Unreachable(err)
	default:
		return err
	}
}
