package main

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/config"
)

// The port of the HTTP API may belong to another user's node, or to no node at
// all: a build must not care.
func TestNodeOfABuildNeedsNoPort(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", config.DefaultAPI)
	if err == nil {
		defer l.Close()
	} // else somebody has it already
	n, err := startNode(cli.NodeConfig{Home: t.TempDir(), Lifetime: cli.Ephemeral, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case <-n.Ready():
		cancel()
		err = <-done
	case err = <-done:
		cancel()
	}
	if err != nil {
		t.Error(err)
	}
}
