//go:build lab && linux

package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// group is where mDNS speaks.
var group = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

// TestInsideHost is what TestHostsHearEachOthersMulticast runs in a host: it
// says its name to the group until it has heard LAB_HOSTS names.
func TestInsideHost(t *testing.T) {
	if os.Getenv("LAB_HOSTS") == "" {
		return // not in a host: another test starts it there
	}
	eth, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenMulticastUDP("udp4", eth, group)
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.DialUDP("udp4", nil, group)
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	heard := map[string]bool{}
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		if _, err := out.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
		_ = in.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for b := make([]byte, 64); ; {
			n, _, err := in.ReadFromUDP(b)
			if err != nil {
				break
			}
			heard[string(b[:n])] = true
		}
		if fmt.Sprint(len(heard)) == os.Getenv("LAB_HOSTS") && time.Since(start) > 3*time.Second {
			return
		}
	}
	t.Fatalf("heard %v of %s hosts", heard, os.Getenv("LAB_HOSTS"))
}

func TestHostsHearEachOthersMulticast(t *testing.T) {
	l := New(t)
	const n = 5
	var all []*Process
	for range n {
		all = append(all, l.Host(0.5).Spawn("env", fmt.Sprint("LAB_HOSTS=", n), os.Args[0], "-test.run=^TestInsideHost$"))
	}
	for i, p := range all {
		if status := p.Wait(); status != 0 {
			t.Errorf("host %d: exit status %d: %s", i+1, status, p.Output())
		}
	}
}

func TestHostHasItsOwnNameQuotaAndMounts(t *testing.T) {
	NeedQuota(t)
	l := New(t)
	h, other := l.Host(0.5), l.Host(0.5)
	mine := filepath.Join(h.Dir, "hostname")
	if err := os.WriteFile(mine, []byte("bound\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.Bind(mine, "/etc/hostname")
	script := "hostname; cat /etc/hostname /proc/self/cgroup"
	got, err := h.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if !strings.HasPrefix(string(got), h.Name+"\nbound\n") || !strings.Contains(string(got), l.name+"/"+h.Name) {
		t.Errorf("in the host: %s", got)
	}
	got, err = other.Command("cat", "/etc/hostname").CombinedOutput()
	if err != nil || string(got) == "bound\n" {
		t.Errorf("the other host sees the bound file: %v %s", err, got)
	}
	// Half a core's time is what a busy host gets, whatever the machine has.
	busy := "exec timeout 2 sh -c 'while :; do :; done'"
	p := h.Spawn("sh", "-c", busy)
	p.Wait()
	used := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if used > 1500*time.Millisecond {
		t.Errorf("a host of half a core used %v of CPU in 2 s", used)
	}
}

func TestCutHostIsAloneAndKilledOneEmpty(t *testing.T) {
	l := New(t)
	a, b := l.Host(0.5), l.Host(0.5)
	server := b.Spawn("sh", "-c", "sleep 600 & exec sleep 600")
	reach := func() bool {
		return a.Command("timeout", "2", "bash", "-c", "echo >/dev/tcp/"+b.Addr+"/9 2>&1 | true; exec 3<>/dev/udp/"+b.Addr+"/9 && ip neigh flush all && echo x >&3; for i in 1 2 3 4 5 6 7 8; do ip neigh show "+b.Addr+" | grep -q lladdr && exit 0; sleep 0.2; done; exit 1").Run() == nil
	}
	if !reach() {
		t.Error("the hosts do not reach one another")
	}
	b.Cut()
	if reach() {
		t.Error("a host that was cut off is reached")
	}
	b.Heal()
	if !reach() {
		t.Error("a healed host is not reached")
	}
	if got := b.Processes(); len(got) < 2 {
		t.Errorf("processes: %v", got)
	}
	b.Kill()
	server.Wait()
	if got := b.Processes(); len(got) != 0 {
		t.Errorf("processes after Kill: %v", got)
	}
}

func TestNothingOfALabIsLeft(t *testing.T) {
	var gone *Lab
	t.Run("lab", func(t *testing.T) {
		gone = New(t)
		gone.Host(0.5).Spawn("sleep", "600")
	})
	if gone == nil {
		t.Skip(rights.refused)
	}
	for _, path := range []string{gone.cgroup, gone.dir} {
		if _, err := os.Stat(path); path != "" && err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), gone.name+"/") {
		t.Errorf("namespaces are left: %s", mounts)
	}
}
