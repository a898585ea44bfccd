package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/net/netutil"

	"github.com/buildnet/buildnet/node/config"
)

const (
	// maxTCPConns bounds the connections on the TCP port, where anybody on the
	// machine may come.
	maxTCPConns = 64
	// maxSocketPath is what sun_path holds on Linux, less the final NUL.
	maxSocketPath = 107
)

// ListenOptions may not be zero: Home is needed.
type ListenOptions struct {
	// Home is where the socket lies. The caller holds the home's lock, so that
	// a socket found there is of a node that was killed.
	Home string
	// TCP is HOST:PORT, whose port may be 0; empty is no TCP at all.
	TCP string
}

// Listener is what a Server serves on.
type Listener struct {
	path string
	unix net.Listener
	tcp  net.Listener // nil when there is none
}

// Listen binds the socket and the port. From then on clients wait rather than
// find no node.
func Listen(ctx context.Context, o ListenOptions) (*Listener, error) {
	l := &Listener{path: filepath.Join(o.Home, config.SocketName)}
	var err error
	if o.TCP != "" {
		tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", o.TCP)
		if err != nil {
			return nil, fmt.Errorf("listen for HTTP: %w; choose another with --api HOST:PORT", err)
		}
		l.tcp = netutil.LimitListener(tcp, maxTCPConns)
	}
	if l.unix, err = l.bind(ctx, access(o.Home)); err != nil {
		if l.tcp != nil {
			_ = l.tcp.Close()
		}
		return nil, err
	}
	return l, nil
}

// permission is who may use the socket.
type permission struct {
	mode os.FileMode
	gid  int // -1 leaves it
}

// access lets the group into the shared home, and the owner alone into others.
func access(home string) permission {
	if filepath.Clean(home) != config.SystemHome {
		return permission{mode: 0o600, gid: -1}
	}
	g, err := user.LookupGroup(config.SystemGroup)
	if err != nil {
		return permission{mode: 0o600, gid: -1}
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return permission{mode: 0o600, gid: -1}
	}
	return permission{mode: 0o660, gid: gid}
}

// bind makes the socket under another name and renames it, so that it is never
// there with other permissions than its own, and replaces a dead node's.
func (l *Listener) bind(ctx context.Context, p permission) (net.Listener, error) {
	temp := l.path + ".new"
	if len(temp) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path has more than %d bytes; choose a shorter --home", l.path, maxSocketPath-len(".new"))
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", l.path, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", temp)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", l.path, err)
	}
	unix, ok := listener.(*net.UnixListener)
	if !ok {
		panic(fmt.Sprintf("api: a listener on a socket is a %T", listener))
	}
	unix.SetUnlinkOnClose(false)
	if err = p.apply(temp); err == nil {
		err = os.Rename(temp, l.path)
	}
	if err != nil {
		_ = unix.Close()
		_ = os.Remove(temp)
		return nil, fmt.Errorf("listen on %s: %w", l.path, err)
	}
	return newCrowd(unix), nil
}

func (p permission) apply(socket string) error {
	if p.gid >= 0 {
		home := filepath.Dir(socket)
		// The group may pass through the home to the socket, and list nothing.
		if err := errors.Join(os.Chown(socket, -1, p.gid), os.Chown(home, -1, p.gid), os.Chmod(home, 0o710)); err != nil {
			return err
		}
	}
	return os.Chmod(socket, p.mode)
}

// TCPAddr returns HOST:PORT of the TCP port, or "" when there is none.
func (l *Listener) TCPAddr() string {
	if l.tcp == nil {
		return ""
	}
	return l.tcp.Addr().String()
}

// Close ends listening and removes the socket. It may be called twice.
func (l *Listener) Close() error {
	err := ignoreClosed(l.unix.Close())
	if err == nil {
		if rerr := os.Remove(l.path); !errors.Is(rerr, os.ErrNotExist) {
			err = rerr
		}
	}
	if l.tcp != nil {
		err = errors.Join(err, ignoreClosed(l.tcp.Close()))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
