//go:build !linux && !darwin

package api

import "net"

// callerUID does not know: the socket's own permissions must do.
func callerUID(net.Conn) int { return UnknownUID }
