package host

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is a mounted cgroup hierarchy: its root is the group that the mount
// point shows.
type mount struct {
	root, point string
	unified     bool
}

// quota returns the processors that the cgroups of this process give it. root is
// "/", or a fixture.
func quota(root string) (cores float64, limited bool) { return least(root, "cpu", limit) }

// memoryLimit returns the bytes that the cgroups of this process give it.
func memoryLimit(root string) (bytes int64, limited bool) {
	most, limited := least(root, "memory", memoryOf)
	return int64(most), limited
}

// least returns what the cgroups of this process give it of that which a
// controller divides: the least of its group's and those above, each read by
// read.
func least(root, controller string, read func(dir string, unified bool) (float64, bool)) (most float64, limited bool) {
	groups := readGroups(filepath.Join(root, "proc/self/cgroup"))
	for _, m := range readMounts(filepath.Join(root, "proc/self/mountinfo"), controller) {
		of := controller
		if m.unified {
			of = ""
		}
		group, ok := groups[of]
		if !ok {
			continue
		}
		// In a container the mount may begin at the group itself.
		below, err := filepath.Rel(m.root, group)
		if err != nil || below == ".." || strings.HasPrefix(below, "../") {
			below = "."
		}
		for dir := below; ; dir = filepath.Dir(dir) {
			if c, ok := read(filepath.Join(root, m.point, dir), m.unified); ok && (!limited || c < most) {
				most, limited = c, true
			}
			if dir == "." || dir == "/" {
				break
			}
		}
	}
	return most, limited
}

// readGroups returns this process's group in each hierarchy, by controller;
// that of the unified one is under "".
func readGroups(file string) map[string]string {
	groups := map[string]string{}
	eachLine(file, func(line string) {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			return
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			groups[controller] = parts[2]
		}
	})
	return groups
}

// readMounts returns the hierarchies that can hold what the controller gives. See
// proc(5) for the fields of mountinfo.
func readMounts(file, controller string) []mount {
	var mounts []mount
	eachLine(file, func(line string) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			return
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
		switch {
		case kind[0] == "cgroup2":
			m.unified = true
		case kind[0] != "cgroup" || !strings.Contains(","+kind[2]+",", ","+controller+","):
			return
		}
		mounts = append(mounts, m)
	})
	return mounts
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// limit reads the quota of one group, in processors.
func limit(dir string, unified bool) (float64, bool) {
	if unified {
		quota, period, ok := strings.Cut(content(filepath.Join(dir, "cpu.max")), " ")
		return ratio(quota, period, ok)
	}
	return ratio(content(filepath.Join(dir, "cpu.cfs_quota_us")), content(filepath.Join(dir, "cpu.cfs_period_us")), true)
}

// memoryOf reads the memory limit of one group, in bytes. Of version 1 one that is
// none is more than any machine has.
func memoryOf(dir string, unified bool) (float64, bool) {
	file := "memory.limit_in_bytes"
	if unified {
		file = "memory.max"
	}
	bytes, err := strconv.ParseFloat(content(filepath.Join(dir, file)), 64)
	return bytes, err == nil && bytes > 0 && bytes < 1<<62
}

// ratio is quota/period; a quota of "max" or -1 is none.
func ratio(quota, period string, ok bool) (float64, bool) {
	q, errQ := strconv.ParseFloat(quota, 64)
	p, errP := strconv.ParseFloat(period, 64)
	if !ok || errQ != nil || errP != nil || !(q > 0) || !(p > 0) {
		return 0, false
	}
	return q / p, true
}

func content(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func eachLine(file string, f func(string)) {
	in, err := os.Open(file)
	if err != nil {
		return
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f(lines.Text())
	}
}
