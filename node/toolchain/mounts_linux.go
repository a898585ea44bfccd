package toolchain

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// table is the mount table of this process.
var table = mountTable{file: -1}

// mountTable is looked at twice an action, so that its file stays open and is
// read only when it has changed.
//
// The kernel counts the changes of a table, and poll tells whether there were any
// since it told last (proc(5)). It counts them while it holds the lock of mounts,
// but a moment after what is mounted can be seen: poll alone is too early. To
// read a byte of the table waits for that lock. What could be seen before a look
// began is counted when it polls.
type mountTable struct {
	mu     sync.Mutex
	file   int // of /proc/self/mountinfo; negative before the first look
	buffer []byte
	text   string // as it was last; empty if it is to be read
	// reads counts how often it was read: between two looks of the same count nothing was
	// mounted, not even for a time.
	reads uint64
}

// mounts returns what is mounted on files and directories of toolchains. What
// sandboxes and containers mount for themselves is not seen here.
func mounts() string {
	text, _ := mountsRead()
	return text
}

// mountsRead is mounts, with how often it was read.
func mountsRead() (text string, reads uint64) {
	table.mu.Lock()
	defer table.mu.Unlock()
	if err := table.look(); err != nil {
		table.text = ""
	}
	return table.text, table.reads
}

// look brings the text up to date.
func (t *mountTable) look() error {
	if t.file < 0 {
		fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the mount table: %w", err)
		}
		t.file, t.buffer = fd, make([]byte, 64<<10)
	}
	changed, err := t.changed()
	if err != nil || !changed && t.text != "" {
		return err
	}
	t.reads++
	content, err := t.read()
	if err != nil {
		return err
	}
	t.text = string(content)
	return nil
}

// changed reports whether the table may have changed since it was asked last.
func (t *mountTable) changed() (bool, error) {
	if _, err := t.readAt(t.buffer[:1], 0); err != nil {
		return false, err
	}
	asked := []unix.PollFd{{Fd: int32(t.file), Events: unix.POLLPRI}}
	for {
		_, err := unix.Poll(asked, 0)
		switch {
		case err == nil:
			return asked[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0, nil
		case err != unix.EINTR:
			return false, fmt.Errorf("poll the mount table: %w", err)
		}
	}
}

// read returns what the file says; it is valid until the next call.
func (t *mountTable) read() ([]byte, error) {
	for n := 0; ; {
		m, err := t.readAt(t.buffer[n:], int64(n))
		if err != nil || m == 0 {
			return t.buffer[:n], err
		}
		if n += m; n == len(t.buffer) {
			t.buffer = append(t.buffer, make([]byte, len(t.buffer))...)
		}
	}
}

func (t *mountTable) readAt(b []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(t.file, b, at)
		switch {
		case err == nil:
			return n, nil
		case err != unix.EINTR:
			return 0, fmt.Errorf("read the mount table: %w", err)
		}
	}
}
