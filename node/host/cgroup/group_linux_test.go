package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// expect compares the files of a fixture with what was to be written.
func expect(t *testing.T, root string, want map[string]string) {
	t.Helper()
	for file, text := range want {
		if got := content(filepath.Join(root, file)); got != text {
			t.Errorf("%s is %q, want %q", file, got, text)
		}
	}
}

// The kernel makes the files of a group: in a fixture they are there before.
func TestGroupOfVersionOne(t *testing.T) {
	const cpu, blkio = "sys/fs/cgroup/cpu/a/bn/", "sys/fs/cgroup/blkio/bn/"
	root := fixture(t, map[string]string{
		"proc/self/cgroup":    "7:blkio:/\n1:cpu,cpuacct:/a\n",
		"proc/self/mountinfo": v1root("/") + "33 31 0:30 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n",
		cpu + "cpu.shares":    "", cpu + "cpu.cfs_quota_us": "", cpu + "cpu.cfs_period_us": "", cpu + procs: "", blkio + ioFirst: "", blkio + procs: "",
	})
	g, err := Open(Options{Root: root, Name: "bn"})
	if err != nil {
		t.Fatal(err)
	}
	if m := g.Means(); !m.Weight || !m.Quota || m.Freeze {
		t.Errorf("means %+v", m)
	}
	expect(t, root, map[string]string{cpu + "cpu.shares": "102", cpu + "cpu.cfs_quota_us": "-1", blkio + ioFirst: "10"})
	for what, err := range map[string]error{"weigh": g.Weigh(Lowest), "bound": g.Bound(0.5), "enter": g.Enter(12345)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect(t, root, map[string]string{
		cpu + "cpu.shares": "10", cpu + "cpu.cfs_quota_us": "50000", cpu + "cpu.cfs_period_us": "100000",
		cpu + procs: "12345", blkio + procs: "12345",
	})
}

func TestGroupOfVersionTwoIsBesideTheNodesOwn(t *testing.T) {
	const dir = "sys/fs/cgroup/system.slice/bn/"
	root := fixture(t, map[string]string{
		"proc/self/cgroup":                      "0::/system.slice/buildnet.service\n",
		"proc/self/mountinfo":                   "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/system.slice/" + subtree: "cpu io memory",
		dir + "cpu.weight":                      "", dir + "cpu.max": "", dir + "io.weight": "", dir + "cgroup.freeze": "", dir + procs: "",
	})
	g, err := Open(Options{Root: root, Name: "bn"})
	if err != nil {
		t.Fatal(err)
	}
	if m := g.Means(); !m.Weight || !m.Quota || !m.Freeze {
		t.Errorf("means %+v", m)
	}
	expect(t, root, map[string]string{dir + "cpu.weight": "10", dir + "io.weight": "10", dir + "cpu.max": "max 100000"})
}

func TestGroupOfVersionTwoIsBelowAGroupThatIsGivenToTheNode(t *testing.T) {
	const own = "sys/fs/cgroup/user.slice/app/"
	root := fixture(t, map[string]string{
		"proc/self/cgroup":    "0::/user.slice/app\n",
		"proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
		own + subtree:         "", own + "bn/cpu.weight": "", own + "bn/cpu.max": "", own + "bn/" + procs: "",
	})
	g, err := Open(Options{Root: root, Name: "bn"})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, root, map[string]string{own + "bn/cpu.weight": "10"})
	if err := g.Enter(77); err != nil {
		t.Error(err)
	}
	expect(t, root, map[string]string{own + "bn/" + procs: "77"})
	if g.Memory() != "" {
		t.Errorf("a group that may not be divided takes groups for memory in %s", g.Memory())
	}
}

