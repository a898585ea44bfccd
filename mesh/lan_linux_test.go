package mesh

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/buildnet/buildnet/mesh/peer"
	"golang.org/x/sys/unix"
)

// lanEnv says that the test binary runs in a network namespace of its own.
const lanEnv = "MESH_TEST_LAN"

// onLAN runs the calling test in a network that is this process alone: its
// loopback interface multicasts and has an address that is none of loopback.
// It returns true inside.
func onLAN(t *testing.T) bool {
	t.Helper()
	if os.Getenv(lanEnv) != "" {
		if err := multicastLoopback(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), lanEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no network namespace can be had here: %v", err)
	}
	if err != nil {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

const lanAddr = "10.9.8.7"

func multicastLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	flags, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	flags.SetUint16(unix.IFF_UP | unix.IFF_MULTICAST | unix.IFF_LOOPBACK | unix.IFF_RUNNING)
	if err := ioctl(fd, unix.SIOCSIFFLAGS, flags); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	alias, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := alias.SetInet4Addr(net.ParseIP(lanAddr).To4()); err != nil {
		return err
	}
	if err := ioctl(fd, unix.SIOCSIFADDR, alias); err != nil {
		return fmt.Errorf("address of lo: %w", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, r *unix.Ifreq) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(r)))
	if errno != 0 {
		return errno
	}
	return nil
}

// forgetPeers leaves a node that was killed nothing but the LAN.
func forgetPeers(t *testing.T, n *node) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(n.opts.Home, peersFile)); err != nil {
		t.Fatal(err)
	}
}

func lanHome(t *testing.T, c Credentials) Options {
	o := home(t, c)
	o.Listen = netip.MustParseAddrPort("0.0.0.0:0")
	return o
}

func TestMembersFindEachOtherOnTheLAN(t *testing.T) {
	t.Parallel()
	if !onLAN(t) {
		return
	}
	c := NewCredentials("test")
	stranger := up(t, lanHome(t, NewCredentials("test")))
	// Both start alone at the same time.
	a, b := run(t, lanHome(t, c)), run(t, lanHome(t, c))
	for _, n := range []*node{a, b} {
		select {
		case <-n.Ready():
		case err := <-n.ended:
			n.ended <- err
			t.Fatal(err)
		}
	}
	began := time.Now()
	a.sees(b.Self(), peer.Alive)
	b.sees(a.Self(), peer.Alive)
	t.Logf("two that started at once met %s after ready", time.Since(began))

	began = time.Now()
	late := up(t, lanHome(t, c))
	if len(late.Members()) < 2 {
		t.Error("a late-comer was ready alone")
	}
	t.Logf("a late-comer was ready in %s", time.Since(began))
	a.sees(late.Self(), peer.Alive)
	b.sees(late.Self(), peer.Alive)
	if got := a.until("an address of the LAN", late.Self(), func(m peer.Member) bool { return m.RTT > 0 }); got.Addr.Addr().String() != lanAddr {
		t.Errorf("a late-comer is at %s", got.Addr)
	}

	late.kill()
	forgetPeers(t, late)
	began = time.Now()
	late = late.again()
	a.until("the restarted one", late.Self(), func(m peer.Member) bool { return m.State == peer.Alive && m.Addr.Port() == late.Addr().Port() })
	t.Logf("a restarted one without a known address was back in %s", time.Since(began))

	copied := run(t, late.opts)
	err := <-copied.ended
	copied.ended <- err
	if !errors.Is(err, ErrCopied) {
		t.Errorf("a copied home: %v, want ErrCopied", err)
	}
	if len(stranger.Members()) != 1 || len(a.Members()) != 3 {
		t.Errorf("the stranger sees %d, the members %d", len(stranger.Members()), len(a.Members()))
	}
}

func TestASleeperAsksWithItsFormerTag(t *testing.T) {
	t.Parallel()
	if !onLAN(t) {
		return
	}
	c := NewCredentials("test")
	a := up(t, lanHome(t, c))
	b, bad := up(t, lanHome(t, c)), up(t, lanHome(t, c))
	a.sees(b.Self(), peer.Alive)
	a.sees(bad.Self(), peer.Alive)
	b.kill()
	if err := a.Revoke(t.Context(), bad.Self()); err != nil {
		t.Fatal(err)
	}
	bad.kill()
	forgetPeers(t, b)
	b = b.again()
	a.sees(b.Self(), peer.Alive)
	b.agreesWith(a)
}
