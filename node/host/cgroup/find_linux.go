package cgroup

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
	controllers []string // of version 1
}

func (m *mount) has(controller string) bool {
	for _, c := range m.controllers {
		if c == controller {
			return true
		}
	}
	return false
}

// below is the path from the mount point to a group. In a container the mount
// may begin at the group itself.
func (m *mount) below(group string) string {
	below, err := filepath.Rel(m.root, group)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		return "."
	}
	return below
}

// place is a process's group in one hierarchy.
type place struct {
	mount
	below string // from the mount point
}

func (p *place) dir(root string) string { return filepath.Join(root, p.point, p.below) }

// find returns this process's place in the hierarchy of a controller, or in the
// unified one for "".
func find(root, controller string) (place, bool) {
	groups := readGroups(filepath.Join(root, "proc/self/cgroup"))
	for _, m := range readMounts(filepath.Join(root, "proc/self/mountinfo")) {
		group, ok := groups[controller]
		if ok && (controller == "" && m.unified || controller != "" && m.has(controller)) {
			return place{m, m.below(group)}, true
		}
	}
	return place{}, false
}

// Memory returns the bytes that the cgroups of this process give it, the least of
// its group's and those above. root is "/", or a fixture.
func Memory(root string) (bytes int64, limited bool) {
	most, _, limited := least(root, "memory", memoryOf)
	return int64(most), limited
}

// Quota returns the processors that the cgroups of this process give it, the
// least of its group's and those above. root is "/", or a fixture.
func Quota(root string) (cores float64, limited bool) {
	cores, _, limited = quota(root)
	return cores, limited
}

// quota also returns whose it is.
func quota(root string) (cores float64, of place, limited bool) { return least(root, "cpu", limit) }

// least returns the least of what a controller gives the group of this process
// and those above, each read by read, and whose it is.
func least(root, controller string, read func(dir string, unified bool) (float64, bool)) (most float64, of place, limited bool) {
	for _, c := range []string{controller, ""} {
		p, ok := find(root, c)
		if !ok {
			continue
		}
		for dir := p.below; ; dir = filepath.Dir(dir) {
			if n, ok := read(filepath.Join(root, p.point, dir), p.unified); ok && (!limited || n < most) {
				most, of, limited = n, place{p.mount, dir}, true
			}
			if dir == "." || dir == "/" {
				break
			}
		}
	}
	return most, of, limited
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

// readMounts returns the hierarchies. See proc(5) for the fields of mountinfo.
func readMounts(file string) []mount {
	var mounts []mount
	eachLine(file, func(line string) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			return
		}
		m := mount{root: unescape(fields[3]), point: unescape(fields[4])}
		switch kind[0] {
		case "cgroup2":
			m.unified = true
		case "cgroup":
			m.controllers = strings.Split(kind[2], ",")
		default:
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

// ratio is quota/period; a quota of "max" or -1 is none.
func ratio(quota, period string, ok bool) (float64, bool) {
	q, errQ := strconv.ParseFloat(quota, 64)
	p, errP := strconv.ParseFloat(period, 64)
	if !ok || errQ != nil || errP != nil || !(q > 0) || !(p > 0) {
		return 0, false
	}
	return q / p, true
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
