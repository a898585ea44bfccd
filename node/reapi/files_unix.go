//go:build unix

package reapi

import (
	"math"

	"golang.org/x/sys/unix"
)

// files is how many files this process may have open. Go has raised it to what may be.
func files() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return leastFiles
	}
	return int64(min(uint64(limit.Cur), math.MaxInt64)) //nolint:unconvert // it is signed on FreeBSD
}
