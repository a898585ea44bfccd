package invocation

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// unseen are places that no compile reads elsewhere.
var unseen = []string{"/proc", "/sys", "/dev", "/run"}

// otherFiles names a place where a process may have other files than this one has at
// the same path, or is "". Most have the same mounts altogether. Others, as in a
// container, may reach the node's socket as well: then it is compared what is mounted
// where. What cannot be known of a process is taken to be other.
func otherFiles(pid int) string {
	const all = "/"
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return all // it is not to be seen from here, or has ended
	}
	its, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return all
	}
	if own, err := os.Stat("/"); err != nil || !os.SameFile(its, own) {
		return all
	}
	if own, err := os.Readlink("/proc/self/ns/mnt"); err == nil && own == name {
		return ""
	}
	return compareMounts(pid)
}

func compareMounts(pid int) string {
	own, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "/"
	}
	its, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "/"
	}
	return otherMount(mountsOf(string(own)), mountsOf(string(its)))
}

// mounts are what is mounted, by the place: a file system and what of it.
type mounts map[string]string

// mountsOf reads a table as proc(5) has it. A later mount hides an earlier one. What
// holds a namespace open, as `ip netns` makes them, has no bytes to be read.
func mountsOf(table string) mounts {
	m := mounts{}
	for line := range strings.Lines(table) {
		_, kind, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(line); len(fields) > 4 && !strings.HasPrefix(kind, "nsfs ") {
			m[fields[4]] = fields[2] + " " + fields[3]
		}
	}
	return m
}

// at is what is at a place: the mount that it is in, and the way from there.
func (m mounts) at(p string) string {
	for in := p; ; in = path.Dir(in) {
		if what, is := m[in]; is {
			return path.Join(what, strings.TrimPrefix(p, in))
		}
		if in == "/" {
			return ""
		}
	}
}

// otherMount names a place at which two tables have different files, or is "".
func otherMount(a, b mounts) string {
	var places []string
	for _, m := range []mounts{a, b} {
		for p := range m {
			if !slices.ContainsFunc(unseen, func(u string) bool { return p == u || strings.HasPrefix(p, u+"/") }) {
				places = append(places, p)
			}
		}
	}
	slices.Sort(places)
	for _, p := range places {
		if a.at(p) != b.at(p) {
			return p
		}
	}
	return ""
}
