package host

import (
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/buildnet/buildnet/node/host/cgroup"
)

// ownShare of the memory is left to the owner's programs, the system and the
// node itself: one part in so many.
const ownShare = 8

// Memory returns the bytes that actions may use here, all together: of what the
// machine has, or of what a cgroup gives this process if that is less. It is 0
// where that cannot be found out.
func Memory() int64 {
	machine, err := mem.VirtualMemory()
	if err != nil {
		return 0
	}
	total := int64(machine.Total)
	if limit, ok := cgroup.Memory("/"); ok {
		total = min(total, limit)
	}
	return total - total/ownShare
}

// MemoryInUse returns the bytes of memory that the machine has in use, whoever
// uses them; 0 where that cannot be found out.
func MemoryInUse() int64 {
	machine, err := mem.VirtualMemory()
	if err != nil {
		return 0
	}
	return int64(machine.Total - min(machine.Available, machine.Total))
}
