//go:build unix

package ninja

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// used is what a process has used that has ended.
func used(p *os.ProcessState) (cpu time.Duration, maxRSS int64) {
	if p == nil {
		return 0, 0
	}
	cpu = p.UserTime() + p.SystemTime()
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		maxRSS = int64(u.Maxrss) //nolint:unconvert // it is 32 bits on some architectures
		if runtime.GOOS == "linux" {
			maxRSS <<= 10 // getrusage(2): KiB there
		}
	}
	return cpu, maxRSS
}
