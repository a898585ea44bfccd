package remote

import (
	"context"

	"github.com/buildnet/buildnet/node/compile"
)

// Listing returns the commands that a command which lists what its sources would
// read comes to, each of so many of its sources: together they print what it prints.
// It returns none for any other command.
func (d *Desk) Listing(ctx context.Context, r Request, sources int) ([][]string, error) {
	commands, err := r.commands()
	if err != nil || len(commands) != 1 {
		return nil, err
	}
	family, err := d.family(ctx, &r, commands[0][0])
	if err != nil {
		return nil, err
	}
	c, err := compile.Read(commands[0], compile.Setting{Getenv: r.Getenv, Response: readResponse(r.Dir), Family: family})
	if err != nil {
		return nil, err
	}
	if c.Listing(); !c.Lists || !c.Remote() {
		return nil, nil
	}
	return c.Parts(sources), nil
}
