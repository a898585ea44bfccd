//go:build lab && linux

// Package lab makes hosts on one machine, each a network namespace on a common
// bridge with its own host name, mounts and CPU quota, and runs the built
// binary on them: the acceptance scenarios of the project. Internet joins such
// LANs. It runs with `make lab`, as root, or as anybody in a user namespace,
// and then without quotas. Start reading at New.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// quotaPeriod is the period of a host's CPU quota in microseconds; short, so
// that a host at its quota pauses for milliseconds and not for a tenth of a
// second.
const quotaPeriod = 20_000

// hostWeight is as how many programs of the machine a host counts, where the
// machine is busy with other work than the lab's: it runs several.
const hostWeight = 2

// serial tells the labs of one test run apart.
var serial struct {
	mu sync.Mutex
	n  int
}

// Lab is a LAN: a bridge with hosts on it.
type Lab struct {
	t      testing.TB
	name   string
	dir    string
	subnet string
	cgroup string // of all hosts, in the hierarchy that has quotas; empty if none has
	v2     bool
	// accounting is the same in the hierarchy that counts what hosts use, where
	// that is another one.
	accounting string
	hosts      int
	// gateway is the way to other LANs; empty if there is none.
	gateway string
}

// New makes a LAN without hosts. It is gone when the test ends.
func New(t testing.TB) *Lab {
	t.Helper()
	if rights.refused != "" {
		t.Skip(rights.refused)
	}
	serial.mu.Lock()
	serial.n++
	n := serial.n
	serial.mu.Unlock()
	l := &Lab{t: t, name: labName(n), dir: dirOf(n), subnet: fmt.Sprintf("10.%d.%d", 100+rights.process%100, n)}
	if !rights.rootless {
		l.makeCgroup()
	}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		t.Fatalf("make a directory for the lab: %v", err)
	}
	t.Cleanup(func() { removeDir(l.dir) })
	l.addNamespace(lan)
	l.ip(lan, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	l.ip(lan, "link", "set", "br0", "up")
	l.ip(lan, "link", "set", "lo", "up")
	return l
}

// labName names a lab of this test run, by which its cgroup and its directory
// are known as this process's.
func labName(n int) string { return fmt.Sprintf("bn%d-%d", rights.process, n) }

func dirOf(n int) string { return filepath.Join(os.TempDir(), dirPrefix+labName(n)) }

// makeCgroup makes the cgroup of the hosts' cgroups.
func (l *Lab) makeCgroup() {
	l.t.Helper()
	l.cgroup, l.v2 = filepath.Join("/sys/fs/cgroup/cpu", l.name), false
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		l.cgroup, l.v2 = filepath.Join("/sys/fs/cgroup", l.name), true
	}
	removeStale(filepath.Dir(l.cgroup))
	if err := os.Mkdir(l.cgroup, 0o755); err != nil {
		l.t.Fatalf("make a cgroup for the lab: %v", err)
	}
	if l.v2 {
		l.write(filepath.Join(l.cgroup, "cgroup.subtree_control"), "+cpu")
	}
	l.t.Cleanup(func() { removeCgroup(l.cgroup) })
	if acct := "/sys/fs/cgroup/cpuacct"; !l.v2 && apart(acct, filepath.Dir(l.cgroup)) {
		l.accounting = filepath.Join(acct, l.name)
		removeStale(acct)
		if err := os.Mkdir(l.accounting, 0o755); err != nil {
			l.t.Fatalf("make a cgroup for the lab: %v", err)
		}
		l.t.Cleanup(func() { removeCgroup(l.accounting) })
	}
}

// lan is the namespace of the bridge, which is the gateway of a site too.
const lan = "lan"

// netns is the file that a network namespace of the lab is mounted on.
func (l *Lab) netns(name string) string { return filepath.Join(l.dir, name+".net") }

// addNamespace makes a network namespace until the lab is removed. Not `ip
// netns add`: that wants to return to the machine's own namespace, which takes
// root.
func (l *Lab) addNamespace(name string) {
	l.t.Helper()
	l.write(l.netns(name), "")
	if out, err := run("unshare", "--net="+l.netns(name), "true"); err != nil {
		l.t.Fatalf("make a network namespace for %s: %v: %s", name, err, out)
	}
}

// Host is one machine of the lab.
type Host struct {
	lab  *Lab
	t    testing.TB
	n    int
	Name string
	// Addr is its IPv4 address on the LAN.
	Addr string
	// Dir is a directory of its own, Home the node's home in it.
	Dir, Home string
	cgroup    string // empty without a quota
	lowered   []lowered
	// binds are files mounted over others: pairs of source and target.
	binds []string
}

