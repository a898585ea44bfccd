//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects to a TCP HOST:PORT as the host has it, loopback addresses of its own
// among them. The connection is this process's, and counts as nothing of the host.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		// Never unlocked: the thread, which is in the host from now on, ends with
		// the goroutine. An address without a name is dialled by the same one.
		runtime.LockOSThread()
		if err := h.enterNetwork(); err != nil {
			answers <- answer{err: fmt.Errorf("host %s: %w", h.Name, err)}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		answers <- answer{conn, err}
	}()
	a := <-answers
	return a.conn, a.err
}

// enterNetwork brings the thread into the host's network.
func (h *Host) enterNetwork() error {
	ns, err := os.Open(h.lab.netns(h.Name))
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
}