func TestGroupOfVersionTwoTakesGroupsForMemoryWithinIt(t *testing.T) {
	const own = "sys/fs/cgroup/user.slice/app/"
	root := fixture(t, map[string]string{
		"proc/self/cgroup":    "0::/user.slice/app\n",
		"proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
		own + subtree:         "", own + "bn/cpu.weight": "", own + "bn/cpu.max": "", own + "bn/" + procs: "", own + "bn/" + subtree: "",
		own + "bn/rest/" + procs: "",
	})
	g, err := Open(Options{Root: root, Name: "bn"})
	if err != nil {
		t.Fatal(err)
	}
	if dir := filepath.Join(root, own, "bn"); g.Memory() != dir {
		t.Errorf("groups for memory are made in %q, want %q", g.Memory(), dir)
	}
	if err := g.Enter(77); err != nil {
		t.Error(err)
	}
	// A group whose children have controllers holds no processes itself.
	expect(t, root, map[string]string{own + "bn/" + subtree: "+memory", own + "bn/rest/" + procs: "77", own + "bn/" + procs: ""})
}

// A fixture keeps what was written last.
func TestTheNodeMovesBackOnceTheGroupsBelowHaveNoController(t *testing.T) {
	for name, tc := range map[string]struct{ had, want string }{
		"AllAreGiven":     {"", "-cpu -io -memory"},
		"OneWasThere":     {"memory", "-cpu -io"},
		"OneIsNamedAlike": {"cpuset", "-cpu -io -memory"},
	} {
		t.Run(name, func(t *testing.T) {
			const own = "own/"
			root := fixture(t, map[string]string{own + subtree: tc.had, own + procs: "", own + "leaf/" + procs: ""})
			dir := filepath.Join(root, own)
			g := &Group{v2: true}
			if err := errors.Join(g.enable(dir, ""), g.move(dir, filepath.Join(dir, "leaf"))); err != nil {
				t.Fatal(err)
			}
			expect(t, root, map[string]string{own + procs: ""})
			g.moveBack()
			expect(t, root, map[string]string{own + subtree: tc.want, own + procs: strconv.Itoa(os.Getpid())})
		})
	}
}

func TestWithoutAGroupOneIsTold(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing is mounted": {"proc/self/cgroup": "1:cpu:/\n"},
		"no such directory":  {"proc/self/cgroup": "1:cpu:/none\n", "proc/self/mountinfo": v1root("/")},
	} {
		if g, err := Open(Options{Root: fixture(t, files), Name: "bn"}); err == nil {
			t.Errorf("%s: %s", name, g.Text())
		}
	}
}

func TestLimitedTellsTheUseOfTheGroupWithTheQuota(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"version 1": {
			"proc/self/cgroup": "1:cpu,cpuacct:/a/b\n", "proc/self/mountinfo": v1root("/"),
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpu/a/cpuacct.usage": "2500000000\n",
		},
		"version 2": {
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/a/cpu.max": "50000 100000", "sys/fs/cgroup/a/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
		},
	} {
		l, limited, err := FindLimited(fixture(t, files))
		if err != nil || !limited || l.Cores != 0.5 {
			t.Errorf("%s: %+v, %v, %v", name, l, limited, err)
			continue
		}
		if used, err := l.Used(); err != nil || used != 2500*time.Millisecond {
			t.Errorf("%s: used %v, %v", name, used, err)
		}
	}
	apart := fixture(t, map[string]string{
		"proc/self/cgroup":       "1:cpu:/a\n2:cpuacct:/\n",
		"proc/self/mountinfo":    "32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n33 31 0:30 / /acct rw - cgroup cgroup rw,cpuacct\n",
		"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000",
	})
	if _, limited, err := FindLimited(apart); err == nil || !limited {
		t.Error("the use of a group that is not accounted is told")
	}
}

// The kernel's own groups, where this process may make some.
func TestGroupOfThisKernel(t *testing.T) {
	name := "buildnet-test-" + strconv.Itoa(os.Getpid())
	g, err := Open(Options{Root: "/", Name: name})
	if err != nil {
		t.Skip(err)
	}
	t.Log(g.Text())
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"enter": g.Enter(cmd.Process.Pid), "weigh": g.Weigh(Lowest), "bound": g.Bound(0.25), "trickle": g.Bound(Trickle), "freeze": g.Freeze(true),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Another node's life in the same place ends what the last one left.
	g, err = Open(Options{Root: "/", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
