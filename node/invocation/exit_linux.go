package invocation

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapTime bounds how long it may take a parent to hear that its process has ended:
// the kernel tells others how that was only then.
const reapTime = time.Second

// process is one of another program's; how it ended can be asked for when it is gone.
type process struct {
	fd int // -1 where it is not known
}

func watch(pid int) *process {
	if pid <= 0 {
		return &process{-1}
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return &process{-1}
	}
	return &process{fd}
}

// close is the last that is asked of it.
func (p *process) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // nothing was written
	}
}

// ended waits for its end, and returns its exit status, -1 if it did not exit.
// Kernels before 6.15 do not know.
func (p *process) ended() (status int, known bool) {
	if p.fd < 0 {
		return 0, false
	}
	if status, known = p.status(); known {
		return status, true
	}
	// No event is asked for: that a process has ended is one, and POLLHUP, which comes
	// in any case, is when its parent has heard of it.
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd)}}, int(reapTime.Milliseconds())) //nolint:gosec // a descriptor
		if !errors.Is(err, unix.EINTR) {
			return p.status()
		}
	}
}

func (p *process) status() (status int, known bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(p.fd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return syscall.WaitStatus(info.Exit_code).ExitStatus(), true //nolint:gosec // bits, as of wait(2)
}
