package cli

import (
	"context"
	"errors"
	"io"

	"github.com/buildnet/buildnet/node/worktree"
)

// serveTree does the file operations that a node of another user asks for, in
// the project alone, until the stream ends. An interrupt does not end it: the
// node has to put away what it was writing.
func serveTree(ctx context.Context, stream io.ReadWriteCloser, root string) error {
	files, err := worktree.Local(root)
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	return errors.Join(worktree.Serve(context.WithoutCancel(ctx), stream, files), files.Close())
}
