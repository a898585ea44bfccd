package cli

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// pollTime is how long one wait for a process lasts before ctx is looked at.
const pollTime = 100 * time.Millisecond

// waitForEnd waits until no process has this ID. A pidfd tells of one that has
// ended and whose parent has not asked for its status, too.
func waitForEnd(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(pollTime.Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
