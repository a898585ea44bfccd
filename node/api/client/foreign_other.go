//go:build !unix

package client

// Foreign reports whether the node belongs to another user. Without the users
// of Unix a socket is its owner's alone.
func (*Client) Foreign() bool { return false }
