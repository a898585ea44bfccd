package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/node/host/cgroup"
)

// ticks is the unit of /proc/stat: USER_HZ, 100 in a second on every
// architecture that Go knows.
const ticks = 10 * time.Millisecond

// Load reads what is used of this machine. Its methods are not to be called
// concurrently.
type Load struct {
	root    string
	limited *cgroup.Limited // nil if the machine itself is the bound
}

// NewLoad returns what reads the load below root, which is "/", or a fixture.
// It returns ErrUnmeasured where only a part of a machine is this node's, and
// the use of that part is not told.
func NewLoad(root string) (*Load, error) {
	limited, _, err := cgroup.FindLimited(root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnmeasured, err)
	}
	return &Load{root: root, limited: limited}, nil
}

// Read returns what was used until now. Node may fall behind for one reading,
// when a process ends while it is read.
func (l *Load) Read() (Use, error) {
	u := Use{Battery: discharging(l.root), Waited: waited(filepath.Join(l.root, "proc/pressure/cpu"))}
	var err error
	if l.limited != nil {
		u.Cores = l.limited.Cores
		u.All, err = l.limited.Used()
	} else {
		u.All, u.Cores, err = busy(filepath.Join(l.root, "proc/stat"))
	}
	if err != nil {
		return Use{}, fmt.Errorf("%w: %w", ErrUnmeasured, err)
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return Use{}, fmt.Errorf("%w: %w", ErrUnmeasured, err)
		}
		u.Node += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	for _, pid := range children("self") {
		u.Node += below(pid)
	}
	return u, nil
}

// busy reads proc_stat(5): the time that was not spent idle, and the number of
// processors.
func busy(file string) (used time.Duration, cores float64, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 8 || !strings.HasPrefix(fields[0], "cpu"):
			continue
		case fields[0] != "cpu":
			cores++
			continue
		}
		// User, nice, system, interrupts hard and soft; not idle, waiting, stolen.
		for _, i := range []int{1, 2, 3, 6, 7} {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %q is no number", file, fields[i])
			}
			used += time.Duration(n) * ticks
		}
	}
	if cores == 0 {
		return 0, 0, fmt.Errorf("%s: no processor is listed", file)
	}
	return used, cores, nil
}

// waited reads the pressure on the processors, of the whole machine: see psi.rst
// of the kernel.
func waited(file string) time.Duration {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	some, _, _ := strings.Cut(string(raw), "\n")
	_, total, _ := strings.Cut(some, "total=")
	us, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// maxDepth bounds how deep processes are followed: one that starts itself again
// and again may be faster than this one.
const maxDepth = 64

// below is the CPU time of a process, of those that it waited for, and of those
// that it started.
func below(pid string) time.Duration { return belowTo(pid, maxDepth) }

func belowTo(pid string, depth int) time.Duration {
	var sum time.Duration
	if depth > 0 {
		for _, c := range children(pid) {
			sum += belowTo(c, depth-1)
		}
	}
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return sum // it has ended
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 15 {
		return sum
	}
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * ticks
	}
	return sum
}

// children returns the processes whose parent is any thread of pid.
func children(pid string) []string {
	var all []string
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, file := range threads {
		raw, err := os.ReadFile(file)
		if err == nil {
			all = append(all, strings.Fields(string(raw))...)
		}
	}
	return all
}

// HasBattery reports whether this machine can run on one.
func HasBattery(root string) bool { return len(batteries(root)) > 0 }

func discharging(root string) bool {
	for _, dir := range batteries(root) {
		if text(dir, "status") == "Discharging" {
			return true
		}
	}
	return false
}

// batteries are those of the machine, not of what is attached to it.
func batteries(root string) []string {
	var found []string
	all, _ := filepath.Glob(filepath.Join(root, "sys/class/power_supply/*"))
	for _, dir := range all {
		if text(dir, "type") == "Battery" && text(dir, "scope") != "Device" {
			found = append(found, dir)
		}
	}
	return found
}

func text(dir, file string) string {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
