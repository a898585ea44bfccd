package apitest

import (
	"context"

	"github.com/buildnet/buildnet/node/api"
)

// DeadLetters implements api.Node.
func (n *Node) DeadLetters(context.Context, int) ([]api.DeadLetter, error) { return n.Letters, n.Err }
