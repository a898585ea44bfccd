package router

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// tunDevice is where Linux makes devices that a process reads and writes.
const tunDevice = "/dev/net/tun"

// OpenTUN makes a TUN device of that name in the network namespace that the
// file netns stands for. It is gone when it is closed, and when this process
// ends.
func OpenTUN(netns, name string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened)
	go func() {
		// The thread stays in the namespace: without an unlock, it ends with
		// the goroutine.
		runtime.LockOSThread()
		f, err := openTUN(netns, name)
		done <- opened{f, err}
	}()
	o := <-done
	if o.err != nil {
		return nil, fmt.Errorf("make TUN device %s in %s: %w", name, netns, o.err)
	}
	return o.file, nil
}

func openTUN(netns, name string) (*os.File, error) {
	ns, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the namespace: %w", err)
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tunDevice, err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("name the device: %w", err)
	}
	return os.NewFile(uintptr(fd), tunDevice), nil
}
