package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestQuotaIsTheLeastOfTheGroupsAbove(t *testing.T) {
	const v2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
	for name, tc := range map[string]struct {
		files   map[string]string
		want    float64
		limited bool
	}{
		"V1": {map[string]string{
			"proc/self/cgroup": "4:memory:/m\n1:cpu,cpuacct:/a/b\n0::/\n", "proc/self/mountinfo": v1root("/"),
			"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "150000", "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
		}, 1.5, true},
		"V1Above": {map[string]string{
			"proc/self/cgroup": "1:cpu:/a/b\n", "proc/self/mountinfo": v1root("/"),
			"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "150000", "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
		}, 0.5, true},
		"V1Unlimited": {map[string]string{
			"proc/self/cgroup": "1:cpu:/\n", "proc/self/mountinfo": v1root("/"),
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
		}, 0, false},
		"V1Container": {map[string]string{
			"proc/self/cgroup": "1:cpu:/docker/x\n", "proc/self/mountinfo": v1root("/docker/x"),
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
		}, 2, true},
		"V2": {map[string]string{
			"proc/self/cgroup": "0::/user.slice/x\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/user.slice/x/cpu.max": "max 100000\n", "sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
		}, 2.5, true},
		"V2Namespace": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/cpu.max": "50000 100000",
		}, 0.5, true},
		"Garbage": {map[string]string{
			"proc/self/cgroup": "x\n0::/\n", "proc/self/mountinfo": "y - z\n" + v2, "sys/fs/cgroup/cpu.max": "0 -7",
		}, 0, false},
		"Nothing": {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, limited := Quota(fixture(t, tc.files))
			if got != tc.want || limited != tc.limited {
				t.Errorf("quota = %v, %v, want %v, %v", got, limited, tc.want, tc.limited)
			}
		})
	}
}

func TestMemoryIsBoundedByTheGroups(t *testing.T) {
	for name, tc := range map[string]struct {
		files   map[string]string
		want    int64
		limited bool
	}{
		"V1": {map[string]string{
			"proc/self/cgroup":                             "4:memory:/m\n1:cpu:/\n",
			"proc/self/mountinfo":                          "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" + v1root("/"),
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "1000000",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712",
			"sys/fs/cgroup/cpu/m/memory.limit_in_bytes":    "1",
		}, 1000000, true},
		"V2": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/memory.max": "2000000\n",
		}, 2000000, true},
		"Nothing": {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, limited := Memory(fixture(t, tc.files))
			if got != tc.want || limited != tc.limited {
				t.Errorf("Memory = %v, %v, want %v, %v", got, limited, tc.want, tc.limited)
			}
		})
	}
}

// fixture makes a root directory with the files in it.
func fixture(t *testing.T, files map[string]string) string {
	root := t.TempDir()
	for p, content := range files {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func v1root(root string) string {
	return "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 " + root + " /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
}