// Host adds a machine with a quota of cpus cores, where there are quotas.
func (l *Lab) Host(cpus float64) *Host {
	l.t.Helper()
	l.hosts++
	n := l.hosts
	h := &Host{lab: l, t: l.t, n: n, Name: fmt.Sprintf("h%d", n), Addr: fmt.Sprintf("%s.%d", l.subnet, n)}
	h.Dir = filepath.Join(l.dir, h.Name)
	h.Home = filepath.Join(h.Dir, "home")
	if err := os.Mkdir(h.Dir, 0o755); err != nil {
		l.t.Fatalf("host %s: %v", h.Name, err)
	}
	if l.cgroup != "" {
		h.setQuota(cpus)
	}
	l.addNamespace(h.Name)
	l.t.Cleanup(h.Kill)
	port := h.port()
	l.ip(lan, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", l.netns(h.Name))
	l.ip(lan, "link", "set", port, "master", "br0", "up")
	l.ip(h.Name, "addr", "add", h.Addr+"/24", "dev", "eth0")
	l.ip(h.Name, "link", "set", "eth0", "up")
	l.ip(h.Name, "link", "set", "lo", "up")
	if l.gateway != "" {
		l.ip(h.Name, "route", "add", "default", "via", l.gateway)
	} else {
		l.ip(h.Name, "route", "add", "default", "dev", "eth0")
	}
	return h
}

// port is the bridge's end of the host's cable.
func (h *Host) port() string { return "v" + strconv.Itoa(h.n) }

// weigh has the hosts together count as so many programs beside what else runs
// on the machine: one group counts as one, whatever is in it.
func (l *Lab) weigh() {
	l.t.Helper()
	if l.v2 {
		l.write(filepath.Join(l.cgroup, "cpu.weight"), strconv.Itoa(hostWeight*100*l.hosts))
		return
	}
	l.write(filepath.Join(l.cgroup, "cpu.shares"), strconv.Itoa(hostWeight*1024*l.hosts))
}

// cgroups are those that a command of the host is in.
func (h *Host) cgroups() string {
	if h.lab.accounting == "" || h.cgroup == "" {
		return h.cgroup
	}
	return h.cgroup + " " + filepath.Join(h.lab.accounting, h.Name)
}

// Bind mounts source over target in what the host runs from now on.
func (h *Host) Bind(source, target string) { h.binds = append(h.binds, source, target) }

// enter is what brings a command into the host: $0 are its cgroups, $1 its name, $2 how many binds there are, then the binds, then the command.
const enter = `set -e
for group in $0; do echo $$ > "$group/cgroup.procs"; done
hostname "$1"
n=$2
shift 2
mount --make-rprivate /
while [ "$n" -gt 0 ]; do
	mount --bind "$1" "$2"
	shift 2
	n=$((n - 1))
done
exec "$@"`

// Command returns a command that runs in the host, in its Dir.
func (h *Host) Command(argv ...string) *exec.Cmd {
	// Not `ip netns exec`: it mounts another /sys, without the cgroups that a
	// node reads its quota from.
	args := []string{"--net=" + h.lab.netns(h.Name), "unshare", "--mount", "--uts", "--ipc", "sh", "-c", enter,
		h.cgroups(), h.Name, strconv.Itoa(len(h.binds) / 2)}
	args = append(append(args, h.binds...), argv...)
	cmd := exec.CommandContext(context.Background(), "nsenter", args...)
	cmd.Dir = h.Dir
	cmd.Env = append(os.Environ(), "BUILDNET_HOME="+h.Home)
	return cmd
}

// Kill ends every process of the host at once, as a power failure does.
func (h *Host) Kill() {
	for range 1000 { // what writes to a busy disk takes its time
		pids := h.pids()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			killPID(pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Errorf("host %s: processes outlive kill -9", h.Name)
}

// Cut takes the host off the LAN, Heal brings it back.
func (h *Host) Cut() { h.lab.ip(lan, "link", "set", h.port(), "down") }

// Heal undoes Cut.
func (h *Host) Heal() { h.lab.ip(lan, "link", "set", h.port(), "up") }

// Processes returns the command lines of what runs in the host.
func (h *Host) Processes() []string {
	var lines []string
	for _, pid := range h.pids() {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && len(raw) > 0 {
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " ")))
		}
	}
	return lines
}

func (l *Lab) ip(netns string, args ...string) {
	l.t.Helper()
	l.in(netns, append([]string{"ip"}, args...)...)
}

// in runs a command of this machine in a network namespace of the lab.
func (l *Lab) in(netns string, argv ...string) {
	l.t.Helper()
	if out, err := run("nsenter", append([]string{"--net=" + l.netns(netns)}, argv...)...); err != nil {
		l.t.Fatalf("in %s: %s: %v: %s", netns, strings.Join(argv, " "), err, out)
	}
}

func (l *Lab) write(file, text string) {
	l.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		l.t.Fatalf("write %s: %v", file, err)
	}
}

func run(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput()
	return string(out), err
}
