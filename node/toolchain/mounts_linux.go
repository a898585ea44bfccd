package toolchain

import (
	"errors"
	"io"
	"os"
	"sync"
)

// table is the mount table of this process.
var table mountTable

// mountTable is looked at twice an action, so that its file stays open and is
// read in one piece. To poll it, as proc(5) suggests, tells of a change a moment
// too late.
type mountTable struct {
	mu     sync.Mutex
	file   *os.File // of /proc/self/mountinfo; nil before the first look
	buffer []byte
	text   string // as it was last
}

// mounts returns what is mounted on files and directories of toolchains. What
// sandboxes and containers mount for themselves is not seen here.
func mounts() string {
	table.mu.Lock()
	defer table.mu.Unlock()
	content, err := table.read()
	if err != nil {
		return ""
	}
	if table.text != string(content) {
		table.text = string(content)
	}
	return table.text
}

// read returns what the file says; it is valid until the next call.
func (t *mountTable) read() ([]byte, error) {
	if t.file == nil {
		f, err := os.Open("/proc/self/mountinfo")
		if err != nil {
			return nil, err
		}
		t.file, t.buffer = f, make([]byte, 64<<10)
	}
	for n := 0; ; {
		m, err := t.file.ReadAt(t.buffer[n:], int64(n))
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return t.buffer[:n], nil
		case err != nil:
			return nil, err
		}
		t.buffer = append(t.buffer, make([]byte, len(t.buffer))...)
	}
}
