//go:build unix

package reapi

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// ahead reads from a socket, and what it reads ahead of its user it keeps: there is a
// buffer only while something is in it, so that who is silent has none.
type ahead struct {
	raw  syscall.RawConn
	fill func(fd uintptr) bool

	// of who reads
	buffer   *[readBytes]byte
	from, to int
	failed   error
}

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// readAhead returns how a connection is read. One that is no socket, as that of TLS,
// has buffers of its own.
func readAhead(on net.Conn) io.Reader {
	socket, ok := on.(syscall.Conn)
	if !ok {
		return on
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return on
	}
	a := &ahead{raw: raw}
	a.fill = a.try
	return a
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	if a.buffer == nil {
		if err := a.raw.Read(a.fill); err != nil {
			return 0, err //nolint:wrapcheck // as net.Conn does
		}
		if a.buffer == nil {
			return 0, a.failed
		}
	}
	n := copy(p, a.buffer[a.from:a.to])
	if a.from += n; a.from == a.to {
		readBuffers.Put(a.buffer)
		a.buffer = nil
	}
	return n, nil
}

// try reads what has come; it is false if nothing has.
func (a *ahead) try(fd uintptr) bool {
	b := readBuffers.Get().(*[readBytes]byte)
	for {
		n, err := syscall.Read(int(fd), b[:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil && n > 0:
			a.buffer, a.from, a.to = b, 0, n
			return true
		}
		readBuffers.Put(b)
		if a.failed = err; err == nil {
			a.failed = io.EOF
		}
		return !errors.Is(err, syscall.EAGAIN)
	}
}
