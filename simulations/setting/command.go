package setting

import (
	"fmt"
	"time"
)

// Command is what the user of a machine runs there outside of builds.
type Command struct {
	Node int
	At   time.Duration // when it asks for a slot
	For  time.Duration // how long it has one
	// Patience is how long it waits for one; 0 is for good.
	Patience time.Duration
}

func (c *Command) validate(nodes int) error {
	if c.Node < 0 || c.Node >= nodes || c.At < 0 || c.For < 0 || c.Patience < 0 {
		return fmt.Errorf("%+v; it is run on one of %d nodes, and nothing is negative", *c, nodes)
	}
	return nil
}
