package invocation

import (
	"fmt"
	"os"
	"sync"
)

// ownMounts names the mounts that this process has.
var ownMounts = sync.OnceValue(func() string {
	name, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return ""
	}
	return name
})

// sameFiles reports whether a process has the files that this one has at the same
// paths: the same mounts, and the same root. A container has not, though it may
// reach the socket of the node. One of which that cannot be known has not.
func sameFiles(pid int) bool {
	if pid <= 0 { // it is not even to be seen from here
		return false
	}
	mounts, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || mounts != ownMounts() {
		return false
	}
	its, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return false
	}
	own, err := os.Stat("/")
	return err == nil && os.SameFile(its, own)
}
