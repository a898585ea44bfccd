//go:build !linux

package cli

import (
	"context"
	"os"
	"syscall"
	"time"
)

// waitForEnd waits until no process has this ID.
func waitForEnd(ctx context.Context, pid int) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		p, err := os.FindProcess(pid)
		if err != nil || p.Signal(syscall.Signal(0)) != nil {
			return nil //nolint:nilerr // the error is that there is no such process
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
