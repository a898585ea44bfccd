package cgroup

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limited is the group whose quota bounds this process: to its owner it is the
// machine.
type Limited struct {
	// Cores is how many it may use at once.
	Cores float64
	dir   string
	v2    bool
}

// FindLimited returns the group that bounds this process; false if none has a
// quota. It fails where there is one, but its use cannot be read.
func FindLimited(root string) (*Limited, bool, error) {
	cores, of, limited := quota(root)
	if !limited {
		return nil, false, nil
	}
	l := &Limited{Cores: cores, dir: of.dir(root), v2: of.unified}
	if l.v2 {
		return l, true, nil
	}
	cpu, _ := find(root, "cpu")
	acct, ok := find(root, "cpuacct")
	if !ok || cpu.below != acct.below {
		return nil, true, fmt.Errorf("group %s has a quota, and no accounting beside it", of.below)
	}
	l.dir = filepath.Join(root, acct.point, of.below)
	return l, true, nil
}

// Used is the CPU time of all that ran in the group so far.
func (l *Limited) Used() (time.Duration, error) {
	if !l.v2 {
		ns, err := strconv.ParseInt(content(filepath.Join(l.dir, "cpuacct.usage")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("use of group %s: %w", l.dir, err)
		}
		return time.Duration(ns), nil
	}
	for line := range strings.Lines(content(filepath.Join(l.dir, "cpu.stat"))) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			us, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("use of group %s: %w", l.dir, err)
			}
			return time.Duration(us) * time.Microsecond, nil
		}
	}
	return 0, fmt.Errorf("use of group %s: the kernel does not tell", l.dir)
}
