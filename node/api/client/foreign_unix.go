//go:build unix

package client

import (
	"os"
	"syscall"
)

// Foreign reports whether the node belongs to another user, who then touches no
// file of ours: see OfferTree.
func (c *Client) Foreign() bool {
	info, err := os.Stat(c.socket)
	if err != nil {
		return false // the next request tells what is wrong
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Getuid()
}
