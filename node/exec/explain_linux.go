package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/buildnet/buildnet/sched/action"
)

// explain says which limit ended a command, where one did.
func explain(o *outcome, l launch, late, exceeded bool) {
	switch {
	case late:
		o.message = fmt.Sprintf("killed after its time limit of %v: give the step a longer timeout", l.job.timeout)
		o.cause = action.TimedOut
		o.code = max(o.code, codeSignal+int(syscall.SIGKILL))
	case exceeded:
		o.cause = action.OverLimit
		o.message = fmt.Sprintf("killed for using more than its memory limit of %d MiB: give the step more memory", l.job.memory>>20)
	case o.code == codeSignal+int(syscall.SIGXFSZ):
		o.cause = action.OverLimit
		o.message = "killed for writing a file larger than the limit of outputs: make it write less"
	case o.code != 0 && o.message == "" && l.job.memory > 0 && o.maxRSS > l.job.memory/2:
		o.message = fmt.Sprintf("failed with %d MiB in use, under a memory limit of %d MiB: if that is why, give the step more memory", o.maxRSS>>20, l.job.memory>>20)
	}
}

// cover drops binds that lie within another and finds the hidden directories
// that would be seen through one. A toolchain directory within a hidden one is
// refused.
func cover(binds, needed, hidden []string) (outer, covered []string, err error) {
	for _, b := range binds {
		if !slices.ContainsFunc(outer, func(o string) bool { return within(b, o) && !isLink(o) }) {
			outer = append(outer, b)
		}
	}
	for _, h := range hidden {
		home, err := filepath.EvalSymlinks(h)
		if err != nil {
			continue // it is not there
		}
		for _, n := range needed {
			if target, err := filepath.EvalSymlinks(n); err == nil && within(target, home) {
				return nil, nil, fmt.Errorf("%w: toolchain directory %s lies in the node's home", ErrMalformed, n)
			}
		}
		covered = append(covered, seenAs(home, outer)...)
	}
	return outer, covered, nil
}

// seenAs returns the paths at which an action would see a directory of the host.
func seenAs(dir string, binds []string) []string {
	var seen []string
	for _, b := range binds {
		if target, err := filepath.EvalSymlinks(b); err == nil && within(dir, target) {
			seen = append(seen, b+strings.TrimPrefix(dir, target))
		}
	}
	return seen
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func isLink(p string) bool {
	info, err := os.Lstat(p)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}
